"""Lists of DeepFashion: a count, a header, then as many rows; and what a row of boxes or of landmarks says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.classes import UNLABELLED
from dprnet.core.errors import BadDataset, MissingFile

Fields = tuple[int, list[str]]
POINTS = {1: 6, 2: 4, 3: 8}
"""Landmarks of a garment by clothes_type: 1 upper, 2 lower, 3 full."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the landmarks of a photo say of its quality; indices as in ``core.classes``, -1 unlabelled."""

    viewpoint: int
    """Frontal for normal poses, side or back for large ones (ours); -1 for the rest."""
    occlusion: int
    """By the share of landmarks that are hidden: none slight, up to half medium, more heavy (ours)."""
    crop: int
    """1 where a landmark is cut off."""


def read_list(path: Path, columns: Sequence[str]) -> Iterator[Fields]:
    """Rows of one of DeepFashion's lists with their line (from 1): a count, a header, then as many rows.

    Raises:
        MissingFile: no such file.
        BadDataset: the first line is no count, the header lacks a column, or the number of rows is another.
    """
    lines = _lines(path)
    header = lines[1].split() if len(lines) > 1 else []
    if missing := [name for name in columns if name not in header]:
        raise BadDataset(path, f"line 2: column '{missing[0]}' is missing; wanted {', '.join(columns)}")
    yield from _rows(path, lines, header=True)


def read_items(path: Path) -> Iterator[Fields]:
    """Rows of the list of items, which has a count and no header: line (from 1) and the id as the one field.

    Raises:
        MissingFile: no such file.
        BadDataset: the first line is no count, or the number of rows is another.
    """
    yield from _rows(path, _lines(path), header=False)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise MissingFile(path, "no such list") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(path, f"cannot be read as UTF-8 text ({type(error).__name__})") from None
    if not lines or not lines[0].strip().isdigit():
        raise BadDataset(path, f"line 1: wanted the number of rows, got '{lines[0][:40] if lines else ''}'")
    return lines


def _rows(path: Path, lines: Sequence[str], *, header: bool) -> Iterator[Fields]:
    first = 2 if header else 1
    rows = [(number, line.split()) for number, line in enumerate(lines[first:], first + 1) if line.strip()]
    if len(rows) != int(lines[0]):
        raise BadDataset(path, f"line 1 says {int(lines[0])} rows, there are {len(rows)}; the file is cut short")
    yield from rows


def box_of(path: Path, line: int, fields: Sequence[str]) -> tuple[float, float, float, float]:
    """Corners of a row of the list of boxes.

    Raises:
        BadDataset: other than seven fields, or corners in the wrong order.
    """
    try:
        _, kind, source, *corners = fields
        x1, y1, x2, y2 = (float(value) for value in corners)
        if int(kind) not in POINTS or int(source) not in {1, 2}:
            raise ValueError
    except ValueError:
        raise BadDataset(path, f"line {line}: wanted image, types and x_1 y_1 x_2 y_2, got {list(fields)}") from None
    if not (x1 < x2 and y1 < y2):
        raise BadDataset(path, f"line {line}: the box {x1:g} {y1:g} {x2:g} {y2:g} is no pair of corners x1 y1 x2 y2")
    return x1, y1, x2, y2


def quality_of(path: Path, line: int, fields: Sequence[str]) -> Seen:
    """What a row of the list of landmarks says.

    Raises:
        BadDataset: other than three numbers a landmark of the clothes_type, or an unknown visibility.
    """
    try:
        kind, variation, *values = (int(value) for value in fields[1:])
        states = values[::3]
        if len(values) != 3 * POINTS[kind] or not set(states) <= {0, 1, 2} or not 1 <= variation <= 5:
            raise ValueError
    except (ValueError, KeyError):
        raise BadDataset(path, f"line {line}: no landmarks of its clothes_type: {' '.join(fields)[:80]}") from None
    hidden = states.count(1) / len(states)
    viewpoint = {1: 0, 3: 1}.get(variation, UNLABELLED)
    return Seen(viewpoint, 0 if not hidden else 1 if hidden <= 0.5 else 2, int(2 in states))


def attributes_of(path: Path, line: int, fields: Sequence[str], count: int) -> tuple[int, ...]:
    """What a row of the list of items' attributes says: 1 has it, -1 has it not, 0 nobody knows.

    Raises:
        BadDataset: other than one value an attribute, or another value.

    >>> attributes_of(Path("a.txt"), 3, ["id_1", "1", "-1", "0"], 3)
    (1, -1, 0)
    """
    values = fields[1:]
    if wrong := [value for value in values if value not in ("1", "-1", "0")]:
        raise BadDataset(path, f"line {line}: attribute value '{wrong[0]}' of {fields[0]}; wanted 1, -1 or 0")
    if len(values) != count:
        raise BadDataset(path, f"line {line}: {len(values)} values for {fields[0]}; there are {count} attributes")
    return tuple(int(value) for value in values)
