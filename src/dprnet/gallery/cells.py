"""Cells of a catalogue as what they mean: numbers, prices, yes and no."""

from __future__ import annotations

import re

import numpy as np

TRUE, FALSE = {"true", "yes", "y", "1"}, {"false", "no", "n", "0"}


def plain_number(text: str) -> float:
    """A text that is a number and nothing else, or NaN."""
    try:
        number = float(text) if "_" not in text else np.nan
    except ValueError:
        return np.nan
    return number if np.isfinite(number) else np.nan


def number_of(text: str) -> float:
    """The first number in a text such as a price, or NaN; thousands and decimals by either convention.

    >>> [number_of(text) for text in ("12.5", "1.299,00 EUR", "$1,299", "ab 12,5", "none")]
    [12.5, 1299.0, 1299.0, 12.5, nan]
    """
    plain = plain_number(text)
    if not np.isnan(plain):
        return plain
    found = re.search(r"-?\d[\d.,'\u00a0\u202f]*", text)
    if found is None:
        return np.nan
    digits = re.sub(r"['\u00a0\u202f]", "", found[0]).rstrip(".,")
    decimal = max(digits.rfind("."), digits.rfind(","))
    mark = digits[decimal] if decimal >= 0 else ""
    one_kind = mark and digits.count(mark) > 1
    thousands = mark == "," and "." not in digits and len(digits) - decimal == 4
    if one_kind or thousands or not mark:
        return plain_number(re.sub("[.,]", "", digits))
    return plain_number(re.sub("[.,]", "", digits[:decimal]) + "." + digits[decimal + 1 :])


def equal(cell: str, value: str) -> bool:
    """Whether a cell (in lower case) is a value: as text, as number, or as yes and no."""
    if cell == value or (value in TRUE and cell in TRUE) or (value in FALSE and cell in FALSE):
        return True
    return plain_number(cell) == plain_number(value)  # NaN equals nothing
