"""What Milvus compares for filters: cells as its rows keep them, and filters as its expressions.

An expression is one text with its values in it. So names of columns are kept and asked for as hashes, and texts lifted
(:func:`lifted`): neither is ever code, whatever a catalogue or a filter holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

CELLS = "cells"
COLUMNS = "columns"
"""Of a row's cells: the names of its columns."""
THERE = "gone == false"


class Expressions:
    """The language of Milvus; see :class:`dprnet.gallery.conditions.Language`."""

    def missing(self, column: str) -> str:
        """The cell is empty, or not there."""
        cell = cell_of("t", column)
        return f'((not (exists {cell})) or {cell} == "")'

    def holds(self, column: str, part: str) -> str:
        """The cell's text has a part."""
        cell = cell_of("t", column)
        return f'(exists {cell} and {cell} like "%{lifted(part)}%")' if part else THERE

    def equals(self, column: str, texts: Sequence[str], numbers: Sequence[float]) -> str:
        """The cell is one of these texts or numbers."""
        text, number = cell_of("t", column), cell_of("e", column)
        tests = [f'(exists {text} and {text} == "{lifted(one)}")' for one in texts]
        tests += [f"(exists {number} and {number} == {one!r})" for one in numbers]
        return "(" + (" or ".join(tests) or f"not ({THERE})") + ")"

    def text(self, column: str, test: str, value: str) -> str:
        """The cell's text compares so."""
        cell = cell_of("t", column)
        return f'(exists {cell} and {cell} != "" and {cell} {test} "{lifted(value)}")'

    def number(self, column: str, test: str, value: float) -> str:
        """The cell's number compares so."""
        cell = cell_of("n", column)
        return f"(exists {cell} and {cell} {test} {value!r})"


def kept_cells(cells: Mapping[str, str | float]) -> dict[str, Any]:
    """What filters compare of a row (:func:`dprnet.gallery.conditions.compared`) as Milvus keeps it."""
    kept: dict[str, Any] = {}
    for key, value in cells.items():
        kind, _, column = key.partition(":")
        kept[_name(kind, column)] = lifted(value) if isinstance(value, str) else value
    kept[COLUMNS] = [key[2:] for key in cells if key.startswith("t:")]
    return kept


def lifted(text: str) -> str:
    """A text with every letter moved up by 128 places of Unicode.

    Nothing is left in it that an expression or a pattern takes for a mark; what came first still does, and a part of a
    text is still a part of it.

    >>> lifted('a"%'), lifted("a") < lifted("b"), lifted("50%") in lifted("at 50% off")
    ('á¢¥', True, True)
    """
    return "".join(chr(_above(ord(letter))) for letter in text)


def _above(code: int) -> int:
    moved = code + 0x80 + (0x800 if code < 0xD800 <= code + 0x80 else 0)  # no letter stands from D800 to DFFF
    return min(moved, 0x10FFFF)


def _name(kind: str, column: str) -> str:
    return kind + hashlib.sha256(column.encode()).hexdigest()[:32]


def cell_of(kind: str, column: str) -> str:
    """A cell in an expression: its text (``t``), its number (``n``), or the number that is all of it (``e``)."""
    return f'{CELLS}["{_name(kind, column)}"]'
