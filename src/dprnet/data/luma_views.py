"""Shop photos of ``luma`` as images for the detector: front and back are viewpoint labels that somebody gave.

The box is found by colour (:func:`dprnet.data.cutouts.from_luma`); photos whose mask is doubtful are left out, and what
else of the person is seen is an ignore region. Crop is what the mask proves; occlusion is unlabelled; the instance is
product and colour, so front and back of a garment share it. Finding the boxes takes minutes, so they are kept as a file
in the package (``fixed_splits/luma_boxes.csv``), which :func:`write_boxes` made. Test photos have none: they train
nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image as Pil

from dprnet.core.classes import UNLABELLED
from dprnet.core.errors import BadDataset
from dprnet.core.records import Truth
from dprnet.data import luma
from dprnet.data.cutouts import LUMA_SIDE, from_luma
from dprnet.data.labelled import LabelledImage, Photo

TABLE = "luma_boxes.csv"
BRAS = "wb"  # products whose masks take in bare skin and the shorts below; seen on a contact sheet
Box = tuple[float, float, float, float]


def labelled_images(root: Path | str, split: str) -> list[LabelledImage]:
    """The front and back photos of a split whose garment could be found, in the order of index.csv.

    Args:
        root: the folder that holds ``luma``, or ``luma`` itself.
        split: ``train`` or ``validation``.

    Raises:
        MissingFile, BadDataset: as :func:`dprnet.data.luma.photos`; the test split.
    """
    if split == "test":
        raise BadDataset(root, "the test photos of luma train nothing and have no boxes; take train or validation")
    numbers: dict[str, int] = {}
    found = []
    for photo in luma.photos(root, split):
        known = boxes().get(photo.path.name)
        if known is not None and photo.viewpoint != UNLABELLED:
            number = numbers.setdefault(photo.instance, len(numbers))
            found.append(LabelledImage(photo.path, _truth(photo, known, number), "luma"))
    return found


@cache
def boxes() -> Mapping[str, tuple[Box, int, tuple[Box, ...]]]:
    """Name of the photo -> box of the garment, its crop label, and the ignore regions, in pixels of the photo."""
    text = files("dprnet.data").joinpath("fixed_splits", TABLE).read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {
        row["photo"]: (_box(row["box"]), int(row["crop"]), tuple(map(_box, filter(None, row["ignored"].split(";")))))
        for row in rows
    }


def _box(text: str) -> Box:
    x1, y1, x2, y2 = (float(value) for value in text.split())
    return x1, y1, x2, y2


def _truth(photo: Photo, known: tuple[Box, int, tuple[Box, ...]], number: int) -> Truth:
    box, crop, ignored = known
    return Truth(
        boxes_xyxy=np.array([box], np.float32),
        labels=np.array([photo.label]),
        viewpoint=np.array([photo.viewpoint]),
        occlusion=np.array([UNLABELLED]),
        crop=np.array([crop]),
        instance=np.array([number]),
        ignore_xyxy=np.array(ignored, np.float32).reshape(-1, 4),
    )


def find_box(photo: Photo) -> tuple[Box, int, tuple[Box, ...]] | None:
    """Box, crop label and ignore regions of a photo, or None where nobody can trust the mask."""
    cutout = None if photo.path.name.startswith(BRAS) else from_luma(photo)
    if cutout is None:
        return None
    with Pil.open(photo.path) as opened:
        scale = max(max(opened.size) / LUMA_SIDE, 1.0)  # the cut-out was made from a smaller copy
    x, y, right, bottom = cutout.box_xyxy
    rows, columns = ((cutout.parts == 1).any(axis=axis).nonzero()[0] for axis in (1, 0))
    own = (x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1)
    rest = [(x + a, y + b, min(x + c, right), min(y + d, bottom)) for a, b, c, d in cutout.ignored]
    return _scaled(own, scale), cutout.garments[0].crop, tuple(_scaled(box, scale) for box in rest)


def _scaled(box: tuple[float, ...], scale: float) -> Box:
    x1, y1, x2, y2 = (round(float(value) * scale, 1) for value in box)
    return x1, y1, x2, y2


def write_boxes(root: Path | str, path: Path) -> None:
    """Find the boxes of all photos that are not in the test split and write the table; about a second a photo."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["photo", "box", "crop", "ignored"], lineterminator="\n")
        table.writeheader()
        for split in ("train", "validation"):
            for photo in luma.photos(root, split):
                found = find_box(photo)
                if found is not None:
                    box, crop, ignored = (_text(found[0]), found[1], ";".join(map(_text, found[2])))
                    table.writerow({"photo": photo.path.name, "box": box, "crop": crop, "ignored": ignored})


def _text(box: Box) -> str:
    return " ".join(f"{value:g}" for value in box)
