"""The gallery at a size: filled, opened, asked with and without filters, extended; beside plain FAISS in the same run.

    python benchmarks/search.py PHOTOS --items 20000 --vectors real.npy
    python benchmarks/search.py PHOTOS --items 1000000 --vectors real.npy --folder big    keeps the gallery in big/
    python benchmarks/search.py PHOTOS --servers --vectors real.npy    PostgreSQL and Milvus Lite, started here
    python benchmarks/search.py PHOTOS --server milvus://db.example:19530#bench --server-items 100000

Real photos are embedded (once: --vectors keeps them). A fifth of them are held out and ask; on the others a mixture of
Gaussians is fitted, and the gallery's vectors are drawn from it: each of its parts has the mean and covariance of the
photos around one centre. Recall is against comparing with every vector that passes. Every number is of one process
with one thread for a query, unless it says otherwise.

Servers answer by themselves (`IndexConfig(kind="store")`), over --server-items of the same items; beside each stands an
index in memory over the very same gallery. The gallery at an address is made new, and stays. Milvus Lite is a stand-in
written for tests: its figures say nothing of a real Milvus.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from _measure import Table, once, options

from dprnet.core.bundle import Bundle
from dprnet.core.images import read_image
from dprnet.core.records import FloatArray
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Gallery, IndexConfig, Item
from dprnet.pipeline.photos import PHOTO_SIDE

BATCH = 20_000  # items a commit
CENTRES = 32
K = 10
CATEGORIES = ("top", "outerwear", "trousers", "shorts", "skirt", "dress")
FILTERS = {
    "no filter": "",
    "half (in stock)": "in_stock = yes",
    "a sixth, by looks (category)": "category = dress",
    "a twentieth (price)": "price < 15",
    "one in 200 (price and stock)": "price < 11 and in_stock = yes",
}


def embedded(photos: Path, bundle: str, kept: Path | None) -> FloatArray:
    if kept is not None and kept.is_file():
        found: FloatArray = np.load(kept)
        return found
    embedder = Embedder.from_bundle(Bundle.from_pretrained(bundle))
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    vectors = embedder(read_image(path, short_side=PHOTO_SIDE).image for path in paths)
    if kept is not None:
        np.save(kept, vectors)
    return vectors


class Mixture:
    """Gaussians around the centres of real vectors, drawn from and put at length 1."""

    def __init__(self, vectors: FloatArray) -> None:
        import faiss

        centres = min(CENTRES, len(vectors) // 40)
        means = faiss.Kmeans(vectors.shape[1], centres, niter=25, seed=7, verbose=False)
        means.train(vectors)
        nearest = means.index.search(vectors, 1)[1][:, 0]
        self.parts = [vectors[nearest == n] for n in range(centres)]
        self.weights = np.bincount(nearest, minlength=centres) / len(vectors)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        """(n, D) vectors, and the part that each is from."""
        part = rng.choice(len(self.parts), n, p=self.weights)
        drawn = np.empty((n, self.parts[0].shape[1]), np.float32)
        for number, members in enumerate(self.parts):
            rows = np.flatnonzero(part == number)
            mean = members.mean(axis=0)
            # Random sums of what members differ by have exactly the members' covariance.
            weights = rng.standard_normal((len(rows), len(members)), np.float32) / max(1, len(members) - 1) ** 0.5
            drawn[rows] = mean + weights @ (members - mean)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True), part


def filled(gallery: Gallery, mixture: Mixture, count: int, first: int = 0) -> Iterator[int]:
    """Write items, a commit at a time; each is told."""
    rng = np.random.default_rng(11 + first)
    for start in range(first, first + count, BATCH):
        n = min(BATCH, first + count - start)
        vectors, part = mixture.draw(n, rng)
        price, stock = rng.uniform(10, 110, n), rng.random(n) < 0.5
        items = [
            Item(
                f"{start + m:08}",
                (Path(f"photos/{start + m:08}.jpg"),),
                category=CATEGORIES[part[m] % len(CATEGORIES)],
                title=f"Item {start + m}",
                price=f"{price[m]:.2f}",
                metadata={"in_stock": "yes" if stock[m] else "no"},
            )
            for m in range(n)
        ]
        gallery.upsert(items, vectors)
        yield n


def asked(search: Callable[[FloatArray], object], queries: FloatArray) -> tuple[float, float, float]:
    """Milliseconds a query, one at a time: median, 99th percentile; and processor share."""
    for query in queries[:20]:
        search(query[None])
    times = []

    def all_of_them() -> None:
        for query in queries:
            begun = time.perf_counter()
            search(query[None])
            times.append(1000 * (time.perf_counter() - begun))

    cpu, wall = once(all_of_them)
    return statistics.median(times), float(np.quantile(times, 0.99)), cpu / wall


def memory_mb() -> tuple[float, float]:
    """Held now, and at the peak until now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def exact_ids(gallery: Gallery, queries: FloatArray) -> dict[str, list[set[str]]]:
    """The true ten of every query and filter, by comparing with every vector, a block at a time."""
    passing = {name: {item.item_id for item in gallery.items(where)} for name, where in FILTERS.items()}
    values = {name: np.full((len(queries), K), -np.inf, np.float32) for name in FILTERS}
    owners = {name: np.full((len(queries), K), "", object) for name in FILTERS}
    for ids, vectors in gallery.vectors():
        similarity = queries @ vectors.T
        for name, allowed in passing.items():
            there = np.array([one in allowed for one in ids])
            both = np.concatenate([values[name], np.where(there, similarity, -np.inf)], axis=1)
            best = np.argpartition(-both, K - 1, axis=1)[:, :K]
            rows = np.arange(len(queries))[:, None]
            held = np.concatenate([np.zeros(K, object), np.array(ids, object)])
            owners[name] = np.where(best < K, owners[name][rows, np.minimum(best, K - 1)], held[best])
            values[name] = both[rows, best]
    return {name: [set(row[kept > -np.inf]) for row, kept in zip(owners[name], values[name], strict=True)]
            for name in FILTERS}  # fmt: skip


