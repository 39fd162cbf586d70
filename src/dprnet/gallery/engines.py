"""FAISS behind one call: exact search, a graph (HNSW), or lists of short codes with re-ranking (IVF).

    N  vectors    D  numbers of a vector    Q  queries    K  wanted neighbours

Vectors have length 1, similarity is the cosine. ``only(mask)``, of (N,), is what lets only some vectors be found.
"""

from __future__ import annotations

import numpy as np

from dprnet.core.records import BoolArray, FloatArray, IntArray
from dprnet.gallery.approximate import Approximate
from dprnet.gallery.config import IndexConfig, Kind
from dprnet.gallery.faiss_calls import Neighbours, faiss, listed, searched
from dprnet.gallery.narrowed import Compared, Narrowed


class Exact:
    """Compares with every vector."""

    kind: Kind = "exact"
    recall = 1.0
    effort = 0

    def __init__(self, vectors: FloatArray) -> None:
        self._faiss = faiss().IndexFlatIP(vectors.shape[1])
        self._faiss.add(vectors)

    def search(self, queries: FloatArray, k: int) -> Neighbours:
        """The k most similar vectors."""
        similarities, found = searched(self._faiss)(queries, k)
        return similarities, found

    exactly = search

    def only(self, mask: BoolArray) -> Narrowed:
        """What answers among the vectors that a mask lets through."""
        parameters = faiss().SearchParameters(sel=listed(np.flatnonzero(mask)))
        return Compared(lambda queries, k: searched(self._faiss)(queries, k, params=parameters))


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
