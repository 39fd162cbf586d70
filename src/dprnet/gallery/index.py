"""What is searched: the photos of one version of the store as an engine in memory, never a store itself.

Reading 20,000 vectors of 256 numbers back from the store takes some 40 ms, no more than reading an index file would:
so no such file is kept, and none can be damaged or out of date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dprnet.core.records import FloatArray, IntArray
from dprnet.gallery.approximate import Approximate
from dprnet.gallery.columns import MASKS, ItemColumns
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.engines import Engine, build_engine, next_engine
from dprnet.gallery.narrowed import Narrowed

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ASKED = 2_048  # ours: neighbours that an approximate engine is asked for before every vector is compared
Found = tuple[list[int], list[float]]
"""Rows and similarities of one query's items, best first."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What answers behind a filter, and how many units and items that lets through."""

    engine: Narrowed
    units: int
    items: int


class PhotoIndex:
    """All photos of one version of a store, searched by cosine similarity, each item once.

    A unit is what the engine compares: a photo, or the mean of an item's photos (``IndexConfig.photos``).
    """

    def __init__(
        self,
        version: int,
        rows: pa.Table,
        size: int,
        config: IndexConfig | None = None,
        before: PhotoIndex | None = None,
    ) -> None:
        """Build from rows with the columns ``item_id``, ``photo`` and ``vector``.

        Args:
            before: the index of an earlier version: what it knows of vectors that stayed is taken over where that is
                less work. It goes on answering.
        """
        self.config = config or IndexConfig()
        # The order of rows in the store follows its history; sorted, equal galleries give equal answers.
        rows = rows.sort_by([("item_id", "ascending"), ("photo", "ascending")])
        self.version = version
        self.rows = rows.drop_columns(["vector"]).combine_chunks()
        self.columns = ItemColumns(self.rows)
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(-1, size)
        ids = rows["item_id"].combine_chunks()
        self._item: IntArray = np.asarray(ids.dictionary_encode().indices.to_numpy(), np.int64)
        self.items = len(ids.unique())
        self._photos: FloatArray | None = None
        if self.config.photos == "centroid":
            self._photos = vectors
            vectors = _means(vectors, self._item, self.items)
        self._filters: dict[str, Allowed] = {}
        self.extended = False
        """Whether the engine was taken over from an earlier version's."""
        exact = self.config.kind_for(len(vectors)) == "exact"  # nothing to take over: it is made sooner than compared
        self._keys = None if exact else self._named(vectors)
        if before is None or before._keys is None or self._keys is None or before.config != self.config:
            self.engine: Engine = build_engine(vectors, self.config)
        else:
            was = before._positions(self._keys)
            self.engine, self.extended = next_engine(before.engine, vectors, was, self.config)

    def _positions(self, keys: pa.Array) -> IntArray:
        """Which unit of this index each of another one's keys is, -1 where none."""
        import pyarrow.compute as pc

        found = pc.fill_null(pc.index_in(keys, value_set=self._keys), -1)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)

    def _named(self, vectors: FloatArray) -> pa.Array:
        """A key for each unit: whose it is, and what its vector holds."""
        import pyarrow as pa
        import pyarrow.compute as pc

        prints = pa.array(_prints(vectors)).cast(pa.large_string())
        columns = [self.rows["item_id"], self.rows["photo"]]
        if self._photos is not None:
            first = np.searchsorted(self._item, np.arange(self.items))
            columns = [self.rows["item_id"].take(first)]
        whole = [pa.chunked_array(column).combine_chunks().cast(pa.large_string()) for column in columns]
        nul = pa.scalar("\0", pa.large_string())  # no text of a gallery holds one
        return pc.binary_join_element_wise(*whole, prints, nul)

    def __str__(self) -> str:
        if not isinstance(self.engine, Approximate):
            return self.engine.kind
        told = f"{self.engine.kind}, recall@10 {self.engine.recall:.3f}, effort {self.engine.effort}"
        return told + (", extended" if self.extended else "")

    def search(self, vectors: FloatArray, k: int, where: str = "") -> list[Found]:
        """The k most similar items of each query, (N, D) -> N x (rows, similarities), best first.

        An item stands for itself once, by its most similar photo; fewer than k where there are fewer items, or fewer
        that pass the filter.

        Raises:
            BadFilter: ``where`` cannot be read, or names a column that no item has.
        """
        allowed = self._allowed(where)
        k = min(k, allowed.items)
        if k < 1 or not len(vectors):
            return [([], []) for _ in vectors]
        queries = np.ascontiguousarray(vectors, np.float32)
        found: list[Found] = [([], [])] * len(queries)
        asking = np.arange(len(queries))
        wanted = min(allowed.units, k if self._photos is not None else 2 * k + 8)
        exactly = False
        while len(asking):
            search = allowed.engine.exactly if exactly else allowed.engine.search
            similarities, numbers = search(queries[asking], wanted)
            for query, near, alike in zip(asking.tolist(), numbers, similarities, strict=True):
                found[query] = self._one_an_item(near, alike, k)
            if exactly and wanted == allowed.units:
                break
            short = np.array([len(found[query][0]) < k for query in asking.tolist()])
            asking, numbers = asking[short], numbers[short]
            ended = bool((numbers < 0).any())  # a graph, before all that passes was seen
            exactly = exactly or ended or 4 * wanted > MOST_ASKED
            wanted = wanted if ended else min(allowed.units, 4 * wanted)  # some item has many photos: look further down
        return found if self._photos is None else [self._shown(q, one) for q, one in zip(queries, found, strict=True)]

    def _allowed(self, where: str) -> Allowed:
        """What answers behind a filter."""
        if not where.strip():
            units = self.items if self._photos is not None else len(self._item)
            return Allowed(self.engine, units, self.items)
        known = self._filters.pop(where, None) or self._let_through(where)
        self._filters[where] = known  # the latest stands last
        if len(self._filters) > MASKS:
            del self._filters[next(iter(self._filters))]
        return known

    def _let_through(self, where: str) -> Allowed:
        rows = self.columns.passing(where)
        items = np.unique(self._item[rows])
        if self._photos is None:
            return Allowed(self.engine.only(rows), int(rows.sum()), len(items))
        mask = np.zeros(self.items, bool)
        mask[items] = True
        return Allowed(self.engine.only(mask), len(items), len(items))

    def _one_an_item(self, units: IntArray, similarities: FloatArray, k: int) -> Found:
        there = units >= 0
        units, similarities = units[there], similarities[there]
        order = np.lexsort((units, -similarities))  # of equal similarity, the first in the gallery's order
        units, similarities = units[order], similarities[order]
        items = units if self._photos is not None else self._item[units]
        _, first = np.unique(items, return_index=True)
        kept = np.sort(first)[:k]
        return units[kept].tolist(), np.clip(similarities[kept], -1.0, 1.0).tolist()

    def _shown(self, query: FloatArray, found: Found) -> Found:
        """Items found by their mean, each with the photo that is most like the query."""
        assert self._photos is not None, "only means need a photo to stand for them"
        rows = []
        for item in found[0]:
            start, stop = np.searchsorted(self._item, [item, item + 1])
            rows.append(int(start + np.argmax(self._photos[start:stop] @ query)))
        return rows, found[1]


def _means(vectors: FloatArray, item: IntArray, items: int) -> FloatArray:
    """(N, D) photos -> (items, D) means at length 1; photos that cancel out leave the item's first."""
    means = np.zeros((items, vectors.shape[1]), np.float64)
    np.add.at(means, item, vectors)
    lengths = np.linalg.norm(means, axis=1)
    first = np.searchsorted(item, np.arange(items))
    empty = lengths < 1e-6
    means[empty], lengths[empty] = vectors[first[empty]], 1.0
    unit: FloatArray = (means / lengths[:, None]).astype(np.float32)
    return unit


def _prints(vectors: FloatArray) -> NDArray[np.uint64]:
    """(N, D) -> (N,) a number that tells vectors apart: their bits, weighted at random, modulo 2^64."""
    weights = np.random.default_rng(0).integers(1, 2**63, vectors.shape[1], np.uint64) | np.uint64(1)
    prints = np.zeros(len(vectors), np.uint64)
    for number, weight in enumerate(weights):  # a column at a time: as one product it would double the memory
        prints += np.ascontiguousarray(vectors[:, number], np.float32).view(np.uint32) * weight
    return prints
