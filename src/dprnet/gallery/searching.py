"""Answers of one version of a gallery: matches, items and counts, from the index in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dprnet.core.records import FloatArray, Match
from dprnet.gallery.index import PhotoIndex
from dprnet.gallery.items import Item
from dprnet.gallery.rows import row_items, row_match

if TYPE_CHECKING:
    import pyarrow as pa


class Answers(list[tuple[Match, ...]]):
    """The matches of each query, best first, and the version of the gallery that gave all of them."""

    version: int = 0


def answers(index: PhotoIndex, unit: FloatArray, k: int, where: str) -> Answers:
    """The k most similar items of each query vector, (N, D) at length 1 -> N tuples, best first."""
    found = index.search(unit, k, where)
    distinct = sorted({row for rows, _ in found for row in rows})
    records = dict(zip(distinct, index.rows.take(distinct).to_pylist(), strict=True)) if distinct else {}
    told = Answers(
        tuple(row_match(records[row], similarity) for row, similarity in zip(*pair, strict=True)) for pair in found
    )
    told.version = index.version
    return told


def items_of(index: PhotoIndex, where: str) -> Iterator[Item]:
    """All items (or those that pass a filter) in the order of their ids, each with its photos."""
    yield from row_items(_passing(index, where).to_pylist())


def count_of(index: PhotoIndex, where: str) -> int:
    """Number of items, or of those that pass a filter."""
    return len(set(_passing(index, where)["item_id"].to_pylist())) if where.strip() else index.items


def _passing(index: PhotoIndex, where: str) -> pa.Table:
    return index.rows.filter(index.columns.passing(where)) if where.strip() else index.rows
