"""The catalogue's columns of one version of a gallery, ready for filters."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dprnet.core.errors import BadFilter, printable
from dprnet.core.records import BoolArray, FloatArray
from dprnet.gallery.cells import number_of
from dprnet.gallery.filters import parse_filter

if TYPE_CHECKING:
    import pyarrow as pa

KNOWN = ("item_id", "category", "title", "url", "price")
MASKS = 32  # ours: shops ask the same few filters again and again


class ItemColumns:
    """Cells of the rows of one version; columns are unpacked when first asked for."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._metadata: list[dict[str, str]] | None = None
        self._texts: dict[str, list[str]] = {}
        self._numbers: dict[str, FloatArray] = {}
        self._masks: dict[str, BoolArray] = {}

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def passing(self, text: str) -> BoolArray:
        """(N,) True where a row passes a filter.

        Raises:
            BadFilter: it cannot be read, or names a column that no item has.
        """
        mask = self._masks.pop(text, None)
        if mask is None:
            mask = parse_filter(text)(self)
        self._masks[text] = mask  # the latest stands last
        if len(self._masks) > MASKS:
            del self._masks[next(iter(self._masks))]
        return mask

    def texts(self, name: str) -> list[str]:
        """Cells of a column in lower case."""
        if name not in self._texts:
            self._texts[name] = [cell.casefold() for cell in self._cells(name)]
        return self._texts[name]

    def numbers(self, name: str) -> FloatArray:
        """Cells of a column as numbers, NaN where they are none."""
        if name not in self._numbers:
            cells = self._cells(name)
            values = {cell: number_of(cell) for cell in set(cells)}
            self._numbers[name] = np.array([values[cell] for cell in cells], np.float64)
        return self._numbers[name]

    def _cells(self, name: str) -> list[str]:
        if name in KNOWN:
            cells: list[str] = self._rows[name].to_pylist()
            return cells
        if self._metadata is None:
            self._metadata = [json.loads(cell) if cell else {} for cell in self._rows["metadata"].to_pylist()]
        if self._metadata and not any(name in row for row in self._metadata):
            names = sorted({*KNOWN, *(key for row in self._metadata for key in row)})
            raise no_such_column(name, names)
        return [str(row.get(name, "")) for row in self._metadata]


def no_such_column(name: str, names: Sequence[str]) -> BadFilter:
    """What to say of a column that no item has, where there are others."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    shown = ", ".join(printable(one, 40) for one in names[:12])
    hint = f"did you mean '{printable(near[0], 60)}'?" if near else f"its columns: {shown}"
    return BadFilter(f"column '{printable(name, 60)}'", f"no item of the gallery has it; {hint}")
