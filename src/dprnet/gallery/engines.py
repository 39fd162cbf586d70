"""FAISS behind one call: exact search, a graph (HNSW), or lists of short codes with re-ranking (IVF).

    N  vectors    D  numbers of a vector    Q  queries    K  wanted neighbours

Vectors have length 1, similarity is the cosine. A mask (N,) lets only some vectors be found.
"""

from __future__ import annotations

import logging
from copy import copy
from typing import Any, Literal, cast

import numpy as np

from dprnet.core.config import Settings
from dprnet.core.records import BoolArray, FloatArray, IntArray

logger = logging.getLogger(__name__)

Kind = Literal["exact", "hnsw", "ivf"]
SearchKind = Literal["auto", "exact", "hnsw", "ivf", "store"]
"""``auto``: an index of the kind that fits the gallery's size; ``store``: none, the server that keeps it answers."""
Neighbours = tuple[FloatArray, IntArray]
"""(Q, K) similarities, falling, and (Q, K) numbers of vectors; -1 where there are fewer."""

FEW = 20_000  # ours: so few vectors are compared one by one, in some 3 ms, sooner than looked for among all
TRAINED_ON = 100_000  # ours: vectors that lists and codes are fitted to
EFFORTS = {"hnsw": (32, 64, 128, 256, 512, 1024), "ivf": (8, 16, 32, 64, 128, 256)}
MOST_EFFORT = {"hnsw": 4096, "ivf": 4096}  # ours: with a filter
RERANKED = 20  # ours: vectors compared in full for each one wanted
HARDER = 0.75  # ours: power of all / passing; random filters want 0.5, filters that go by looks more
MOST_ADDED = 0.5  # ours: of the vectors; where more are new, lists and links are better made anew
MOST_DEAD = 0.25  # ours: of the places; vectors that went still cost memory and time
SEED = 20_211  # of the queries that measure recall


class IndexConfig(Settings):
    """How a gallery is searched."""

    kind: SearchKind = "auto"
    photos: Literal["best", "centroid"] = "best"  # ours: an item is as similar as its most similar photo
    exact_up_to: int = 50_000  # ours: vectors; 2 ms a query at 20,000 photos of 256 numbers grow with their number
    hnsw_up_to: int = 2_000_000  # ours: vectors; 2.5 GB at 256 numbers
    recall: float = 0.95  # issue: recall@10 against exact search
    recall_queries: int = 200  # ours
    hnsw_links: int = 32  # HNSW's usual
    hnsw_build: int = 80  # ours
    store_effort: int = 100  # ours: vectors that a server's graph keeps in view; nobody measures the recall there

    def kind_for(self, vectors: int) -> Kind:
        """The engine for so many vectors."""
        if self.kind not in {"auto", "store"}:
            return cast(Kind, self.kind)
        return "exact" if vectors <= self.exact_up_to else "hnsw" if vectors <= self.hnsw_up_to else "ivf"


class Exact:
    """Compares with every vector."""

    kind: Kind = "exact"
    recall = 1.0
    effort = 0

    def __init__(self, vectors: FloatArray) -> None:
        self._faiss = _faiss().IndexFlatIP(vectors.shape[1])
        self._faiss.add(vectors)

    def search(self, queries: FloatArray, k: int, mask: BoolArray | None = None) -> Neighbours:
        """The k most similar vectors."""
        if mask is None:
            return _pair(_search(self._faiss)(queries, k))
        return _pair(_search(self._faiss)(queries, k, params=_faiss().SearchParameters(sel=_only(mask))))


