"""The search engine: an exact FAISS index in memory, derived from one version of the store, never a store itself.

Reading 20,000 vectors of 256 numbers back from the store takes some 40 ms, no more than reading an index file would:
so no such file is kept, and none can be damaged or out of date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dprnet.core.records import FloatArray, IntArray

if TYPE_CHECKING:
    import pyarrow as pa


class ExactIndex:
    """All photos of one version of a store, searched by cosine similarity."""

    def __init__(self, version: int, rows: pa.Table, size: int) -> None:
        """Build from rows with the columns ``item_id``, ``photo`` and ``vector``."""
        import faiss

        # The order of rows in the store follows its history; sorted, equal galleries give equal answers.
        rows = rows.sort_by([("item_id", "ascending"), ("photo", "ascending")])
        self.version = version
        self.rows = rows.drop_columns(["vector"])
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(-1, size)
        ids = rows["item_id"].combine_chunks()
        self._item: IntArray = np.asarray(ids.dictionary_encode().indices.to_numpy(), np.int64)
        self.items = len(ids.unique())
        self._faiss = faiss.IndexFlatIP(size)
        self._faiss.add(np.ascontiguousarray(vectors, np.float32))

    def search(self, vectors: FloatArray, k: int) -> list[tuple[list[int], list[float]]]:
        """The k most similar items of each query, (N, D) -> N x (rows, similarities), best first.

        An item stands for itself once, by its most similar photo; fewer than k where there are fewer items.
        """
        k = min(k, self.items)
        photos = len(self._item)
        if k < 1 or not len(vectors):
            return [([], []) for _ in vectors]
        wanted = min(photos, 2 * k + 8)
        while True:
            similarities, rows = self._faiss.search(np.ascontiguousarray(vectors, np.float32), wanted)
            found = [self._one_an_item(r, s, k) for r, s in zip(rows, similarities, strict=True)]
            if wanted == photos or all(len(kept) == k for kept, _ in found):
                return found
            wanted = min(photos, 4 * wanted)  # some item has many photos: look further down

    def _one_an_item(self, rows: IntArray, similarities: FloatArray, k: int) -> tuple[list[int], list[float]]:
        order = np.lexsort((rows, -similarities))  # of equal similarity, the first in the gallery's order
        rows, similarities = rows[order], similarities[order]
        _, first = np.unique(self._item[rows], return_index=True)
        kept = np.sort(first)[:k]
        return rows[kept].tolist(), np.clip(similarities[kept], -1.0, 1.0).tolist()
