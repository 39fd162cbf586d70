"""Search by Milvus itself: its graph (HNSW) over the photos' vectors, filters as expressions.

A collection also holds rows that no longer count, or not yet (see :mod:`dprnet.gallery.milvus`). So of what Milvus
finds, the rows of each item are looked up, and those of its latest commit stay; where that leaves too few, more is
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dprnet.core.errors import BadGallery
from dprnet.core.records import FloatArray
from dprnet.gallery.conditions import condition
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.filters import Filter
from dprnet.gallery.milvus import MilvusStore
from dprnet.gallery.milvus_cells import CELLS, COLUMNS, THERE, Expressions, cell_of
from dprnet.gallery.milvus_client import CALL_IDS, CALL_S, told
from dprnet.gallery.milvus_commits import Commits
from dprnet.gallery.server_search import SHOWN, Hit, best_of_items
from dprnet.gallery.store import schema

if TYPE_CHECKING:
    import pyarrow as pa

MOST_PHOTOS = 16_384  # Milvus's limit: rows of one answer
QUERIES = 32  # ours: in one call, whose answer may hold 64 MB
SAMPLE = 1_000  # ours: rows whose columns are named when one is asked for that none has


class MilvusSearch:
    """See :class:`dprnet.gallery.server_search.StoreSearch`."""

    def __init__(self, store: MilvusStore, config: IndexConfig) -> None:
        self._store = store
        self._effort = config.store_effort

    def __str__(self) -> str:
        return f"store (Milvus, hnsw), effort {self._effort}"

    def prepare(self) -> None:
        """Nothing to make: the graph and the cells are there from the beginning, or never."""
        if not self._store.compares:
            sentence = (
                "made before Milvus could search it; `dprnet gallery snapshot` it, and `restore` it under another name"
            )
            raise BadGallery(self._store.address, sentence, reason="no_server_search")

    def nearest(self, vectors: FloatArray, k: int, wanted: Filter | None) -> tuple[int, list[list[Hit]]]:
        """The version, and the k most similar items of each query."""
        with told(self._store.address):
            commits = self._store.committed()
            expression = _expression(wanted)

            def photos(queries: Sequence[int], count: int) -> list[list[Hit]]:
                found: list[list[Hit]] = []
                for start in range(0, len(queries), QUERIES):
                    some = vectors[list(queries[start : start + QUERIES])]
                    found += self._photos(some, count, k, expression, commits)
                return found

            # What counts of one item may be few of very many rows: the last word is Milvus's limit, not the filter.
            return commits.version, best_of_items(photos, len(vectors), k, MOST_PHOTOS)

    def passing(self, wanted: Filter | None) -> pa.Table:
        """The rows that pass a filter, by item_id and photo."""
        import pyarrow as pa

        rows = self._counting(SHOWN, wanted)[1]
        form = pa.schema([schema(1).field(name) for name in SHOWN])
        table = pa.Table.from_pylist([{name: row[name] for name in SHOWN} for row in rows], form)
        return table.sort_by([("item_id", "ascending"), ("photo", "ascending")])

    def tally(self, wanted: Filter | None) -> tuple[int, int, int]:
        """The version, and how many photos and items pass a filter; the key of every row is read for it."""
        version, rows = self._counting(("item_key",), wanted)
        return version, len(rows), len({row["item_key"] for row in rows})

    def lacks(self, column: str) -> list[str] | None:
        """None where some row has a column, or there is no row; else names of columns that there are."""
        with told(self._store.address):
            if self._store.some(f"exists {cell_of('t', column)}", ["key"], 1):
                return None
            rows = self._store.some(THERE, [CELLS], SAMPLE)
        cells = [row[CELLS] for row in rows]
        return sorted({name for one in cells for name in one.get(COLUMNS, ())}) or None

    def _photos(self, queries: FloatArray, count: int, k: int, expression: str, commits: Commits) -> list[list[Hit]]:
        """About so many photos of each query that count; fewer than that only where there are no more."""
        asked = count
        while True:
            answers = self._store.client.search(
                self._store.rows,
                data=queries,
                anns_field="vector",
                filter=expression,
                limit=asked,
                output_fields=["key", "item_key", *SHOWN],
                search_params={"metric_type": "IP", "params": {"ef": max(self._effort, asked)}},
                timeout=CALL_S,
            )
            hits = [[(one["entity"], float(one["distance"])) for one in each] for each in answers]
            keys = sorted({row["item_key"] for each in hits for row, _ in each})
            visible: set[str] = set()
            for start in range(0, len(keys), CALL_IDS):
                visible |= self._store.visible(commits, keys[start : start + CALL_IDS])
            kept = [[hit for hit in each if hit[0]["key"] in visible] for each in hits]
            whole = all(
                len(good) >= count or len(each) < asked or len({row["item_key"] for row, _ in good}) >= k
                for good, each in zip(kept, hits, strict=True)
            )
            if whole or asked == MOST_PHOTOS:
                return kept
            asked = min(MOST_PHOTOS, 4 * asked)

    def _counting(self, fields: Sequence[str], wanted: Filter | None) -> tuple[int, list[dict[str, Any]]]:
        with told(self._store.address):
            commits = self._store.committed()
            visible = self._store.visible(commits)
            rows = self._store.query(["key", *fields], _expression(wanted))
            return commits.version, [row for row in rows if row["key"] in visible]


def _expression(wanted: Filter | None) -> str:
    return THERE if wanted is None else f"{THERE} and {condition(wanted, Expressions())}"