class Approximate:
    """Looks where neighbours are likely, hard enough for the recall that was asked for.

    What it reaches is measured when it is built, on photos of the gallery with some noise, and kept in ``recall``.
    FAISS's index only ever grows: a vector stands at a place of it, and places whose vector went are passed over.
    """

    def __init__(self, vectors: FloatArray, kind: Kind, config: IndexConfig) -> None:
        self.kind = kind
        self.effort = EFFORTS[kind][0]
        self._faiss: Any = _graph(vectors, config) if kind == "hnsw" else _lists(vectors)
        self._place: IntArray | None = None  # (N,) of each vector; None: its own number
        self._vector: IntArray | None = None  # (places,) the vector at each, or -1
        self._n = len(vectors)
        self.recall = self._tune(vectors, config)

    @property
    def places(self) -> int:
        """Vectors in FAISS's index, those that went too."""
        return int(self._faiss.ntotal)

    def extended(self, vectors: FloatArray, was: IntArray, config: IndexConfig) -> Approximate | None:
        """Another engine for the next version's (N, D) vectors, which keeps what this one knows of them.

        This one goes on as it was. None where building anew is better: much is new, much went, another kind is wanted,
        or the recall is no longer reached.

        Args:
            was: (N,) which of this engine's vectors each is, -1 for a new one.
        """
        new = was < 0
        places = self.places + int(new.sum())
        if (
            config.kind_for(len(vectors)) != self.kind
            or new.mean() > MOST_ADDED
            or len(vectors) < (1 - MOST_DEAD) * places
        ):
            return None
        other = copy(self)
        other._faiss = _faiss().clone_index(self._faiss)
        other._faiss.add(np.ascontiguousarray(vectors[new]))
        place: IntArray = np.empty(len(vectors), np.int64)
        place[~new] = was[~new] if self._place is None else self._place[was[~new]]
        place[new] = np.arange(self.places, places)
        other._place, other._n = place, len(vectors)
        other._vector = np.full(places, -1)
        other._vector[place] = np.arange(len(vectors))
        other.recall = other._tune(vectors, config)
        return other if other.recall >= min(config.recall, self.recall) else None

    def search(self, queries: FloatArray, k: int, mask: BoolArray | None = None) -> Neighbours:
        """About the k most similar vectors; exactly those where the mask leaves only few."""
        passing = self._n if mask is None else int(np.count_nonzero(mask))
        if mask is not None and passing <= FEW:
            return self.exactly(queries, k, mask)
        return self._asked(self._faiss, queries, k, self._parameters(k, mask, passing))

    def exactly(self, queries: FloatArray, k: int, mask: BoolArray | None = None) -> Neighbours:
        """The k most similar vectors, by comparing with each (lists: at half precision)."""
        whole = self._faiss.storage if self.kind == "hnsw" else self._faiss.refine_index
        parameters = _faiss().SearchParameters(sel=self._only(mask))
        return self._asked(_faiss().downcast_index(whole), queries, k, parameters)

    def _asked(self, index: Any, queries: FloatArray, k: int, parameters: Any) -> Neighbours:
        similarities, found = _search(index)(queries, k, params=parameters)
        if self._vector is not None:
            found = np.where(found >= 0, self._vector[found], -1)
        return similarities, found

    def _only(self, mask: BoolArray | None) -> Any:
        if self._vector is None:
            return None if mask is None else _only(mask)
        there = self._vector >= 0
        if mask is not None:
            there &= mask[self._vector]
        return _only(there)

    def _parameters(self, k: int, mask: BoolArray | None, passing: int) -> Any:
        # Neighbours that pass lie further away: the fewer pass, the more must be looked at.
        effort = min(MOST_EFFORT[self.kind], int(self.effort * (self.places / passing) ** HARDER))
        sel = self._only(mask)
        if self.kind == "hnsw":
            return _faiss().SearchParametersHNSW(efSearch=max(effort, 2 * k), sel=sel)
        lists = _faiss().IVFRaBitQSearchParameters(nprobe=effort, qb=8, sel=sel)
        return _faiss().IndexRefineSearchParameters(k_factor=RERANKED, base_index_params=lists)

    def _tune(self, vectors: FloatArray, config: IndexConfig) -> float:
        """Raise the effort until the recall is reached; what is reached comes back."""
        rng = np.random.default_rng(SEED)
        n, size = vectors.shape
        chosen = vectors[rng.integers(0, n, min(n, config.recall_queries))]
        queries = chosen + rng.normal(0.0, 0.5 / size**0.5, chosen.shape).astype(np.float32)  # cosine some 0.9
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        k = min(10, n)
        truth = self.exactly(queries, k)[1]
        recall = 0.0
        for effort in EFFORTS[self.kind]:
            self.effort = effort
            found = self.search(queries, k)[1]
            hits = [len(set(a) & set(b)) for a, b in zip(truth.tolist(), found.tolist(), strict=True)]
            recall = sum(hits) / truth.size
            if recall >= config.recall:
                break
        told = logger.info if recall >= config.recall else logger.warning
        told("%s over %d vectors: recall@%d %.3f against exact search, effort %d", self.kind, n, k, recall, self.effort)
        return recall


Engine = Exact | Approximate


def build_engine(vectors: FloatArray, config: IndexConfig) -> Engine:
    """The engine for (N, D) vectors of length 1."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    kind = config.kind_for(len(vectors)) if len(vectors) > 1 else "exact"
    return Exact(vectors) if kind == "exact" else Approximate(vectors, kind, config)


def next_engine(old: Engine, vectors: FloatArray, was: IntArray, config: IndexConfig) -> tuple[Engine, bool]:
    """The engine for a later version's vectors, and whether it was extended from the old one rather than built anew."""
    if isinstance(old, Approximate) and len(vectors) > 1:
        extended = old.extended(np.ascontiguousarray(vectors, np.float32), was, config)
        if extended is not None:
            return extended, True
    return build_engine(vectors, config), False


def _faiss() -> Any:
    """The library, imported when first searched; its own types know nothing of keyword arguments."""
    import faiss

    return faiss


def _graph(vectors: FloatArray, config: IndexConfig) -> Any:
    graph = _faiss().IndexHNSWFlat(vectors.shape[1], config.hnsw_links, _faiss().METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = config.hnsw_build
    graph.add(vectors)
    return graph


def _lists(vectors: FloatArray) -> Any:
    """Lists around centres, a bit a number (RaBitQ), the nearest compared again at half precision."""
    n, size = vectors.shape
    trained = min(n, TRAINED_ON)
    centres = max(1, min(int(4 * n**0.5), trained // 39))  # FAISS wants 39 vectors a centre
    lists = _faiss().index_factory(size, f"IVF{centres},RaBitQ,Refine(SQfp16)", _faiss().METRIC_INNER_PRODUCT)
    rows = np.sort(np.random.default_rng(SEED).choice(n, trained, replace=False))
    lists.train(vectors[rows])
    lists.add(vectors)
    return lists


def _search(index: Any) -> Any:
    """FAISS's own search of arrays. Where something has imported its extension for torch (pytorch-metric-learning
    does), that has put another in its place, which takes no parameters."""
    return getattr(index, "search_numpy", index.search)


def _only(mask: BoolArray) -> Any:
    return _faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _pair(found: tuple[FloatArray, IntArray]) -> Neighbours:
    return found[0], found[1]