def asked_all(
    gallery: Gallery, table: Table, queries: FloatArray, truth: dict[str, list[set[str]]], of: str = ""
) -> None:
    """Every filter: milliseconds a query, and the share of the true ten that is found."""
    for label, where in FILTERS.items():
        median, slow, share = asked(lambda q, where=where: gallery.search(q, K, where=where), queries)
        answers = gallery.search(queries, K, where=where)
        hits = [
            len({match.item_id for match in found} & true) / max(1, len(true))
            for found, true in zip(answers, truth[label], strict=True)
        ]
        table.row(f"{of}{label}: a query, p50", median, "ms", "recall@10", statistics.mean(hits), share)
        table.row(f"{of}{label}: a query, p99", slow, "ms")


def of_server(name: str, address: str, items: int, mixture: Mixture, table: Table, queries: FloatArray) -> None:
    """A server that answers by itself, and beside it an index in memory over the same gallery."""
    size = queries.shape[1]
    with Gallery.create(address, embedder="benchmark", size=size, config=IndexConfig(kind="store")) as gallery:
        cpu, wall = once(lambda: sum(filled(gallery, mixture, items)))
        table.row(f"{name}, {items} items: fill", items / wall, "items/s", share=cpu / wall)
        cpu, wall = once(lambda: gallery.search(queries[:1], K))
        table.row(f"{name}: first search, its graph made", wall, "s", share=cpu / wall)
        print(gallery.index_report())
        truth = exact_ids(gallery, queries)
        asked_all(gallery, table, queries, truth, f"{name}, ")
    for kind in ("exact", "hnsw"):
        with Gallery.open(address, config=IndexConfig(kind=kind)) as memory:
            cpu, wall = once(lambda memory=memory: len(memory))
            table.row(f"FAISS {kind} over {name}: read, index built", wall, "s", share=cpu / wall)
            asked_all(memory, table, queries, truth, f"FAISS {kind} over {name}, ")


def local_servers(folder: Path) -> Iterator[tuple[str, str]]:
    """The servers of the tests, one after the other, each stopped before the next; what they are, and an address."""
    place = Path(__file__).parents[1] / "tests" / "contracts" / "conftest.py"
    spec = importlib.util.spec_from_file_location("servers_of_the_tests", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for kind, name in (("postgres", "PostgreSQL"), ("milvus", "Milvus Lite")):
        servers = module.Servers()
        try:
            yield name, servers.address(kind, folder)
        finally:
            servers.stop()


def plain(gallery: Gallery, config: IndexConfig, table: Table, queries: FloatArray) -> float:
    """FAISS alone over the same vectors: a graph with the gallery's links, at the gallery's effort."""
    import faiss

    effort = int(gallery.index_report().partition("effort ")[2].partition(",")[0])
    ids, parts = zip(*gallery.vectors(), strict=True)
    vectors = np.concatenate(parts)
    truth = faiss.IndexFlatIP(vectors.shape[1])
    truth.add(vectors)
    flat, *_ = asked(lambda q: truth.search(q, K), queries[:50])
    read = min(once(lambda: float(vectors.sum()))[1] for _ in range(3))
    table.row("FAISS alone, every vector: a query", flat, "ms", "reading all vectors once", flat / (1000 * read))
    graph = faiss.IndexHNSWFlat(vectors.shape[1], config.hnsw_links, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = config.hnsw_build
    cpu, wall = once(lambda: graph.add(vectors))
    table.row("FAISS alone, graph: built", wall, "s", share=cpu / wall)
    parameters = faiss.SearchParametersHNSW(efSearch=max(effort, 2 * K))
    median, *_ = asked(lambda q: graph.search(q, K, params=parameters), queries)
    wanted = truth.search(queries, K)[1]
    found = graph.search(queries, K, params=parameters)[1]
    recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(wanted.tolist(), found.tolist(), strict=True)])
    table.row(f"FAISS alone, graph, effort {effort}: a query", median, "ms", "recall@10", float(recall))
    held = np.concatenate([np.array(some, object) for some in ids])
    for label, where in FILTERS.items():
        if where:
            passing = {item.item_id for item in gallery.items(where)}
            behind_filter(table, label, (truth, graph), np.array([one in passing for one in held]), effort, queries)
    return median


