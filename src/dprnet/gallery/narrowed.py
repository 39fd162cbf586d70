"""Search behind a filter: every way of looking only among the vectors that pass, as one call.

    N  vectors    P  that pass    D  numbers of a vector    Q  queries    K  wanted neighbours

A graph that passes over what a filter leaves out finds nothing where all that passes lies away from the query, as items
of another category do. So up to some hundred thousand vectors that pass are an index of their own: a bit a number of
each, all of them looked through, the nearest compared in full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dprnet.core.records import FloatArray, IntArray
from dprnet.gallery.faiss_calls import AT_ONCE, SEED, TRAINED_ON, Neighbours, faiss, searched

COMPARED = 8  # ours: vectors compared in full for each one wanted
LEAST_COMPARED = 200  # ours; 0.99 of the true ten among a sixth of a million (benchmarks/search.py)


class Narrowed(Protocol):
    """What answers among the vectors that pass a filter."""

    def search(self, queries: FloatArray, k: int) -> Neighbours:
        """About the k most similar of them."""

    def exactly(self, queries: FloatArray, k: int) -> Neighbours:
        """The k most similar of them."""


class Compared:
    """Each that passes is compared.

    Args:
        exactly: (queries, k) -> the k most similar of what passes.
    """

    def __init__(self, exactly: Callable[[FloatArray, int], Neighbours]) -> None:
        self.search = self.exactly = exactly


class PassedOver:
    """An index of all vectors passes over those that do not pass."""

    def __init__(
        self, search: Callable[[FloatArray, int], Neighbours], exactly: Callable[[FloatArray, int], Neighbours]
    ) -> None:
        self.search, self.exactly = search, exactly


class Coded:
    """Codes of what passes are looked through, the nearest compared in full."""

    def __init__(
        self,
        codes: Codes,
        passing: IntArray,
        places: IntArray,
        vectors: FloatArray,
        exactly: Callable[[FloatArray, int], Neighbours],
    ) -> None:
        """Codes of the vectors at some places.

        Args:
            passing: (P,) numbers of the vectors.
            places: (P,) where each stands among the codes and in ``vectors``.
            vectors: (places, D).
            exactly: compares with each that passes.
        """
        self._codes = codes
        self._index = codes.only(places)
        self._passing, self._places, self._vectors = passing, places, vectors
        self.exactly = exactly

    def search(self, queries: FloatArray, k: int) -> Neighbours:
        """About the k most similar of what passes."""
        k = min(k, len(self._passing))
        most = min(len(self._passing), max(LEAST_COMPARED, COMPARED * k))
        near = searched(self._index)(self._codes.turned(queries), most)[1]
        similarities = np.empty((len(queries), k), np.float32)
        found = np.empty((len(queries), k), np.int64)
        for row, (query, some) in enumerate(zip(queries, near, strict=True)):
            compared = self._vectors[self._places[some]] @ query
            best = np.argsort(-compared, kind="stable")[:k]
            similarities[row], found[row] = compared[best], self._passing[some[best]]
        return similarities, found


class Codes:
    """A bit a number of every vector (RaBitQ; Gao and Long 2024), taken after a random turn.

    The turn is part of the method: without it the bits of vectors whose numbers differ in spread tell much less.
    """

    def __init__(self, vectors: FloatArray) -> None:
        size = vectors.shape[1]
        self._turn: Any = faiss().RandomRotationMatrix(size, size)
        self._turn.init(SEED)
        self._coder: Any = faiss().IndexRaBitQ(size, faiss().METRIC_INNER_PRODUCT)
        self._coder.train(self.turned(vectors[:: max(1, len(vectors) // TRAINED_ON)]))
        self.rows = self._coded(vectors)
        """(places, bytes) uint8."""

    def extended(self, vectors: FloatArray) -> Codes:
        """These, and those of further vectors; these stay as they are."""
        other = object.__new__(Codes)
        other._turn, other._coder = self._turn, self._coder
        other.rows = np.concatenate([self.rows, other._coded(vectors)])
        return other

    def turned(self, vectors: FloatArray) -> FloatArray:
        """(N, D) vectors as they are coded."""
        turned: FloatArray = self._turn.apply(np.ascontiguousarray(vectors, np.float32))
        return turned

    def only(self, places: IntArray) -> Any:
        """An index of the codes at some places, in their order."""
        index = faiss().IndexRaBitQ(self._coder.d, faiss().METRIC_INNER_PRODUCT)
        index.center, index.is_trained = self._coder.center, True
        index.add_sa_codes(self.rows[places])
        return index

    def _coded(self, vectors: FloatArray) -> NDArray[np.uint8]:
        firsts = range(0, len(vectors), AT_ONCE)
        parts = [self._coder.sa_encode(self.turned(vectors[first : first + AT_ONCE])) for first in firsts]
        return np.concatenate(parts) if parts else np.zeros((0, self._coder.sa_code_size()), np.uint8)
