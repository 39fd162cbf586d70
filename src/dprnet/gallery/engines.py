"""FAISS behind one call: exact search, a graph (HNSW), or lists of short codes with re-ranking (IVF).

    N  vectors    D  numbers of a vector    Q  queries    K  wanted neighbours

Vectors have length 1, similarity is the cosine. A mask (N,) lets only some vectors be found.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np

from dprnet.core.config import Settings
from dprnet.core.records import BoolArray, FloatArray, IntArray

logger = logging.getLogger(__name__)

Kind = Literal["exact", "hnsw", "ivf"]
Neighbours = tuple[FloatArray, IntArray]
"""(Q, K) similarities, falling, and (Q, K) numbers of vectors; -1 where there are fewer."""

FEW = 0.05  # ours: of so small a part of the vectors, comparing with each is quicker than looking for them
TRAINED_ON = 100_000  # ours: vectors that lists and codes are fitted to
EFFORTS = {"hnsw": (32, 64, 128, 256, 512, 1024), "ivf": (8, 16, 32, 64, 128, 256)}
RERANKED = 20  # ours: vectors compared in full for each one wanted
SEED = 20_211  # of the queries that measure recall


class IndexConfig(Settings):
    """How a gallery is searched."""

    kind: Literal["auto", "exact", "hnsw", "ivf"] = "auto"
    photos: Literal["best", "centroid"] = "best"  # ours: an item is as similar as its most similar photo
    exact_up_to: int = 50_000  # ours: vectors; 2 ms a query at 20,000 photos of 256 numbers grow with their number
    hnsw_up_to: int = 2_000_000  # ours: vectors; 2.5 GB at 256 numbers
    recall: float = 0.95  # issue: recall@10 against exact search
    recall_queries: int = 200  # ours
    hnsw_links: int = 32  # HNSW's usual
    hnsw_build: int = 80  # ours

    def kind_for(self, vectors: int) -> Kind:
        """The engine for so many vectors."""
        if self.kind != "auto":
            return self.kind
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
            return _pair(self._faiss.search(queries, k))
        return _pair(self._faiss.search(queries, k, params=_faiss().SearchParameters(sel=_only(mask))))


class Approximate:
    """Looks where neighbours are likely, hard enough for the recall that was asked for.

    What it reaches is measured when it is built, on photos of the gallery with some noise, and kept in ``recall``.
    """

    def __init__(self, vectors: FloatArray, kind: Kind, config: IndexConfig) -> None:
        self.kind = kind
        self.effort = EFFORTS[kind][0]
        self._vectors = vectors
        self._faiss: Any = _graph(vectors, config) if kind == "hnsw" else _lists(vectors)
        self.recall = self._tune(config)

    def search(self, queries: FloatArray, k: int, mask: BoolArray | None = None) -> Neighbours:
        """About the k most similar vectors; exactly those where the mask leaves only few."""
        if mask is not None and mask.mean() < FEW:
            return self.exactly(queries, k, mask)
        return _pair(self._faiss.search(queries, k, params=self._parameters(k, mask)))

    def exactly(self, queries: FloatArray, k: int, mask: BoolArray | None = None) -> Neighbours:
        """The k most similar vectors, by comparing with each."""
        rows: IntArray = np.arange(len(self._vectors)) if mask is None else np.flatnonzero(mask)
        similarities, found = Exact(self._vectors[rows]).search(queries, k)
        return similarities, np.where(found >= 0, rows[found] if len(rows) else -1, -1)

    def _parameters(self, k: int, mask: BoolArray | None) -> Any:
        sel = None if mask is None else _only(mask)
        if self.kind == "hnsw":
            return _faiss().SearchParametersHNSW(efSearch=max(self.effort, 2 * k), sel=sel)
        lists = _faiss().IVFRaBitQSearchParameters(nprobe=self.effort, qb=8, sel=sel)
        return _faiss().IndexRefineSearchParameters(k_factor=RERANKED, base_index_params=lists)

    def _tune(self, config: IndexConfig) -> float:
        """Raise the effort until the recall is reached; what is reached comes back."""
        rng = np.random.default_rng(SEED)
        n, size = self._vectors.shape
        chosen = self._vectors[rng.integers(0, n, min(n, config.recall_queries))]
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


def _only(mask: BoolArray) -> Any:
    return _faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _pair(found: tuple[FloatArray, IntArray]) -> Neighbours:
    return found[0], found[1]
