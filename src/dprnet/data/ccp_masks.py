"""What the masks of Clothing Co-Parsing prove: boxes, classes, and crop and occlusion where they are certain, else -1.

crop       1 where the mask runs along the photo's border over a clear length, 0 where it stays clear of it
occlusion  between two bounds of the covered fraction: at least what lies over the garment within its convex hull,
           at most all of that kind within its box (see :func:`_covered_bounds`)
viewpoint  unlabelled
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageDraw
from scipy.ndimage import find_objects
from scipy.spatial import ConvexHull, QhullError

from dprnet.core.classes import IGNORE, UNLABELLED, class_index, coarse_class, occlusion_class
from dprnet.core.records import Truth

Mask = NDArray[np.uint8]
SMALLEST = 0.005  # data card: a label under 0.5 % of the photo is ignored
NEAR_IDENTICAL = 0.9  # ours: two labels of one coarse class whose boxes overlap more are one garment
BORDER = 2  # ours: pixels; a mask that comes this near touches the border
CLEAR_OF_BORDER = 5  # ours: pixels; a mask that stays this far away does not
CLEAR_LENGTH = 0.1  # ours: fraction of the box's longer side along which a cut garment touches the border
WHOLE_TROUSERS = 0.4  # ours: fraction of the person's height below which something may hide the upper part
AROUND = 0.15  # ours: margin around the box, of its longer side, in which a thing carried may hide part of the garment
# What lies over a garment, and what may. Skin is arms, but also legs and neck: it only raises the upper bound.
SURELY_OVER = ("bag", "purse", "wallet", "hair", "scarf", "gloves")
OVER = ("accessories", "belt", "tie")
OUTER = ("blazer", "cape", "cardigan", "coat", "jacket", "suit", "vest")


@dataclass(frozen=True, slots=True)
class _Garment:
    name: str
    mask: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    area: int


def truth_of_mask(mask: Mask, names: tuple[str, ...]) -> Truth:
    """What a mask proves, (H, W) -> Truth.

    >>> mask = np.zeros((100, 50), np.uint8)
    >>> mask[20:60, 10:40] = 1
    >>> truth = truth_of_mask(mask, ("null", "sweater"))
    >>> truth.boxes_xyxy.tolist(), truth.labels.tolist(), truth.crop.tolist()
    ([[10.0, 20.0, 40.0, 60.0]], [0], [0])
    """
    garments, ignored = _garments(mask, names)
    labels = [class_index(str(coarse_class("ccp", garment.name))) for garment in garments]
    return Truth(
        boxes_xyxy=np.array([garment.box for garment in garments], np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        viewpoint=np.full(len(garments), UNLABELLED, np.int64),
        occlusion=np.array([_occlusion(garment, mask, names) for garment in garments], np.int64),
        crop=np.array([_crop(garment) for garment in garments], np.int64),
        instance=np.full(len(garments), UNLABELLED, np.int64),
        ignore_xyxy=np.array(ignored, np.float32).reshape(-1, 4),
    )


def _garments(mask: Mask, names: tuple[str, ...]) -> tuple[list[_Garment], list[tuple[int, int, int, int]]]:
    areas = np.bincount(mask.ravel(), minlength=256)
    kept: list[_Garment] = []
    ignored = []
    for label, place in enumerate(find_objects(mask), start=1):
        name = names[label] if label < len(names) else ""
        coarse = coarse_class("ccp", name)
        if place is None or coarse is None:
            continue
        rows, columns = place
        box = (columns.start, rows.start, columns.stop, rows.stop)
        if coarse == IGNORE or areas[label] < SMALLEST * mask.size:
            ignored.append(box)
        else:
            kept.append(_Garment(name, mask == label, box, int(areas[label])))
    return _without_twins(kept), ignored


def _without_twins(garments: list[_Garment]) -> list[_Garment]:
    """Shirt and sweater are two tops; shirt and blouse over the same pixels are one (the larger mask stays)."""
    kept: list[_Garment] = []
    for garment in sorted(garments, key=lambda g: -g.area):
        coarse = coarse_class("ccp", garment.name)
        twins = (
            _overlap(garment.box, other.box) > NEAR_IDENTICAL
            for other in kept
            if coarse_class("ccp", other.name) == coarse
        )
        if not any(twins):
            kept.append(garment)
    return [garment for garment in garments if garment in kept]


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = max(width, 0) * max(height, 0)
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def _crop(garment: _Garment) -> int:
    """1 along the border over a clear length, 0 well clear of it, -1 in doubt."""
    mask = garment.mask
    x1, y1, x2, y2 = garment.box
    height, width = mask.shape
    if min(x1, y1, width - x2, height - y2) >= CLEAR_OF_BORDER:
        return 0
    sides = (mask[:BORDER].any(0), mask[-BORDER:].any(0), mask[:, :BORDER].any(1), mask[:, -BORDER:].any(1))
    longest = max(int(side.sum()) for side in sides)
    return 1 if longest >= CLEAR_LENGTH * max(x2 - x1, y2 - y1) else UNLABELLED


def _occlusion(garment: _Garment, mask: Mask, names: tuple[str, ...]) -> int:
    """The class where both bounds of the covered fraction agree on it, else -1."""
    least, most = _covered_bounds(garment, mask, names)
    return occlusion_class(least) if occlusion_class(least) == occlusion_class(most) else UNLABELLED


def _covered_bounds(garment: _Garment, mask: Mask, names: tuple[str, ...]) -> tuple[float, float]:
    """Least and most of a garment's area that other things cover.

    At least: the pixels within the convex hull of what is seen that belong to things worn or carried over it. At most:
    all pixels of such things within the box and a margin around it (a bag at the hip shortens the box as well), and of
    skin within the box. Where something may hide a part outside the box (a top under
    a coat, trousers under a long coat, a skirt or dress under anything outer) the upper bound is 1.
    """
    coarse = coarse_class("ccp", garment.name)
    x1, y1, x2, y2 = garment.box
    inside = mask[y1:y2, x1:x2]
    own = garment.mask[y1:y2, x1:x2]
    outer = () if coarse == "outerwear" else tuple(name for name in OUTER if name != garment.name)
    sure = np.isin(inside, _ids(SURELY_OVER + outer, names)) & _hull(own)
    least = int(sure.sum()) / (garment.area + int(sure.sum()))
    same = tuple(n for n in names if coarse_class("ccp", n) == coarse and n != garment.name)
    wider = int(AROUND * max(x2 - x1, y2 - y1))
    around = mask[max(y1 - wider, 0) : y2 + wider, max(x1 - wider, 0) : x2 + wider]
    over = int(np.isin(around, _ids(SURELY_OVER + outer, names)).sum())
    over += int(np.isin(inside, _ids(OVER + same + (() if coarse == "trousers" else ("skin",)), names)).sum())
    most = over / (garment.area + over)
    if coarse == "outerwear":
        return least, most
    hidden = np.isin(mask, _ids(outer, names)).any()
    if coarse == "trousers":
        rows = np.flatnonzero(mask.any(axis=1))
        hidden = y2 - y1 < WHOLE_TROUSERS * (rows[-1] + 1 - rows[0])
    return least, 1.0 if hidden else max(least, most)


def _ids(wanted: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    return [number for number, name in enumerate(names) if name in wanted]


def _hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The convex hull of a mask, as a mask of the same size."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    points: NDArray[Any] = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)])
    try:
        corners = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # all in one line
        return mask
    canvas = Pil.new("1", (mask.shape[1], mask.shape[0]))
    ImageDraw.Draw(canvas).polygon([(int(x), int(y)) for x, y in corners], fill=1)
    return np.asarray(canvas, bool) | mask
