"""A graph (HNSW) or lists of short codes (IVF) that reach a stated recall, and go on from version to version.

N  vectors    D  numbers of a vector    Q  queries    K  wanted neighbours
"""

from __future__ import annotations

import logging
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from dprnet.core.records import BoolArray, FloatArray, IntArray
from dprnet.gallery.config import IndexConfig, Kind
from dprnet.gallery.faiss_calls import AT_ONCE, SEED, TRAINED_ON, Neighbours, faiss, flagged, held, listed, searched
from dprnet.gallery.narrowed import Coded, Codes, Compared, Narrowed, PassedOver

logger = logging.getLogger(__name__)

FEW = {"hnsw": 2_000, "ivf": 20_000}  # ours: so few vectors are compared one by one, sooner than looked for among all
CODED = 200_000  # ours: so many that pass have their codes looked through, in some 4 ms, where there is a graph
EFFORTS = {"hnsw": (32, 64, 96, 128, 192, 256, 512, 1024), "ivf": (8, 16, 32, 64, 128, 256)}
MOST_EFFORT = 4096  # ours: with a filter
RERANKED = 40  # ours: vectors compared in full for each one wanted
HARDER = {"hnsw": 0.4, "ivf": 0.75}  # ours: power of all / passing; lists want more for filters that go by looks
MISSED = 0.4  # ours: of what may be missed; real photos held out miss twice as many as these queries (docs/gallery.md)
BETWEEN = 0.4  # ours: so far, at most, queries that measure recall lie from a photo towards another
MOST_ADDED = 0.5  # ours: of the vectors; where more are new, lists and links are better made anew
MOST_DEAD = 0.25  # ours: of the places; vectors that went still cost memory and time


