"""Catalogue -> items: a folder of photos, or a CSV, JSON Lines or Parquet table.

A table needs the columns ``item_id`` and ``image`` (a path relative to the table's folder, or an address where those
are allowed); ``category``, ``title``,
``url`` and ``price`` are known, every other column becomes metadata. Several rows of one item_id are several photos.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dprnet.core.addresses import SCHEMES, is_address, joined, scheme_of
from dprnet.core.errors import BadCatalogue, MissingFile, printable
from dprnet.gallery import folders, tables
from dprnet.gallery.tables import REQUIRED, CatalogueLimits

logger = logging.getLogger(__name__)

DETAILS = ("category", "title", "url", "price")
TABLE_IN_FOLDER = "catalogue.csv"


@dataclass(frozen=True, slots=True)
class Item:
    """One product of the catalogue."""

    item_id: str
    images: tuple[Path | str, ...]
    """Its photos, in the order given: paths, or addresses as text."""
    category: str = ""
    title: str = ""
    url: str = ""
    price: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Every other column, as text."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The photos that are files of this machine."""
        return tuple(photo for photo in self.images if isinstance(photo, Path))


@dataclass(frozen=True, slots=True)
class Problem:
    """A row or file that was left out, and why."""

    where: str
    """``line 7``, ``row 3`` or the file's name."""
    sentence: str

    def __str__(self) -> str:
        return f"{printable(self.where)}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items of a catalogue, and what was wrong with the rest."""

    path: Path
    items: tuple[Item, ...]
    problems: tuple[Problem, ...] = ()
    left_out: frozenset[str] = frozenset()
    """Ids of rows that could not be used: wrong, but not gone from the catalogue."""

    def __len__(self) -> int:
        return len(self.items)


def read_catalogue(
    path: Path | str, *, limits: CatalogueLimits | None = None, base: str = "", addresses: bool = False
) -> Catalogue:
    """Read a catalogue; single bad rows are collected as problems, a catalogue that is bad as a whole is refused.

    A folder: every photo in it and below is an item, its item_id the relative path without the extension (photos that
    differ in nothing but the extension are photos of one item); a folder that holds ``catalogue.csv`` is that table.
    A file: CSV (comma, semicolon or tab), JSON Lines or Parquet, told apart by content.

    Args:
        base: the address of the folder that the table came from: what its photos are relative to.
        addresses: photos may be addresses; they are fetched when they are indexed, not here.

    Raises:
        MissingFile: no such path, or it cannot be opened.
        BadCatalogue: not a catalogue, a required column is missing, no usable row, or beyond a limit
            (``reason`` is then ``limit:<name>``).
    """
    path = Path(path)
    limits = limits or CatalogueLimits()
    if _is_folder(path) and (path / TABLE_IN_FOLDER).is_file():
        path /= TABLE_IN_FOLDER
    try:
        rows = folders.rows(path) if path.is_dir() else tables.rows(path, limits)
        catalogue = _gather(path, rows, limits, base, addresses)
    except OSError as error:
        raise MissingFile(path, f"cannot be read ({error.strerror or error})") from None
    if not catalogue.items:
        first = f"; first problem: {catalogue.problems[0]}" if catalogue.problems else ""
        raise BadCatalogue(path, f"holds no usable item{first}", reason="empty")
    if catalogue.problems:
        logger.warning("%s: left out %d rows or files", printable(str(path)), len(catalogue.problems))
    return catalogue


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise MissingFile(path, f"cannot be opened ({error})") from None


def _gather(
    path: Path, rows: Iterator[tables.Row | tables.BadRow], limits: CatalogueLimits, where: str, addresses: bool
) -> Catalogue:
    base: Path | str = where or (path if path.is_dir() else path.parent)
    items: dict[str, Item] = {}
    problems: list[Problem] = []
    left_out: set[str] = set()
    for count, row in enumerate(rows, start=1):
        if count > limits.max_rows:
            raise BadCatalogue(path, f"more than {limits.max_rows} rows", reason="limit:max_rows")
        if isinstance(row, tables.BadRow):
            problems.append(Problem(row.where, row.sentence))
            continue
        fault = _fault(base, row, limits, addresses)
        if fault:
            problems.append(Problem(row.where, fault))
            left_out.add(row.cells.get("item_id", "").strip())
            continue
        problems += _add(items, row, base)
    return Catalogue(path, tuple(items.values()), tuple(problems), frozenset(left_out - items.keys()))


def _fault(base: Path | str, row: tables.Row, limits: CatalogueLimits, addresses: bool) -> str | None:
    """What is wrong with a row, as one sentence, or None."""
    for name in REQUIRED:
        if not row.cells.get(name, "").strip():
            return f"column '{name}' is empty"
    for name, value in row.cells.items():
        limit = limits.max_id_chars if name == "item_id" else limits.max_cell_chars
        if len(value) > limit:
            return f"column '{printable(name, 60)}' has {len(value)} characters, at most {limit}"
        if "\0" in value:
            return f"column '{printable(name, 60)}' holds a NUL character"
        if not _is_unicode(value):
            return f"column '{printable(name, 60)}' holds half a surrogate pair, which is no text"
    image = row.cells["image"]
    if addresses and (is_address(image) or isinstance(base, str)):
        if scheme_of(joined(str(base), image)) in SCHEMES:
            return None
        return f"image '{printable(image, 80)}': only {', '.join(f'{name}://' for name in SCHEMES)} are fetched"
    if "://" in image[:20] or isinstance(base, str):
        shown = printable(image, 80)
        return f"image '{shown}' is an address; only files are read: save the photo beside the catalogue, give its path"
    try:
        if not (base / image).is_file():
            return f"image '{printable(image, 120)}': no such file"
    except (OSError, ValueError):
        return f"image '{printable(image, 120)}' is no usable path"
    return None


def _add(items: dict[str, Item], row: tables.Row, base: Path | str) -> list[Problem]:
    cells = row.cells
    key, photo = cells["item_id"].strip(), _place(base, cells["image"])
    old = items.get(key)
    if old is None:
        others = {name: value for name, value in cells.items() if name not in (*REQUIRED, *DETAILS) and value}
        category, title, url, price = (cells.get(name, "") for name in DETAILS)
        items[key] = Item(key, (photo,), category, title, url, price, others)
        return []
    if photo in old.images:
        return [Problem(row.where, f"item '{printable(key, 60)}' already has this photo")]
    items[key] = replace(old, images=(*old.images, photo))
    return [
        Problem(
            row.where, f"item '{printable(key, 60)}': {name} '{printable(cells[name], 60)}' differs, the first is kept"
        )
        for name in DETAILS
        if cells.get(name) and cells[name] != getattr(old, name)
    ]


def _place(base: Path | str, image: str) -> Path | str:
    if is_address(image):
        return image
    return joined(base, image) if isinstance(base, str) else base / image


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
