"""A thing cut out of a photo: its pixels, and which garment each of them belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.records import BoolArray, Image


@dataclass(frozen=True, slots=True)
class CutGarment:
    """One garment of a cut-out."""

    part: int
    """Its number in the cut-out's ``parts``."""
    label: int
    viewpoint: int
    occlusion: int
    """As seen in the photo (index into OCCLUSIONS), or -1."""
    crop: int
    """As seen in the photo: 1 where the photo cuts it, 0 where it is whole, -1 unknown."""
    identity: str
    """As ``Photo.instance`` of the data set it comes from."""
    family: str = ""
    """As ``Photo.item``."""


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """Pixels of a thing with what each belongs to."""

    image: Image
    """uint8 (h, w, 3)."""
    parts: NDArray[np.uint8]
    """(h, w): 0 ground, 255 the thing but no labelled garment, else the number of a garment."""
    garments: tuple[CutGarment, ...]
    photo: Path
    """Where it was cut out."""
    box_xyxy: tuple[int, int, int, int]
    """And from which pixels."""
    sides: tuple[bool, bool, bool, bool] = (False, False, False, False)
    """Whether the photo's left, top, right and bottom border cut the thing."""
    ignored: tuple[tuple[float, float, float, float], ...] = ()
    """Boxes (pixels of the cut-out) of garments whose class or extent nobody knows."""

    @property
    def solid(self) -> BoolArray:
        """(h, w) True on the thing."""
        found: BoolArray = self.parts > 0
        return found


def cut(
    image: Image, parts: NDArray[Any], garments: tuple[CutGarment, ...], photo: Path, ignored: Any = ()
) -> Cutout | None:
    """The thing that ``parts`` (H, W) marks in a photo, cut to its extent; None where it marks nothing.

    Args:
        image: the photo, (H, W, 3).
        parts: 0 ground, 255 the thing but no labelled garment, else the number of a garment.
        garments: those of ``parts``.
        photo: where the image lies.
        ignored: boxes, in pixels of the photo, of garments whose class or extent nobody knows.
    """
    rows, columns = np.flatnonzero(parts.any(axis=1)), np.flatnonzero(parts.any(axis=0))
    if not len(rows):
        return None
    x1, y1, x2, y2 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    height, width = parts.shape
    return Cutout(
        image=image[y1:y2, x1:x2].copy(),
        parts=parts[y1:y2, x1:x2].copy(),
        garments=garments,
        photo=photo,
        box_xyxy=(x1, y1, x2, y2),
        sides=(x1 <= 1, y1 <= 1, x2 >= width - 1, y2 >= height - 1),
        ignored=tuple((a - x1, b - y1, c - x1, d - y1) for a, b, c, d in ignored),
    )


def on_white(cutout: Cutout, part: int) -> Image:
    """One garment of a cut-out before white, as a shop would show it, with a little room around."""
    mask = cutout.parts == part
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    here = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    room = max(mask[here].shape) // 12
    wide = np.pad(cutout.image[here], ((room, room), (room, room), (0, 0)), constant_values=255)
    wide[~np.pad(mask[here], room)] = 255
    return wide
