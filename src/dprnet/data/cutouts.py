"""Things cut out of photos, with exact masks, for pasting into scenes.

clothing   one garment nobody wears, separated from the ground by colour; doubtful masks are thrown away
luma       a person before white with the one garment the photo sells, separated by colour within the person
ccp        a person with all garments that the masks name; bags alone, as things to lay over others
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dprnet.core.classes import COARSE_CLASSES, UNLABELLED, coarse_class
from dprnet.core.images import read_image
from dprnet.core.records import BoolArray, FloatArray, Image
from dprnet.data import ccp
from dprnet.data.labelled import Photo
from dprnet.data.separate import centre_prior, colour_bins, enlarged, overlap, probability, shrunk, solid

LEGS = tuple(COARSE_CLASSES.index(name) for name in ("trousers", "shorts"))

# Checks of a mask made by colour; all ours, set by looking at contact sheets.
MOST_ALIKE = 0.3  # colours that thing and ground have in common
AREA = (0.12, 0.72)  # of the photo
MOST_RAGGED = 2.6  # outline of the mask against that of a disc of its area
LUMA_SIDE = 600  # pixels of the longer side; people are pasted at about this size
PERSON_AREA = (0.12, 0.85)  # of a garment, of the person who wears it


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


def from_clothing(photo: Photo) -> Cutout | None:
    """The garment of a photo of ``clothing``, or None where its mask is doubtful."""
    image = photo.load()
    small = shrunk(image)
    prior = centre_prior((small.shape[0], small.shape[1]))
    if photo.label in LEGS:
        prior = _open_between_legs(prior)
    mask = solid(probability(small, prior), holes=photo.label not in LEGS)
    if not clean(small, mask):
        return None
    whole = ndimage.binary_erosion(enlarged(mask, (image.shape[0], image.shape[1])))
    garment = CutGarment(1, photo.label, photo.viewpoint, 0, 0, photo.instance)
    return _cutout(image, whole.astype(np.uint8), (garment,), photo.path)


def clean(image: Image, mask: BoolArray) -> bool:
    """Whether a mask made by colour looks like a garment: size, outline, colours unlike the ground's."""
    area = float(mask.mean())
    if not AREA[0] <= area <= AREA[1] or mask[[0, -1]].any() or mask[:, [0, -1]].any():
        return False
    outline = float((mask & ~ndimage.binary_erosion(mask)).sum())
    ragged = outline / (2 * np.sqrt(np.pi * mask.sum()))
    return bool(ragged <= MOST_RAGGED) and overlap(colour_bins(image), mask) <= MOST_ALIKE


def _open_between_legs(prior: FloatArray) -> FloatArray:
    height, width = prior.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    strip = (np.abs(x / width - 0.5) < 0.1) & (y / height > 0.5)
    return np.where(strip, np.minimum(prior, 0.35), prior).astype(np.float32)


def from_luma(photo: Photo) -> Cutout | None:
    """The person of a photo of ``luma`` with the garment it sells, or None where either mask is doubtful.

    Only the photo's own garment is labelled: the rest of the person becomes ignore regions.
    """
    if photo.viewpoint == UNLABELLED:  # close-ups
        return None
    image = shrunk(photo.load(), LUMA_SIDE)
    person = before_white(image)
    small = shrunk(image)
    here = enlarged(person, (small.shape[0], small.shape[1]))
    if not 0.08 <= here.mean() <= 0.8:
        return None
    mask = solid(probability(small, _worn_prior(here, photo.label), within=here), holes=False)
    garment = enlarged(mask, (image.shape[0], image.shape[1])) & person
    share = garment.sum() / max(person.sum(), 1)
    if not PERSON_AREA[0] <= share <= PERSON_AREA[1]:
        return None
    parts = np.where(garment, 1, np.where(person, 255, 0)).astype(np.uint8)
    crop = 1 if _touches(garment, 0.1) else UNLABELLED if _touches(garment, 0.0) else 0
    cut = CutGarment(1, photo.label, photo.viewpoint, 0, crop, photo.instance, photo.item)
    return _cutout(image, parts, (cut,), photo.path, _rest(parts))


def before_white(image: Image) -> BoolArray:
    """Who stands before white, (H, W, 3) -> (H, W): all but the white that joins the border or fills a clear gap."""
    pieces, count = ndimage.label(image.min(axis=2) >= 244)
    if not count:
        return np.ones(image.shape[:2], bool)
    numbers = np.arange(count + 1)
    border = np.unique(np.concatenate([pieces[0], pieces[:, 0], pieces[:, -1]]))
    # A gap between arm and body is as white as paper; a white shirt is not, and has no large even part.
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    paper = ndimage.mean(image.min(axis=2), pieces, numbers) >= 251
    ground = np.isin(numbers, border) | (paper & (size > 0.0004 * pieces.size))
    ground[0] = False
    person = solid((~ground[pieces]).astype(np.float32), holes=False)
    eroded: BoolArray = ndimage.binary_erosion(person, iterations=2, border_value=1)
    return eroded


