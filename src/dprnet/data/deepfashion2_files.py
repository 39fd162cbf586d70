"""One annotation file of DeepFashion2: its fields, each checked, and what they mean here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dprnet.core.classes import DEEPFASHION2, UNLABELLED, class_index
from dprnet.core.errors import BadDataset
from dprnet.data.json_file import read_json

# category_id 1 to 13, and the landmarks of each.
CATEGORIES = (
    "short sleeve top", "long sleeve top", "short sleeve outwear", "long sleeve outwear", "vest", "sling", "shorts",
    "trousers", "skirt", "short sleeve dress", "long sleeve dress", "vest dress", "sling dress",
)  # fmt: skip
LANDMARKS = (25, 33, 31, 39, 15, 15, 10, 14, 8, 29, 37, 19, 19)
COARSE = tuple(class_index(DEEPFASHION2[name]) for name in CATEGORIES)
VIEWPOINT = {1: 2, 2: 0, 3: 1}  # label of the data set -> index into VIEWPOINTS
OCCLUSION = {1: 0, 2: 1, 3: 2}
SOURCES = ("user", "shop")
MISSING = 0.0  # paper, section 4.1, read to the letter: share of landmarks that may be unlabelled on a whole garment
MAX_BYTES = 5_000_000  # of an annotation file; the largest real ones have some 100 kB


@dataclass(frozen=True, slots=True)
class Item:
    """One garment of an annotation file, its fields as labelled there."""

    key: str
    """``item1``, ``item2`` ..."""
    category_id: int
    category_name: str
    style: int
    box_xyxy: tuple[float, float, float, float]
    visibility: tuple[int, ...]
    """Of each landmark: 2 visible, 1 occluded, 0 not labelled."""
    outside: float
    """Share of the labelled landmarks that lie outside the box by more than a tenth of its sides; 0 without any."""
    occlusion: int
    viewpoint: int
    zoom_in: int
    """1 none, 2 medium, 3 large; 0 where the file does not say."""

    @property
    def crop(self) -> int:
        """Index into CROPS by the rule of this module, or -1."""
        return crop_of(self.visibility)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation file."""

    source: str
    """``user`` or ``shop``."""
    pair_id: int
    items: tuple[Item, ...]


def crop_of(visibility: Sequence[int], missing: float = MISSING) -> int:
    """The crop label that a garment's landmarks prove: 1 cropped, 0 whole, -1 nobody labelled them.

    Args:
        visibility: of each landmark, 0 where it is not labelled (it lies outside the photo).
        missing: share of unlabelled landmarks from above which a garment is cropped.

    >>> crop_of((2, 1, 2)), crop_of((2, 0, 2)), crop_of((0, 0, 0)), crop_of(()), crop_of((2, 0, 2), missing=0.4)
    (0, 1, -1, -1, 0)
    """
    unlabelled = sum(value == 0 for value in visibility)
    if unlabelled == len(visibility):
        return UNLABELLED
    return int(unlabelled > missing * len(visibility))


def outside_of(box: Sequence[float], marks: Sequence[float]) -> float:
    """Share of the labelled landmarks (x y v, ...) that lie outside a box by more than a tenth of its sides.

    A box stored as left, top, width and height often passes for corners; its landmarks give it away.

    >>> outside_of((40, 10, 60, 90), (45, 50, 2, 90, 50, 2, 0, 0, 0)), outside_of((0, 0, 9, 9), ())
    (0.5, 0.0)
    """
    x1, y1, x2, y2 = box
    room = (x2 - x1) / 10, (y2 - y1) / 10
    labelled = [(x, y) for x, y, v in zip(marks[::3], marks[1::3], marks[2::3], strict=True) if v]
    out = sum(not (x1 - room[0] <= x <= x2 + room[0] and y1 - room[1] <= y <= y2 + room[1]) for x, y in labelled)
    return out / len(labelled) if labelled else 0.0


def read_annotation(path: Path) -> Annotation:
    """Read one annotation file.

    Raises:
        MissingFile: no such file.
        BadDataset: naming the first key whose value cannot be used.
    """
    values = read_json(path, MAX_BYTES, "no such annotation file")
    if not isinstance(values, dict):
        raise BadDataset(path, f"must hold an object with source, pair_id and items, got {type(values).__name__}")
    source = values.get("source")
    if source not in SOURCES:
        raise BadDataset(path, f"source {source!r}; wanted 'user' or 'shop'")
    pair_id = _whole(path, "pair_id", values.get("pair_id"), 0)
    keys = sorted((key for key in values if key.startswith("item")), key=lambda key: (len(key), key))
    return Annotation(source, pair_id, tuple(_item(path, key, values[key]) for key in keys))


def _item(path: Path, key: str, values: Any) -> Item:
    if not isinstance(values, dict):
        raise BadDataset(path, f"{key} must be an object, got {values!r}")
    box = values.get("bounding_box")
    if not (isinstance(box, list) and len(box) == 4 and all(_is_number(value) for value in box)):
        raise BadDataset(path, f"{key}.bounding_box {box!r}; wanted four numbers x1 y1 x2 y2")
    if not (box[0] < box[2] and box[1] < box[3]):
        raise BadDataset(path, f"{key}.bounding_box {box} is empty; wanted corners x1 y1 x2 y2, not width and height")
    marks = values.get("landmarks", [])
    sound = isinstance(marks, list) and len(marks) % 3 == 0 and all(_is_number(value) for value in marks)
    if not sound or any(value not in (0, 1, 2) for value in marks[2::3]):
        raise BadDataset(path, f"{key}.landmarks must be triplets x y v with v 2, 1 or 0")
    return Item(
        key=key,
        category_id=_whole(path, f"{key}.category_id", values.get("category_id"), 1, len(CATEGORIES)),
        category_name=str(values.get("category_name", "")),
        style=_whole(path, f"{key}.style", values.get("style"), 0),
        box_xyxy=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        visibility=tuple(int(value) for value in marks[2::3]),
        outside=outside_of(box, marks),
        occlusion=_whole(path, f"{key}.occlusion", values.get("occlusion"), 1, 3),
        viewpoint=_whole(path, f"{key}.viewpoint", values.get("viewpoint"), 1, 3),
        zoom_in=_whole(path, f"{key}.zoom_in", values.get("zoom_in", 0), 0, 3),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _whole(path: Path, key: str, value: Any, low: int, high: int = 2**31 - 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        wanted = f"{low} to {high}" if high < 2**31 - 1 else f"a whole number from {low} on"
        raise BadDataset(path, f"{key} {value!r}; wanted {wanted}")
    return value
