"""What a gallery answers when its server searches, over every server that does: as the index in memory answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dprnet.cli import run
from dprnet.core.errors import BadFilter, BadGallery, BadVector
from dprnet.gallery import Gallery, IndexConfig, Item, switch

SIZE = 8
STORE = IndexConfig(kind="store")
HOSTILE = "o'x\" \\ % _ {v0} %s; -- ]) or 1 == 1\n長袖 İß"


def item(item_id: str, *photos: str, **details: object) -> Item:
    return Item(item_id, tuple(Path(photo) for photo in photos or (f"{item_id}.jpg",)), **details)


@pytest.fixture(params=["postgres", pytest.param("milvus", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, servers: Any, tmp_path: Path) -> str:
    """Where a gallery may be made whose server searches."""
    made: str = servers.address(request.param, tmp_path)
    return made


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, SIZE)).astype(np.float32)


CATALOGUE = [
    item(
        "a",
        "a1.jpg",
        "a2.jpg",
        category="Dress",
        price="1.299,00 EUR",
        metadata={"in_stock": "yes", "since": "2026-03-01"},
    ),
    item("b", category="dress", price="12.50", metadata={"in_stock": "1", "size": "5.00", "fit": ""}),
    item("c", category="top", price="$49", metadata={"in_stock": "no", "Colour family": "Dark RED"}),
    item("d", category="STRASSE", title=HOSTILE, metadata={HOSTILE: HOSTILE}),
    item(
        "e", title="Straße 50%_off", price="-3", metadata={"in_stock": "FALSE", "size": "1e22", "since": "2025-12-31"}
    ),
    item("f"),
]
FILTERS = [
    "category = dress",
    "category != dress",
    "category = straße",
    "title ~ 'strasse 50%_'",
    "title ~ '0%%'",
    "title ~ ''",
    "price < 50",
    "price between 12.5 and 1299",
    "not price >= 49",
    "price is missing",
    "price is not missing",
    "fit is missing",
    "size = 5",
    "size = 1e22",
    "in_stock = true",
    "in_stock in (true, no)",
    "in_stock = 1.0",
    "in_stock = ''",
    "since >= 2026-01-01",
    "since between 2025 and 2026-06",
    '"Colour family" = "dark red" or not (category = dress or price < 0)',
    "item_id in (a, F) and not in_stock = no",
    "item_id < c",
]


@pytest.fixture
def gallery(server: str) -> Iterator[Gallery]:
    with Gallery.create(server, embedder="tiny@1", size=SIZE, config=STORE) as made:
        made.upsert(CATALOGUE, drawn(7))
        yield made


def told(gallery: Gallery, queries: np.ndarray, k: int, where: str = "") -> list[list[tuple[str, str, float]]]:
    return [
        [(m.item_id, m.photo, round(m.similarity, 4)) for m in row] for row in gallery.search(queries, k, where=where)
    ]


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_server_answers_as_the_index_does(gallery: Gallery, server: str, k: int) -> None:
    with Gallery.open(server) as memory:
        assert told(gallery, drawn(5, 1), k) == told(memory, drawn(5, 1), k)
        assert gallery.search(drawn(1), k)[0][0] == memory.search(drawn(1), k)[0][0]  # all that is told of an item
        assert gallery.index_report().startswith("store (")
        assert gallery.index_report().endswith(memory.index_report().partition(", ")[2])
        assert (len(gallery), gallery.identity) == (len(memory), memory.identity)
    assert gallery.search(np.zeros((0, SIZE)), k) == []
    with pytest.raises(BadVector, match="query 0"):
        gallery.search(np.zeros((1, SIZE)), k)


def test_every_filter_means_what_it_means_in_memory(gallery: Gallery, server: str) -> None:
    quoted = HOSTILE.replace("'", "''")
    hostile = [f"title = '{quoted}'", f"'{quoted}' = '{quoted}'", f"title ~ '{quoted[3:9]}'", f"title > '{quoted}'"]
    with Gallery.open(server) as memory:
        for where in [*FILTERS, *hostile]:
            assert told(gallery, drawn(2, 1), 10, where) == told(memory, drawn(2, 1), 10, where), where
            assert gallery.count(where) == memory.count(where), where
            assert list(gallery.items(where)) == list(memory.items(where)), where
    assert gallery.count(hostile[0]) == gallery.count(hostile[1]) == 1


def test_a_filter_that_cannot_be_applied_is_told_as_in_memory(gallery: Gallery) -> None:
    for ask in (gallery.count, lambda where: gallery.search(drawn(1), where=where)):
        with pytest.raises(BadFilter, match="column 'in_stok': no item of the gallery has it; did you mean 'in_stock'"):
            ask("price < 50 or in_stok = yes")
        with pytest.raises(BadFilter, match="is wanted"):
            ask("price <")


def test_an_answer_is_of_the_newest_version_and_names_it(gallery: Gallery, server: str) -> None:
    first = gallery.search(drawn(1))
    assert first.version == gallery.version
    with Gallery.open(server) as other:
        other.upsert([item("a", "a3.jpg"), item("g")], drawn(2, 2))
        other.update([item("b", category="skirt", price="20")])
        other.remove(["c"])
    assert gallery.refresh()
    answers = gallery.search(drawn(2, 2), 10)
    assert answers.version == first.version + 3 == gallery.version
    assert [row[0].item_id for row in answers] == ["a", "g"]
    assert {match.photo for match in answers[0]} == {"a3.jpg", "b.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg"}
    assert not gallery.refresh(beside=True)
    assert [one.item_id for one in gallery.items("price = 20 and category = skirt")] == ["b"]
    assert gallery.count("category = dress") == 0
    assert gallery.identity.endswith(f"@{answers.version} (6 photos)")


@pytest.mark.slow
def test_queries_during_updates_see_one_version_each(server: str) -> None:
    """A writer changes all items in every commit: an answer has one title throughout, and all items."""
    with (
        Gallery.create(server, embedder="tiny@1", size=SIZE) as writer,
        Gallery.open(server, config=STORE) as served,
    ):

        def write(number: int) -> None:
            writer.upsert([item(f"{n}", f"{number}.jpg", title=f"{number}") for n in range(8)], drawn(8, number))

        write(0)
        done = threading.Event()
        thread = threading.Thread(target=lambda: [write(number) for number in range(1, 80)] and done.set())
        thread.start()
        titles: dict[int, set[str]] = {}
        while not done.is_set():
            answers = served.search(drawn(3), 20, where="title is not missing")
            assert [len(row) for row in answers] == [8, 8, 8]
            titles.setdefault(answers.version, set()).update(match.title for row in answers for match in row)
        thread.join()
    assert len(titles) > 1, "the writer wrote meanwhile"
    assert all(len(seen) == 1 for seen in titles.values()), "one version, one state of all items"
    assert sorted(titles) == sorted(titles, key=lambda version: int(next(iter(titles[version]))))


def test_an_empty_gallery_and_one_that_was_emptied(server: str) -> None:
    with Gallery.create(server, embedder="tiny@1", size=SIZE, config=STORE) as made:
        assert made.search(drawn(2), 3) == [(), ()]
        assert made.search(drawn(2), 3, where="anything = 1") == [(), ()]
        made.upsert([item("a")], drawn(1))
        made.remove(["a"])
        assert made.search(drawn(2), 3) == [(), ()]
        assert (len(made), list(made.items())) == (0, [])


def test_an_item_of_very_many_photos_does_not_hide_the_others(server: str) -> None:
    near = np.eye(SIZE)[:1] + 0.01 * drawn(300)
    with Gallery.create(server, embedder="tiny@1", size=SIZE, config=STORE) as made:
        made.upsert(
            [item("many", *(f"{n}.jpg" for n in range(300))), item("b"), item("c")], np.r_[near, np.eye(SIZE)[1:3]]
        )
        (matches,) = made.search(np.eye(SIZE)[:1] + 0.1 * np.eye(SIZE)[1:2], 3)
        assert [match.item_id for match in matches] == ["many", "b", "c"]


def test_a_graph_finds_what_is_near_with_a_filter_too(server: str) -> None:
    vectors, queries = drawn(3000), drawn(20, 1)
    items = [item(f"{n:04}", metadata={"rare": "yes" if n % 300 == 0 else "no"}) for n in range(len(vectors))]
    with Gallery.create(server, embedder="tiny@1", size=SIZE, config=STORE) as made, Gallery.open(server) as memory:
        made.upsert(items, vectors)
        for where, least in (("", 0.9), ("rare = no", 0.9), ("rare = yes", 1.0)):
            found, truth = made.search(queries, 10, where=where), memory.search(queries, 10, where=where)
            pairs = [({m.item_id for m in a}, {m.item_id for m in b}) for a, b in zip(found, truth, strict=True)]
            assert np.mean([len(a & b) / 10 for a, b in pairs]) >= least, where


def test_a_live_name_moves_between_servers_and_not_to_a_folder(gallery: Gallery, server: str, tmp_path: Path) -> None:
    with Gallery.create(server + "2", embedder="tiny@1", size=SIZE) as second:
        second.upsert([item("z")], drawn(1))
    Gallery.create(tmp_path / "folder", embedder="tiny@1", size=SIZE).close()
    name = tmp_path / "shop.live"
    switch(name, server)
    with Gallery.open(name, config=STORE) as served:
        assert told(served, drawn(1), 1) == told(gallery, drawn(1), 1)
        switch(name, server + "2")
        assert served.refresh()
        assert [match.item_id for match in served.search(drawn(1))[0]] == ["z"]
        switch(name, tmp_path / "folder")
        assert not served.refresh()
        assert [match.item_id for match in served.search(drawn(1))[0]] == ["z"]


def test_the_command_line_lets_the_server_answer(
    gallery: Gallery, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["gallery", "show", server, "--kind", "store"]) == 0
    assert capsys.readouterr().out.startswith("store (")
    assert run(["gallery", "list", server, "--kind", "store", "--where", "price = 12.5"]) == 0
    assert capsys.readouterr().out == "b\tdress\t12.50\t\n"
    Gallery.create(tmp_path / "folder", embedder="tiny@1", size=SIZE).close()
    assert run(["gallery", "show", str(tmp_path / "folder"), "--kind", "store"]) == 2
    assert "which answers no search" in capsys.readouterr().err


def test_centroids_are_not_a_servers(gallery: Gallery, server: str) -> None:
    with pytest.raises(BadGallery, match="`photos` must be best, got centroid") as caught:
        Gallery.open(server, config=IndexConfig(kind="store", photos="centroid"))
    assert caught.value.reason == "no_server_search"


@pytest.mark.parametrize("where", ["folder", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_store_that_does_not_search_says_so(where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place = f"{request.getfixturevalue('bucket')}/searching" if where == "s3" else str(tmp_path / where)
    Gallery.create(place, embedder="tiny@1", size=SIZE).close()
    with pytest.raises(BadGallery, match="which answers no search: leave `kind` at auto") as caught:
        Gallery.open(place, config=STORE)
    assert caught.value.reason == "no_server_search"


@pytest.mark.slow
def test_the_graph_of_pgvector_is_used(servers: Any, tmp_path: Path) -> None:
    """Of fewer photos PostgreSQL compares every vector, which is then less work."""
    import psycopg

    server = servers.address("postgres", tmp_path)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((10_000, 64)).astype(np.float32)
    with Gallery.create(server, embedder="tiny@1", size=64, config=STORE) as made:
        made.upsert([item(f"{n:05}") for n in range(len(vectors))], vectors)
        answers = made.search(vectors[:20] + 0.3 * rng.standard_normal((20, 64)))
        assert [row[0].item_id for row in answers] == [f"{n:05}" for n in range(20)]
        assert all(len(row) == 10 for row in answers)
    address, _, name = server.partition("#")
    with psycopg.connect(address) as connection:
        connection.execute("LOAD 'vector'")
        connection.execute("SET hnsw.ef_search = 100")
        query = str(vectors[0].tolist())
        plan = connection.execute(
            f"EXPLAIN SELECT item_id FROM dprnet_photos_{name} ORDER BY vector <#> '{query}' LIMIT 28"
        ).fetchall()
    assert "Index Scan using" in str(plan)


def test_a_table_of_before_filters_ran_in_the_server(servers: Any, tmp_path: Path) -> None:
    """It is written to as it was, and gets its cells when it is first searched there; who may not is told."""
    import psycopg

    server = servers.address("postgres", tmp_path)
    address, _, name = server.partition("#")
    table = f"dprnet_photos_{name}"
    with Gallery.create(server, embedder="tiny@1", size=SIZE) as old, psycopg.connect(address, autocommit=True) as by:
        old.upsert(CATALOGUE, drawn(7))
        by.execute(f"ALTER TABLE {table} DROP COLUMN cells")
        old.upsert([item("g", price="7")], drawn(1))
        old.update([item("f", price="8")])
        by.execute(f"CREATE ROLE reader_{name} LOGIN")
        by.execute(f"GRANT SELECT ON {table}, dprnet_galleries TO reader_{name}")
        reader = server.replace("postgres:@", f"reader_{name}@")
        with Gallery.open(reader, config=STORE) as served, pytest.raises(BadGallery, match="search once as owner"):
            served.search(drawn(1))
        with Gallery.open(server, config=STORE) as served:
            assert [one.item_id for one in served.items("price < 10 and not price < 0")] == ["f", "g"]
        by.execute(f"UPDATE {table} SET price = '9', cells = NULL WHERE item_id = 'g'")
        with Gallery.open(server, config=STORE) as served:
            assert served.count("price = 9") == 1
        with Gallery.open(reader, config=STORE) as served:
            assert served.count("price = 9") == len(served.search(drawn(1), 1)) == 1


@pytest.mark.slow
def test_a_collection_of_before_milvus_searched(servers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read and written as it was; a search in the server says what to do."""
    from dprnet.gallery import milvus

    server = servers.address("milvus", tmp_path)
    make = milvus.make_collection

    def as_before(client: Any, name: str, texts: Any, others: dict[str, str], *rest: Any, **more: Any) -> None:
        make(client, name, texts, {key: kind for key, kind in others.items() if kind != "JSON"}, *rest, **more)

    monkeypatch.setattr(milvus, "make_collection", as_before)
    with Gallery.create(server, embedder="tiny@1", size=SIZE) as old:
        old.upsert(CATALOGUE, drawn(7))
        old.remove(["a"])
        assert [match.item_id for match in old.search(drawn(7)[2:3], where="category = dress")[0]] == ["b"]
    with (
        Gallery.open(server, config=STORE) as served,
        pytest.raises(BadGallery, match="`restore` it under another name"),
    ):
        served.search(drawn(1))