def behind_filter(table: Table, label: str, indexes: tuple, mask: np.ndarray, effort: int, queries: FloatArray) -> None:
    """FAISS's graph alone, passing over what a filter leaves out, harder by the root of how few pass."""
    import faiss

    flat, graph = indexes
    sel = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    harder = int(effort * (len(mask) / max(1, mask.sum())) ** 0.5)
    parameters = faiss.SearchParametersHNSW(efSearch=harder, sel=sel)
    median, *_ = asked(lambda q: graph.search(q, K, params=parameters), queries)
    wanted = flat.search(queries, K, params=faiss.SearchParameters(sel=sel))[1]
    found = graph.search(queries, K, params=parameters)[1]
    recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(wanted.tolist(), found.tolist(), strict=True)])
    table.row(f"FAISS alone, graph, effort {harder}, {label}", median, "ms", "recall@10", float(recall))


def main() -> None:
    parser = options(__doc__)
    data = os.environ.get("DPRNET_DATA", "")
    parser.add_argument("photos", type=Path, nargs="?", default=Path(data) / "clothing" if data else None)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--vectors", type=Path, help="keep the real embeddings here (.npy), or take them from there")
    parser.add_argument("--folder", help="keep the gallery: a new folder, or a server's address")
    parser.add_argument("--kind", default="hnsw", choices=("auto", "exact", "hnsw", "ivf", "store"))
    parser.add_argument("--servers", action="store_true", help="measure PostgreSQL and Milvus Lite too, started here")
    parser.add_argument("--server", action="append", default=[], metavar="ADDRESS", help="measure this server too")
    parser.add_argument("--server-items", type=int, default=2_000)
    parser.add_argument("--server-queries", type=int, default=50)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--no-plain", action="store_true", help="leave FAISS alone out")
    given = parser.parse_args()
    if given.photos is None and (given.vectors is None or not given.vectors.is_file()):
        parser.error("name a folder of photos, or --vectors that were kept")
    table = Table("search", given.out)
    real = embedded(given.photos, given.bundle, given.vectors)
    order = np.random.default_rng(3).permutation(len(real))
    held_out = min(given.queries, len(real) // 5)
    queries, fitted = real[order[:held_out]], real[order[held_out:]]
    mixture = Mixture(np.ascontiguousarray(fitted))
    table.row("real photos: fitted, asking", len(fitted), "photos", "asking", held_out)
    config = IndexConfig(kind=given.kind)
    with tempfile.TemporaryDirectory() as name:
        place = given.folder or str(Path(name) / "gallery")
        with Gallery.create(place, embedder="benchmark", size=real.shape[1]) as gallery:
            cpu, wall = once(lambda: sum(filled(gallery, mixture, given.items)))
            table.row("fill", given.items / wall, "items/s", share=cpu / wall)
            gallery.compact()
        if "://" not in place:
            size = sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())
            table.row("on disk", size / 2**20, "MB", "float32 vectors", size / (4 * given.items * real.shape[1]))
        before = memory_mb()[0]
        with Gallery.open(place, config=config) as gallery:
            cpu, wall = once(lambda: len(gallery))
            print(gallery.index_report())
            table.row("open: read, index built and tried", wall, "s", share=cpu / wall)
            now, peak = memory_mb()
            vectors_mb = 4 * given.items * real.shape[1] / 2**20
            table.row("memory for the gallery", now - before, "MB", "float32 vectors", (now - before) / vectors_mb)
            table.row("memory of the process at its peak", peak, "MB")
            truth = exact_ids(gallery, queries)
            asked_all(gallery, table, queries, truth)
            cpu, wall = once(lambda: gallery.search(queries, K))
            table.row("in one call", len(queries) / wall, "queries/s", share=cpu / wall)
            more = max(1, given.items // 100)
            sum(filled(gallery, mixture, more, first=given.items))
            cpu, wall = once(lambda: len(gallery))
            table.row("opened again with a hundredth more", wall, "s", share=cpu / wall)
            print(f"extended: {gallery.index_report()}")
            if given.kind == "hnsw" and not given.no_plain:
                plain(gallery, config, table, queries)
        some = queries[: given.server_queries]
        for address in given.server:
            of_server(address.partition("://")[0], address, given.server_items, mixture, table, some)
        for server, address in local_servers(Path(name)) if given.servers else ():
            of_server(server, address, given.server_items, mixture, table, some)


if __name__ == "__main__":
    main()