class Approximate:
    """Looks where neighbours are likely, hard enough for the recall that was asked for.

    What it reaches is measured when it is built, on queries between photos of the gallery, and kept in ``recall``.
    FAISS's index only ever grows: a vector stands at a place of it, and places whose vector went are passed over.
    """

    def __init__(self, vectors: FloatArray, kind: Kind, config: IndexConfig) -> None:
        self.kind = kind
        self.effort = EFFORTS[kind][0]
        self._faiss: Any = _graph(vectors, config) if kind == "hnsw" else _lists(vectors)
        self._place: IntArray | None = None  # (N,) of each vector; None: its own number
        self._vector: IntArray | None = None  # (places,) the vector at each, or -1
        self._alive: Any = None  # passes over the places whose vector went; None where none did
        self._codes = Codes(vectors) if kind == "hnsw" else None
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
        other._faiss = faiss().clone_index(self._faiss)
        other._faiss.add(np.ascontiguousarray(vectors[new]))
        place: IntArray = np.empty(len(vectors), np.int64)
        place[~new] = was[~new] if self._place is None else self._place[was[~new]]
        place[new] = np.arange(self.places, places)
        other._place = place
        other._vector = np.full(places, -1)
        other._vector[place] = np.arange(len(vectors))
        other._alive = flagged(other._vector >= 0)
        other._codes = None if self._codes is None else self._codes.extended(vectors[new])
        other.recall = other._tune(vectors, config)
        return other if other.recall >= min(config.recall, self.recall) else None

    def search(self, queries: FloatArray, k: int) -> Neighbours:
        """About the k most similar vectors."""
        return self._asked(self._alive, self.effort, queries, k)

    def exactly(self, queries: FloatArray, k: int) -> Neighbours:
        """The k most similar vectors, by comparing with each (lists: at half precision)."""
        return self._compared(self._alive, queries, k)

    def only(self, mask: BoolArray) -> Narrowed:
        """What answers among the vectors that a mask lets through: made once for a filter, asked many times."""
        passing = np.flatnonzero(mask)
        places = passing if self._place is None else self._place[passing]
        there = np.zeros(self.places, bool)
        there[places] = True
        # Told by bits, FAISS asks of every place whether it passes; vectors at half precision take no list.
        exactly = partial(self._compared, listed(places) if self.kind == "hnsw" else flagged(there))
        if len(passing) <= FEW[self.kind]:
            return Compared(exactly)
        if self._codes is not None and len(passing) <= CODED:
            return Coded(self._codes, passing, places, held(self._whole), exactly)
        # Neighbours that pass lie further away: the fewer pass, the more must be looked at.
        effort = int(self.effort * (self.places / len(passing)) ** HARDER[self.kind])
        return PassedOver(partial(self._asked, flagged(there), min(MOST_EFFORT, effort)), exactly)

    @property
    def _whole(self) -> Any:
        """FAISS's index of all vectors in full."""
        return faiss().downcast_index(self._faiss.storage if self.kind == "hnsw" else self._faiss.refine_index)

    def _compared(self, sel: Any, queries: FloatArray, k: int) -> Neighbours:
        return self._numbered(searched(self._whole)(queries, k, params=faiss().SearchParameters(sel=sel)))

    def _asked(self, sel: Any, effort: int, queries: FloatArray, k: int) -> Neighbours:
        if self.kind == "hnsw":
            parameters = faiss().SearchParametersHNSW(efSearch=max(effort, 2 * k), sel=sel)
        else:
            lists = faiss().IVFRaBitQSearchParameters(nprobe=effort, qb=8, sel=sel)
            turned = faiss().SearchParametersPreTransform(index_params=lists)
            parameters = faiss().IndexRefineSearchParameters(k_factor=RERANKED, base_index_params=turned)
        return self._numbered(searched(self._faiss)(queries, k, params=parameters))

    def _numbered(self, found: Any) -> Neighbours:
        """Numbers of vectors for places."""
        similarities, places = found
        if self._vector is not None:
            places = np.where(places >= 0, self._vector[places], -1)
        return similarities, places

    def _tune(self, vectors: FloatArray, config: IndexConfig) -> float:
        """Raise the effort until the recall is reached; what is reached comes back."""
        rng = np.random.default_rng(SEED)
        n, size = vectors.shape
        asked = min(n, config.recall_queries)
        one, other = (vectors[rng.integers(0, n, asked)] for _ in range(2))
        # Photos that no gallery holds lie between its own, where a graph has few links.
        queries = one + rng.uniform(0, BETWEEN, (asked, 1)).astype(np.float32) * (other - one)
        queries += rng.normal(0.0, 0.1 / size**0.5, queries.shape).astype(np.float32)  # no query is all zeros
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        k = min(10, n)
        goal = 1 - MISSED * (1 - config.recall)
        truth = self.exactly(queries, k)[1]
        recall = 0.0
        for effort in EFFORTS[self.kind]:
            self.effort = effort
            found = self.search(queries, k)[1]
            hits = [len(set(a) & set(b)) for a, b in zip(truth.tolist(), found.tolist(), strict=True)]
            recall = sum(hits) / truth.size
            if recall >= goal:
                break
        told = logger.info if recall >= config.recall else logger.warning
        told("%s over %d vectors: recall@%d %.3f against exact search, effort %d", self.kind, n, k, recall, self.effort)
        return recall


def _graph(vectors: FloatArray, config: IndexConfig) -> Any:
    graph = faiss().IndexHNSWFlat(vectors.shape[1], config.hnsw_links, faiss().METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = config.hnsw_build
    graph.add(vectors)
    return graph


def _lists(vectors: FloatArray) -> Any:
    """Lists around centres, a bit a number (RaBitQ, after its random turn), the nearest compared at half precision."""
    n, size = vectors.shape
    trained = min(n, TRAINED_ON)
    centres = max(1, min(int(4 * n**0.5), trained // 39))  # FAISS wants 39 vectors a centre
    lists = faiss().index_factory(size, f"RR,IVF{centres},RaBitQ,Refine(SQfp16)", faiss().METRIC_INNER_PRODUCT)
    rows = np.sort(np.random.default_rng(SEED).choice(n, trained, replace=False))
    lists.train(vectors[rows])
    for first in range(0, n, AT_ONCE):
        lists.add(vectors[first : first + AT_ONCE])
    return lists
