"""Your own pairs: a CSV or Parquet table of photos with the item that each shows and where it was taken.

image     path, relative to the table
item_id   photos of one item_id show one garment
domain    ``shop``, or ``street`` (``consumer``, ``user`` and ``video`` mean the same): who is searched, who asks
box       optional: ``x1 y1 x2 y2`` in pixels, corners; empty: the whole photo
category  optional: one of our coarse classes; others are kept as unknown
split     optional: ``train``, ``validation`` or ``test``; without it one item in five tests, one in ten validates
"""

from __future__ import annotations

import csv
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from dprnet.core.classes import COARSE_CLASSES, UNLABELLED
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.labelled import Photo
from dprnet.data.protocols import Problems, Protocol, unique
from dprnet.data.splits import SPLITS, check_split
from dprnet.data.tables import read_table

COLUMNS = ("image", "item_id", "domain")
DOMAINS: Mapping[str, Literal["shop", "video"]] = {
    "shop": "shop", "street": "video", "consumer": "video", "user": "video", "video": "video",
}  # fmt: skip

Box = tuple[float, float, float, float]
Row = tuple[int, Mapping[str, Any]]


def rows_of(path: Path) -> list[Row]:
    """The table's rows with their line (in Parquet: their row, from 1).

    Raises:
        MissingFile: no such file.
        BadDataset: neither CSV nor Parquet, or a column is missing.
    """
    if path.suffix.lower() != ".parquet":
        return list(read_table(path, COLUMNS))
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise MissingFile(path, "no such table")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise BadDataset(path, f"is no Parquet file ({type(error).__name__})") from None
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise BadDataset(path, f"column '{missing[0]}' is missing; wanted {', '.join(COLUMNS)}")
    return list(enumerate(table.to_pylist(), 1))


def photo_of(path: Path, line: int, row: Mapping[str, Any]) -> tuple[Photo, str]:
    """A row as a photo and its split.

    Raises:
        BadDataset: an empty image or item, an unknown domain or split, or no box where one was meant.
    """
    image, item, domain = (str(row[name] if row[name] is not None else "").strip() for name in COLUMNS)
    if not image or not item:
        raise BadDataset(path, f"line {line}: {'image' if not image else 'item_id'} is empty")
    if domain.lower() not in DOMAINS:
        raise BadDataset(path, f"line {line}: domain '{domain}' is unknown; known are {', '.join(DOMAINS)}")
    if Path(image).is_absolute() or ".." in Path(image).parts:
        raise BadDataset(path, f"line {line}: image '{image}' must lie beside the table")
    split = str(row.get("split") or "").strip() or split_rule(item)
    if split not in SPLITS:
        raise BadDataset(path, f"line {line}: split '{split}' is unknown; known are {', '.join(SPLITS)}")
    category = str(row.get("category") or "").strip().lower()
    label = COARSE_CLASSES.index(category) if category in COARSE_CLASSES else UNLABELLED
    box = box_of(path, line, row.get("box"))
    return Photo(path.parent / image, box, f"{path.stem}/{item}", label, DOMAINS[domain.lower()]), split


def box_of(path: Path, line: int, value: Any) -> Box | None:
    """Corners from text (``1 2 30 40``, commas will do) or a list of four; None where there is none.

    Raises:
        BadDataset: something else, or corners in the wrong order.

    >>> box_of(Path("p.csv"), 2, "1,2,30,40"), box_of(Path("p.csv"), 3, "")
    ((1.0, 2.0, 30.0, 40.0), None)
    """
    if value is None or value == "":
        return None
    parts = [part for part in re.split(r"[\s,;]+", value.strip()) if part] if isinstance(value, str) else value
    try:
        x1, y1, x2, y2 = (float(part) for part in parts)
    except (TypeError, ValueError):
        raise BadDataset(path, f"line {line}: box '{value}' is not x1 y1 x2 y2") from None
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or not (x1 < x2 and y1 < y2):
        raise BadDataset(path, f"line {line}: box '{value}' is no pair of corners x1 y1 x2 y2 (not width and height)")
    return x1, y1, x2, y2


def split_rule(item_id: str) -> str:
    """The split of an item where the table names none, by a hash (ours).

    >>> split_rule("A1") == split_rule("A1")
    True
    """
    bucket = zlib.crc32(f"pairs/{item_id}".encode()) % 10
    return "test" if bucket < 2 else "validation" if bucket < 3 else "train"


def photos(path: Path | str, split: str) -> list[Photo]:
    """The photos of a split, each once, in the order of the table.

    Raises:
        MissingFile, BadDataset: the table is missing, or a row is wrong (``dprnet check`` lists all).
    """
    path, wanted = Path(path), check_split(split)
    found = (photo_of(path, line, row) for line, row in rows_of(path))
    return list(unique(photo for photo, its_split in found if its_split == wanted))


def protocol(path: Path | str, split: str = "test") -> Protocol:
    """Street photos of a split among all shop photos of the table (every split: a gallery should be large).

    Raises:
        MissingFile, BadDataset: as :func:`photos`.
    """
    path, wanted = Path(path), check_split(split)
    every = [photo_of(path, line, row) for line, row in rows_of(path)]
    queries = unique(photo for photo, its_split in every if its_split == wanted and photo.domain == "video")
    gallery = unique(photo for photo, _ in every if photo.domain == "shop")
    return Protocol(f"{path.stem} {split}", queries, gallery)


def looks_like_pairs(path: Path) -> bool:
    """Whether a table has the three columns: then it is pairs, else a catalogue."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            names = pq.read_schema(path).names
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file), [])
    except (OSError, ValueError, csv.Error):  # pyarrow's own errors are ValueErrors
        return False
    return set(COLUMNS) <= set(names)


def check_pairs(path: Path | str) -> tuple[str, list[str]]:
    """What is there in a few words, and all that is wrong (of each kind the first five and a count).

    Raises:
        MissingFile, BadDataset: no such table, or a column is missing.
    """
    path, found = Path(path), Problems()
    split_of: dict[str, str] = {}
    domains: dict[str, set[str]] = {}
    photos_: set[Photo] = set()
    for line, row in rows_of(path):
        try:
            photo, split = photo_of(path, line, row)
        except BadDataset as error:
            found.say("rows", str(error))
            continue
        if not photo.path.is_file():
            found.say("missing images", f"line {line}: {row['image']} does not exist")
        if split_of.setdefault(photo.instance, split) != split:
            found.say(
                "splits", f"line {line}: item {row['item_id']} is in '{split}' and in '{split_of[photo.instance]}'"
            )
        domains.setdefault(photo.instance, set()).add(photo.domain)
        photos_.add(photo)
    for instance, seen in domains.items():
        if seen == {"video"}:
            found.say(
                "items", f"item {instance.partition('/')[2]} has no shop photo, so its queries cannot be answered"
            )
    return f"{len(photos_)} photos of {len(domains)} items", found.listed()