@pytest.mark.slow
def test_what_milvus_cannot_keep_for_filters_is_told(servers: Any, tmp_path: Path) -> None:
    with Gallery.create(servers.address("milvus", tmp_path), embedder="tiny@1", size=SIZE) as made:
        with pytest.raises(BadGallery, match="item 'a': 'cells' has"):
            made.upsert([item("a", title="x" * 40_000)], drawn(1))
        assert made.version == 1


@pytest.mark.slow
def test_every_face_has_the_server_search(
    server: str, random_bundle: Path, small_catalogue: Path, moving_square: Path, tmp_path: Path
) -> None:
    """One video by the Python call, `dprnet batch` and `dprnet watch`, and the service's galleries: no index here."""
    from dprnet.batch import BatchConfig, read_results, run_batch
    from dprnet.live.config import WatchConfig
    from dprnet.live.watch import Watcher
    from dprnet.pipeline import VideoToShop, index_catalogue
    from dprnet.service.config import ServiceConfig
    from dprnet.service.kept import KeptGallery
    from dprnet.service.shelves import Shelves

    index_catalogue(small_catalogue, server, bundle=random_bundle)
    with Gallery.open(server, config=IndexConfig(kind="exact")) as indexed:
        memory = VideoToShop.from_pretrained(random_bundle, gallery=indexed).search(moving_square)
    shop = VideoToShop.from_pretrained(random_bundle, gallery=server, kind="store")
    served = shop.search(moving_square)
    assert served.settings["kind"] == "store"
    assert shop.gallery is not None
    assert shop.gallery.index_report().startswith("store (")
    # Weights are random, so items are nearly the same: how similar they are says more than in which order they came.
    wanted = [match.similarity for items in memory.matches.items for match in items]
    assert wanted
    assert [match.similarity for items in served.matches.items for match in items] == pytest.approx(wanted, abs=1e-5)

    batch = BatchConfig(bundle=str(random_bundle), gallery=server, kind="store", workers=0)
    assert run_batch([moving_square], tmp_path / "out", batch).bad == ()
    (row,) = read_results(tmp_path / "out").to_pylist()
    assert [one["similarity"] for one in row["found"]] == pytest.approx(wanted, abs=1e-5)

    watcher = Watcher(random_bundle, gallery=server, config=WatchConfig(kind="store", idle_s=0.1))
    assert watcher.gallery is not None
    assert watcher.gallery.kind == "store"
    told = [event for event in watcher.watch(str(moving_square)) if event.kind in {"new", "better"}]
    assert all(len(event.told["matches"]) == 5 for event in told)
    assert told

    config = ServiceConfig(folder=tmp_path, galleries={"shop": server}, kinds={"shop": "store"})
    identity, size = watcher.embedder.identity, watcher.embedder.size
    shelves, kept = Shelves(config, identity, size), KeptGallery(config, identity)
    with shelves.gallery("shop") as opened:
        assert opened.index_report().startswith("store (")
    assert kept("shop").index_report().startswith("store (")
    for one in (shelves, kept, watcher.gallery, shop.gallery):
        one.close()
