"""Filters for servers: the cells of a row as filters compare them, and a filter as a condition on these.

A server knows nothing of prices as ``1.299,00 EUR``, nor of letters that count the same in both cases as we know it.
So what filters compare is worked out here when a row is written, and kept beside it; the server compares texts and
numbers, and answers as the rows in memory do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dprnet.gallery.cells import FALSE, TRUE, number_of, plain_number
from dprnet.gallery.columns import KNOWN
from dprnet.gallery.filters import Filter, Joined, Not, Test


def compared(row: Mapping[str, Any]) -> dict[str, str | float]:
    """The cells of a store's row as filters compare them.

    ``t:`` and a column: the text in lower case; ``n:`` the first number in it; ``e:`` the number that it is and nothing
    else. What is empty is left out, but for columns that the catalogue has beside those that all have.

    >>> compared({"item_id": "A", "price": "5 EUR", "metadata": '{"Size": "5", "fit": ""}'})
    {'t:item_id': 'a', 't:price': '5 eur', 'n:price': 5.0, 't:Size': '5', 'n:Size': 5.0, 'e:Size': 5.0, 't:fit': ''}
    """
    others = json.loads(row["metadata"] or "{}")
    texts = {name: row.get(name) or "" for name in KNOWN}
    texts = {name: text for name, text in texts.items() if text}
    texts |= {name: str(text) for name, text in others.items() if name not in KNOWN}
    cells: dict[str, str | float] = {}
    for name, text in texts.items():
        cells[f"t:{name}"] = text.casefold()
        for kind, number in (("n", number_of(text)), ("e", plain_number(text.casefold()))):
            if not np.isnan(number):
                cells[f"{kind}:{name}"] = float(number)
    return cells


class Language(Protocol):
    """How a server says that a cell passes: each as an expression that is true or false, never unknown."""

    def missing(self, column: str) -> str:
        """The cell is empty."""

    def holds(self, column: str, part: str) -> str:
        """The cell's text has a part."""

    def equals(self, column: str, texts: Sequence[str], numbers: Sequence[float]) -> str:
        """The cell is one of these texts, or nothing but one of these numbers."""

    def text(self, column: str, test: str, value: str) -> str:
        """The cell is not empty, and its text compares so, letter by letter."""

    def number(self, column: str, test: str, value: float) -> str:
        """The cell has a number, and that compares so."""


def condition(wanted: Filter, language: Language) -> str:
    """A filter in a server's language; values go in as the language lets them, never as text of ours."""
    if isinstance(wanted, Not):
        return f"(not {condition(wanted.inner, language)})"
    if isinstance(wanted, Joined):
        return "(" + (" and " if wanted.every else " or ").join(condition(one, language) for one in wanted.parts) + ")"
    values = [value.casefold() for value in wanted.values]
    if wanted.test == "missing":
        return language.missing(wanted.column)
    if wanted.test == "~":
        return language.holds(wanted.column, values[0])
    if wanted.test in {"=", "!="}:
        among = _equal(wanted.column, values, language)
        return f"(not {among})" if wanted.test == "!=" else among
    tests = (">=", "<=") if wanted.test == "between" else (wanted.test,)
    numbers = [plain_number(value) for value in wanted.values]
    if any(np.isnan(numbers)):
        ordered = [language.text(wanted.column, test, value) for test, value in zip(tests, values, strict=True)]
    else:
        ordered = [language.number(wanted.column, test, float(n)) for test, n in zip(tests, numbers, strict=True)]
    return "(" + " and ".join(ordered) + ")"


def columns_of(wanted: Filter) -> set[str]:
    """The columns that a filter looks at."""
    if isinstance(wanted, Test):
        return {wanted.column}
    parts = (wanted.inner,) if isinstance(wanted, Not) else wanted.parts
    return set().union(*(columns_of(part) for part in parts))


def _equal(column: str, values: Sequence[str], language: Language) -> str:
    """What :func:`dprnet.gallery.cells.equal` takes for equal: the text, yes for true, 5 for 5.00."""
    texts = {value for value in values if value}
    for alike in (TRUE, FALSE):
        if texts & alike:
            texts |= alike
    numbers = {float(number) for value in values if not np.isnan(number := plain_number(value))}
    return language.equals(column, sorted(texts), sorted(numbers))
