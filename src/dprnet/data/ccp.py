"""Clothing Co-Parsing: street photos with a label id a pixel, read as boxes, classes and what the masks prove.

One box a label and photo, as the label's extent; labels under 0.5 % of the photo, suits and rompers become ignore
regions; bystanders are not labelled. Crop and occlusion are derived only where the masks prove them, else -1:

    crop       1 where the mask runs along the photo's border over a clear length, 0 where it stays clear of it
    occlusion  between two bounds of the covered fraction: at least what lies over the garment within its convex hull,
               at most all of that kind within its box (see :func:`_covered_bounds`)
    viewpoint  unlabelled
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageDraw
from scipy.ndimage import find_objects
from scipy.spatial import ConvexHull, QhullError

from dprnet.core.classes import IGNORE, UNLABELLED, class_index, coarse_class, occlusion_class
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.records import Truth
from dprnet.data.labelled import LabelledImage
from dprnet.data.splits import check_split, split_of

log = logging.getLogger(__name__)

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


def labelled_images(root: Path | str, split: str) -> list[LabelledImage]:
    """The photos of a split with boxes, classes, crop and occlusion labels, in order.

    Args:
        root: the folder that holds ``ccp``, or ``ccp`` itself.
        split: ``train`` (640 photos), ``validation`` (60) or ``test`` (100).

    Raises:
        BadDataset: a file is missing or damaged (the first one is named; ``check_ccp`` lists all).
    """
    check_split(split)
    names = label_names(folder_of(root))
    found = [
        LabelledImage(path=photo, truth=truth_of_mask(read_mask(mask_path(photo)), names), source="ccp")
        for photo in photo_paths(root, split)
    ]
    log.info("ccp %s: %d photos, %d boxes", split, len(found), sum(len(image.truth) for image in found))
    return found


def photo_paths(root: Path | str, split: str) -> list[Path]:
    """The photos of a split, in order; nothing is read."""
    folder, wanted = folder_of(root), check_split(split)
    return [folder / "photos" / f"{key}.jpg" for key, its_split in split_of("ccp").items() if its_split == wanted]


def mask_path(photo: Path) -> Path:
    """The mask of a photo.

    >>> mask_path(Path("ccp/photos/0007.jpg")).as_posix()
    'ccp/masks/0007.png'
    """
    return photo.parent.parent / "masks" / f"{photo.stem}.png"


def folder_of(root: Path | str) -> Path:
    """The folder of the data set: ``root/ccp``, or ``root`` where that holds labels.txt."""
    root = Path(root)
    return root if (root / "labels.txt").is_file() else root / "ccp"


def label_names(folder: Path) -> tuple[str, ...]:
    """Names of the labels; the position is the id in the masks.

    Raises:
        BadDataset: labels.txt is missing or does not begin with ``null``.
    """
    path = folder / "labels.txt"
    try:
        names = tuple(path.read_text(encoding="utf-8").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(path, f"cannot be read ({type(error).__name__}); is this the folder of ccp?") from None
    names = tuple(name.strip() for name in names)
    names = names[:-1] if names and not names[-1] else names
    if not names or names[0] != "null":
        raise BadDataset(path, f"line 1 must be 'null', got '{names[0] if names else ''}'")
    return names


def read_mask(path: Path) -> Mask:
    """A mask, uint8 (H, W), one label id a pixel.

    Raises:
        BadDataset: missing, damaged, or not one id a pixel.
    """
    try:
        with Pil.open(path, formats=("PNG",)) as opened:
            mode, mask = opened.mode, np.asarray(opened)
    except FileNotFoundError:
        raise MissingFile(path, "no such mask; check the data set with check_ccp") from None
    except Exception as error:  # Pillow raises nearly every type there is on broken files
        raise BadDataset(path, f"no PNG, or a damaged one ({type(error).__name__})") from None
    if mode not in {"L", "P"}:
        raise BadDataset(path, f"a mask has one id a pixel (mode L or P), got mode {mode}")
    return mask


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


def check_ccp(root: Path | str) -> list[str]:
    """All that is wrong with the files of ccp, as sentences with file, line and value; empty when all is well."""
    folder = folder_of(root)
    try:
        names = label_names(folder)
    except BadDataset as error:
        return [str(error)]
    problems = []
    for key in split_of("ccp"):
        photo, path = folder / "photos" / f"{key}.jpg", folder / "masks" / f"{key}.png"
        if not photo.is_file():
            problems.append(f"photos/{key}.jpg: no such file")
            continue
        try:
            mask = read_mask(path)
            with Pil.open(photo, formats=("JPEG",)) as opened:
                width, height = opened.size
        except (BadDataset, MissingFile) as error:
            problems.append(f"masks/{key}.png: {error.sentence}")
            continue
        except Exception as error:
            problems.append(f"photos/{key}.jpg: no JPEG, or a damaged one ({type(error).__name__})")
            continue
        if mask.shape != (height, width):
            problems.append(
                f"masks/{key}.png: {mask.shape[1]} x {mask.shape[0]} pixels, the photo has {width} x {height}"
            )
        if int(mask.max()) >= len(names):
            problems.append(f"masks/{key}.png: label {int(mask.max())}, but labels.txt ends with {len(names) - 1}")
    return problems
