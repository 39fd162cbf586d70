"""What a gallery answers with, and answers of the index in memory; see `server_search` for those of a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from dprnet.core.records import FloatArray, Match
from dprnet.gallery.index import PhotoIndex
from dprnet.gallery.items import Item
from dprnet.gallery.rows import row_items, row_match

if TYPE_CHECKING:
    import pyarrow as pa


class Answers(list[tuple[Match, ...]]):
    """The matches of each query, best first, and the version of the gallery that gave all of them."""

    version: int = 0


class Searched(Protocol):
    """What answers for a gallery; ``str`` of it says how. Filters raise BadFilter."""

    @property
    def version(self) -> int:
        """Of the gallery, as it is answered."""

    @property
    def photos(self) -> int:
        """Number of photos."""

    def answers(self, unit: FloatArray, k: int, where: str) -> Answers:
        """The k most similar items of each query vector, (N, D) at length 1 -> N tuples, best first."""

    def items(self, where: str) -> Iterator[Item]:
        """All items (or those that pass a filter) in the order of their ids, each with its photos."""

    def count(self, where: str) -> int:
        """Number of items, or of those that pass a filter."""


class InMemory:
    """Answers of one version, read before; see :class:`Searched`."""

    def __init__(self, index: PhotoIndex) -> None:
        self._index = index
        self.version = index.version
        self.photos = len(index.rows)

    def answers(self, unit: FloatArray, k: int, where: str) -> Answers:
        """The k most similar items of each query vector."""
        found = self._index.search(unit, k, where)
        distinct = sorted({row for rows, _ in found for row in rows})
        records = dict(zip(distinct, self._index.rows.take(distinct).to_pylist(), strict=True)) if distinct else {}
        told = Answers(
            tuple(row_match(records[row], similarity) for row, similarity in zip(*pair, strict=True)) for pair in found
        )
        told.version = self.version
        return told

    def items(self, where: str) -> Iterator[Item]:
        """All items (or those that pass a filter) in the order of their ids."""
        yield from row_items(self._passing(where).to_pylist())

    def count(self, where: str) -> int:
        """Number of items, or of those that pass a filter."""
        return len(set(self._passing(where)["item_id"].to_pylist())) if where.strip() else self._index.items

    def __str__(self) -> str:
        return str(self._index)

    def _passing(self, where: str) -> pa.Table:
        rows = self._index.rows
        return rows.filter(self._index.columns.passing(where)) if where.strip() else rows
