"""Filters of a search: ``category = dress and price < 50 and not (colour in (red, "dark red") or brand ~ acme)``.

    filter      any of    all { "or" all }
    all         one       one { "and" one }
    one         "not" one | "(" any ")" | column test
    test        ("=" | "!=" | "<" | "<=" | ">" | ">=" | "~") value | "between" value "and" value
                | "in" "(" value { "," value } ")" | "is" "missing"
    column      a word, or a text in quotes          value    a word, a number, or a text in quotes

A column is one of the catalogue's: ``item_id``, ``category``, ``title``, ``url``, ``price`` or any other. Letters count
the same in both cases; ``~`` finds a part of a text. ``<`` and its kin compare numbers where the value is a number
(``1.299,00 EUR`` is 1299), else texts, so that dates as 2026-11-30 have their order; ``=`` takes 5 and 5.00 for equal,
and true for yes, 1 and true. An empty cell passes no test but ``!=`` and ``is missing``.

A filter is read into a tree and applied to the rows of one version: no text of it ever reaches a database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dprnet.core.errors import BadFilter, printable
from dprnet.core.records import BoolArray, FloatArray
from dprnet.gallery.cells import equal, plain_number

MAX_CHARS = 10_000  # ours
MAX_DEPTH = 40  # ours: far from Python's own limit
WORDS = {"and", "or", "not", "in", "is", "between", "missing"}
TESTS = {"=", "==", "!=", "<", "<=", ">", ">=", "~"}
TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')|(?P<mark><=|>=|!=|==|[=<>~(),])|(?P<word>[^\s=<>!~(),"']+))"""
)


class Columns(Protocol):
    """Rows by column, as texts; a cell that is not there is empty."""

    def __len__(self) -> int: ...

    def texts(self, name: str) -> list[str]:
        """Cells of a column in lower case; raises BadFilter where no row has it."""

    def numbers(self, name: str) -> FloatArray:
        """Cells of a column as numbers, NaN where they are none."""


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of a column."""

    column: str
    test: str
    values: tuple[str, ...] = ()

    def __call__(self, rows: Columns) -> BoolArray:
        """(N,) True where a row passes."""
        if self.test in {"<", "<=", ">", ">=", "between"}:
            return self._ordered(rows)
        cells = rows.texts(self.column)
        wanted = [value.casefold() for value in self.values]
        if self.test == "missing":
            return _mask(cells, lambda cell: not cell)
        if self.test == "~":
            return _mask(cells, lambda cell: wanted[0] in cell)
        same = {cell for cell in set(cells) if cell and any(equal(cell, value) for value in wanted)}
        passes = _mask(cells, same.__contains__)
        return ~passes if self.test == "!=" else passes

    def _ordered(self, rows: Columns) -> BoolArray:
        limits = [plain_number(value) for value in self.values]
        if not any(np.isnan(limits)):
            numbers = rows.numbers(self.column)
            with np.errstate(invalid="ignore"):
                if self.test == "between":
                    return np.asarray((numbers >= limits[0]) & (numbers <= limits[1]), bool)
                return COMPARE[self.test](numbers, limits[0])  # NaN passes none
        cells = np.array(rows.texts(self.column), object)
        there = np.array([bool(cell) for cell in cells], bool)
        values = [value.casefold() for value in self.values]
        if self.test == "between":
            return np.asarray(there & (cells >= values[0]) & (cells <= values[1]), bool)
        return np.asarray(there & COMPARE[self.test](cells, values[0]), bool)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    inner: Filter

    def __call__(self, rows: Columns) -> BoolArray:
        """(N,) True where the inner filter does not pass."""
        return ~self.inner(rows)


@dataclass(frozen=True, slots=True)
class Joined:
    """All of several filters, or any."""

    parts: tuple[Filter, ...]
    every: bool

    def __call__(self, rows: Columns) -> BoolArray:
        """(N,) True where all (or any) pass."""
        masks = np.stack([part(rows) for part in self.parts])
        return np.asarray(masks.all(axis=0) if self.every else masks.any(axis=0), bool)


Filter = Test | Not | Joined
COMPARE: dict[str, Callable[..., BoolArray]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


def parse_filter(text: str) -> Filter:
    """Read a filter.

    Raises:
        BadFilter: naming the place that cannot be read.
    """
    if len(text) > MAX_CHARS:
        raise BadFilter("filter", f"{len(text)} characters, at most {MAX_CHARS}")
    return _Reader(text).whole()


class _Reader:
    """Reads one filter from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokens())
        self.at = 0
        self.depth = 0

    def whole(self) -> Filter:
        found = self.any_of()
        if self.at < len(self.tokens):
            raise self.fault("'and', 'or' or the end")
        return found

    def any_of(self) -> Filter:
        parts = [self.all_of()]
        while self.take("or"):
            parts.append(self.all_of())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), every=False)

    def all_of(self) -> Filter:
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), every=True)

    def one(self) -> Filter:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BadFilter("filter", f"more than {MAX_DEPTH} brackets or nots inside one another")
        try:
            if self.take("not"):
                return Not(self.one())
            if self.take("("):
                inner = self.any_of()
                self.need(")")
                return inner
            return self.test()
        finally:
            self.depth -= 1

    def test(self) -> Filter:
        column = self.value("a column")
        if self.take("between"):
            low = self.value()
            self.need("and")
            return Test(column, "between", (low, self.value()))
        if self.take("is"):
            opposite = self.take("not")
            self.need("missing")
            missing = Test(column, "missing")
            return Not(missing) if opposite else missing
        opposite = self.take("not")
        if self.take("in"):
            self.need("(")
            values = [self.value()]
            while self.take(","):
                values.append(self.value())
            self.need(")")
            among = Test(column, "=", tuple(values))
            return Not(among) if opposite else among
        mark = self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        if opposite or mark not in TESTS:
            raise self.fault("one of = != < <= > >= ~ in between is")
        self.at += 1
        return Test(column, mark.replace("==", "="), (self.value(),))

    def value(self, what: str = "a value") -> str:
        if self.at < len(self.tokens):
            kind, value = self.tokens[self.at]
            if kind == "text" or (kind == "word" and value.lower() not in WORDS):
                self.at += 1
                return value
        raise self.fault(what)

    def take(self, wanted: str) -> bool:
        if self.at < len(self.tokens):
            kind, value = self.tokens[self.at]
            if kind != "text" and value.lower() == wanted:
                self.at += 1
                return True
        return False

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise self.fault(f"'{wanted}'")

    def fault(self, wanted: str) -> BadFilter:
        found = printable(self.tokens[self.at][1], 40) if self.at < len(self.tokens) else ""
        what = f"found '{found}'" if found else "it ends"
        return BadFilter(f"filter {printable(self.text, 80)!r}", f"{what} where {wanted} is wanted")

    def _tokens(self) -> Iterator[tuple[str, str]]:
        position, end = 0, len(self.text.rstrip())
        while position < end:
            found = TOKEN.match(self.text, position)
            if found is None:
                wrong = printable(self.text[position:].strip()[:20])
                raise BadFilter(f"filter {printable(self.text, 80)!r}", f"cannot be read from '{wrong}' on")
            position = found.end()
            kind = str(found.lastgroup)
            value = found[kind]
            yield kind, value[1:-1].replace(value[0] * 2, value[0]) if kind == "text" else value


def _mask(cells: list[str], passes: Callable[[str], bool]) -> BoolArray:
    return np.fromiter((passes(cell) for cell in cells), bool, len(cells))
