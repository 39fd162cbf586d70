"""Search by the server that keeps a gallery, without an index of ours: ``IndexConfig(kind="store")``.

For galleries that no process can hold in its memory. Each answer is of one version, the newest one when it was asked
for; nothing is read beforehand, and nothing has to be refreshed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dprnet.core.errors import BadGallery
from dprnet.core.records import FloatArray
from dprnet.gallery import live
from dprnet.gallery.address import shown
from dprnet.gallery.columns import KNOWN, no_such_column
from dprnet.gallery.conditions import columns_of
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.filters import Filter, parse_filter
from dprnet.gallery.items import Item
from dprnet.gallery.rows import row_items, row_match
from dprnet.gallery.searching import Answers
from dprnet.gallery.store import VectorStore

if TYPE_CHECKING:
    import pyarrow as pa

SERVERS = {
    "postgresql": "postgres_search.PostgresSearch",
    "postgres": "postgres_search.PostgresSearch",
    "milvus": "milvus_search.MilvusSearch",
}
SHOWN = ("item_id", "photo", "category", "title", "url", "price", "metadata")
"""Columns of a row that becomes a match or an item."""
Hit = tuple[dict[str, Any], float]
"""A photo's row and its similarity."""


class StoreSearch(Protocol):
    """What a store does that searches by itself; every method sees one version, and may raise BadGallery."""

    def __init__(self, store: Any, config: IndexConfig) -> None:
        """Over an open store; nothing is asked of it yet."""

    def __str__(self) -> str:
        """What answers, and how hard it looks."""

    def prepare(self) -> None:
        """Make what searches need and the store has not: a graph, cells for filters. Called before the first one."""

    def nearest(self, vectors: FloatArray, k: int, wanted: Filter | None) -> tuple[int, list[list[Hit]]]:
        """The version, and the k most similar items of each of (Q, D) vectors, each once, best first."""

    def passing(self, wanted: Filter | None) -> pa.Table:
        """The rows that pass a filter, by item_id and photo; columns SHOWN."""

    def tally(self, wanted: Filter | None) -> tuple[int, int, int]:
        """The version; how many photos pass a filter, and of how many items."""

    def lacks(self, column: str) -> list[str] | None:
        """None where some row has a column beside KNOWN, or there is no row; else names of columns that there are."""


class OnServer:
    """Answers of a gallery whose store searches; see :class:`dprnet.gallery.searching.Searched`."""

    def __init__(self, store: VectorStore, search: StoreSearch) -> None:
        self._store = store
        self._search = search
        self._ready = False
        self._there: set[str] = set(KNOWN)
        self._tallies: tuple[int, dict[str, tuple[int, int]]] = (0, {})  # of one version, by filter
        self._answered = 0

    @property
    def version(self) -> int:
        """Of the latest answer; before there is one, the store's."""
        return self._answered or self._store.version

    @property
    def photos(self) -> int:
        """Number of photos."""
        return self._tally("")[0]

    def moved(self) -> bool:
        """Whether the store has gone on since the latest answer, which the next one needs not be told."""
        return self._answered not in (0, self._store.version)

    def answers(self, unit: FloatArray, k: int, where: str) -> Answers:
        """The k most similar items of each query vector."""
        wanted = self._wanted(where)
        version, found = self._search.nearest(unit, k, wanted) if len(unit) else (self._store.version, [])
        told = Answers(tuple(row_match(row, similarity) for row, similarity in hits) for hits in found)
        told.version = self._answered = version
        return told

    def items(self, where: str) -> Iterator[Item]:
        """All items (or those that pass a filter) in the order of their ids."""
        yield from row_items(self._search.passing(self._wanted(where)).to_pylist())

    def count(self, where: str) -> int:
        """Number of items, or of those that pass a filter."""
        return self._tally(where.strip())[1]

    def __str__(self) -> str:
        return str(self._search)

    def _tally(self, where: str) -> tuple[int, int]:
        """Counted once a version: a server may have to look at every row for it."""
        wanted = self._wanted(where)
        now = self._store.version
        if self._tallies[0] != now or where not in self._tallies[1]:
            version, photos, items = self._search.tally(wanted)
            kept = self._tallies[1] if self._tallies[0] == version else {}
            self._tallies = (version, kept | {where: (photos, items)})
        return self._tallies[1][where]

    def _wanted(self, where: str) -> Filter | None:
        if not self._ready:
            self._search.prepare()
            self._ready = True
        wanted = parse_filter(where) if where.strip() else None
        for column in sorted(columns_of(wanted) - self._there) if wanted is not None else ():
            others = self._search.lacks(column)
            if others is not None:
                raise no_such_column(column, others)
            self._there.add(column)
        return wanted


def on_server(address: str, store: VectorStore, config: IndexConfig) -> OnServer:
    """The search of the server that keeps a gallery.

    Raises:
        BadGallery: the store does not search, or not as the settings say.
    """
    check_searches(address)
    module, _, name = _of(address).partition(".")
    if config.photos != "best":
        sentence = f"a server compares photos: with `kind` store, `photos` must be best, got {config.photos}"
        raise BadGallery(shown(address), sentence, reason="no_server_search")
    kind: type[StoreSearch] = getattr(importlib.import_module(f"dprnet.gallery.{module}"), name)
    return OnServer(store, kind(store, config))


def check_searches(address: Path | str) -> None:
    """Raise where the store at an address answers no search, so that ``kind`` must not be ``store``.

    Raises:
        BadGallery: it is LanceDB.
    """
    if not searches(live.followed(address)):
        sentence = (
            "LanceDB keeps it, which answers no search: leave `kind` at auto (an index in this process's memory), "
            "or keep the gallery in PostgreSQL or Milvus"
        )
        raise BadGallery(shown(str(address)), sentence, reason="no_server_search")


def searches(address: str) -> bool:
    """Whether the store at an address can search by itself."""
    return bool(_of(address))


def _of(address: str) -> str:
    scheme, mark, _ = address.partition("://")
    return SERVERS.get(scheme.lower(), "") if mark else ""


def best_of_items(
    photos: Callable[[Sequence[int], int], list[list[Hit]]], queries: int, k: int, most: int
) -> list[list[Hit]]:
    """The k most similar items of each query, each by its most similar photo, best first.

    Args:
        photos: for the numbers of some queries, so many of their most similar photos; fewer: there are no more.
        most: photos that a server gives at most.
    """
    found: list[list[Hit]] = [[] for _ in range(queries)]
    asked, wanted = list(range(queries)), min(most, 2 * k + 8)
    while asked:
        further = []
        for query, hits in zip(asked, photos(asked, wanted), strict=True):
            found[query] = _once_an_item(hits)[:k]
            if len(found[query]) < k and len(hits) >= wanted and wanted < most:
                further.append(query)  # some item has many photos: look further down
        asked, wanted = further, min(most, 4 * wanted)
    return found


def _once_an_item(hits: Sequence[Hit]) -> list[Hit]:
    ordered = sorted(hits, key=lambda hit: (-hit[1], hit[0]["item_id"], hit[0]["photo"]))
    first: dict[str, Hit] = {}
    for row, similarity in ordered:
        first.setdefault(row["item_id"], (row, min(1.0, max(-1.0, similarity))))
    return list(first.values())