def _worn_prior(person: BoolArray, label: int) -> FloatArray:
    """Where on a person a garment is likely: rows of its kind, not the head, not the far end."""
    rows = np.flatnonzero(person.any(axis=1))
    y = (np.arange(person.shape[0]) - rows[0]) / max(rows[-1] - rows[0], 1)
    kind = COARSE_CLASSES[label]
    if kind == "trousers":
        likely = np.interp(y, [0, 0.04, 0.12, 0.25, 0.6, 0.86, 0.93], [0.2, 0.5, 0.97, 0.95, 0.85, 0.7, 0.01])
    elif kind in {"shorts", "skirt"}:
        likely = np.interp(y, [0, 0.04, 0.12, 0.25, 0.45, 0.86, 0.93], [0.2, 0.5, 0.97, 0.97, 0.5, 0.05, 0.01])
    else:
        likely = np.interp(y, [0.17, 0.27, 0.37, 0.6, 0.8, 0.92, 1.0], [0.01, 0.3, 0.97, 0.97, 0.6, 0.1, 0.02])
    middle = np.array([row.nonzero()[0].mean() if row.any() else 0.0 for row in person])
    half = np.maximum(person.sum(axis=1), 1) / 2
    aside = np.abs(np.arange(person.shape[1])[None] - middle[:, None]) / half[:, None]
    # Arms beside a body and bare legs under shorts: only the middle is nearly certain.
    prior = np.where(aside < 0.4, likely[:, None], np.minimum(likely[:, None] * (1.2 - 0.6 * aside), 0.6))
    if kind == "trousers":
        prior = np.where(y[:, None] > 0.3, likely[:, None], prior)  # legs lie aside of the middle
    return np.where(person, np.clip(prior, 0.01, 0.97), 0).astype(np.float32)


def _rest(parts: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
    """What of a person lies above and below the labelled garment, as boxes."""
    own = np.flatnonzero((parts == 1).any(axis=1))
    boxes = []
    for first, last in ((0, own[0]), (own[-1] + 1, len(parts))):
        columns, rows = (np.flatnonzero((parts[first:last] > 0).any(axis=axis)) for axis in (0, 1))
        if len(rows) > 0.04 * len(parts):
            box = (columns[0], first + rows[0], columns[-1] + 1, first + rows[-1] + 1)
            boxes.append((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    return boxes


def from_ccp(photo: Path, names: tuple[str, ...]) -> Cutout | None:
    """The person of a photo of ``ccp`` (with its mask beside it) with all garments, or None where it is too small."""
    mask = ccp.read_mask(ccp.mask_path(photo))
    person = ndimage.binary_opening(mask > 0, iterations=1)
    if person.mean() < 0.04:
        return None
    parts = np.where(person, 255, 0).astype(np.uint8)
    garments = []
    truth = ccp.truth_of_mask(mask, names)
    for number, row in enumerate(_labels_of_boxes(mask, names, truth.boxes_xyxy), start=1):
        parts[person & (mask == row)] = number
        at = number - 1
        garments.append(
            CutGarment(
                part=number,
                label=int(truth.labels[at]),
                viewpoint=int(truth.viewpoint[at]),
                occlusion=int(truth.occlusion[at]),
                crop=int(truth.crop[at]),
                identity=f"ccp/{photo.stem}-{names[row]}",
            )
        )
    ignored = [(float(a), float(b), float(c), float(d)) for a, b, c, d in truth.ignore_xyxy]
    return _cutout(read_image(photo).image, parts, tuple(garments), photo, ignored)


def _labels_of_boxes(mask: NDArray[np.uint8], names: tuple[str, ...], boxes: FloatArray) -> list[int]:
    """Which label each box of a mask's truth belongs to (boxes come in the order of the labels)."""
    wanted = [tuple(int(v) for v in box) for box in boxes]
    found: list[int] = []
    for label, place in enumerate(ndimage.find_objects(mask), start=1):
        if place is None or coarse_class("ccp", names[label]) is None:
            continue
        box = (place[1].start, place[0].start, place[1].stop, place[0].stop)
        if len(found) < len(wanted) and box == wanted[len(found)]:
            found.append(label)
    return found


def bag_from_ccp(photo: Path, names: tuple[str, ...]) -> Cutout | None:
    """The largest bag or purse of a photo of ``ccp`` in one piece, as a thing without garments; or None."""
    mask = ccp.read_mask(ccp.mask_path(photo))
    bags = [number for number, name in enumerate(names) if name in {"bag", "purse"}]
    whole = solid(np.isin(mask, bags).astype(np.float32), holes=True)
    if whole.mean() < 0.008:
        return None
    return _cutout(read_image(photo).image, np.where(whole, 255, 0).astype(np.uint8), (), photo)


def _touches(mask: BoolArray, share: float) -> bool:
    """Whether a mask runs along the photo's border over more than a share of its longer side."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    edges = (mask[:2].any(0), mask[-2:].any(0), mask[:, :2].any(1), mask[:, -2:].any(1))
    return bool(max(int(edge.sum()) for edge in edges) > share * longer)


def _cutout(
    image: Image, parts: NDArray[Any], garments: tuple[CutGarment, ...], photo: Path, ignored: Any = ()
) -> Cutout | None:
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
