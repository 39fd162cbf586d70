"""Things cut out of photos, with exact masks, for pasting into scenes.

clothing   one garment nobody wears, separated from the ground by colour; doubtful masks are thrown away
luma       a person before white with the one garment the photo sells, separated by colour within the person
ccp        a person with all garments that the masks name; bags alone, as things to lay over others
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dprnet.core.classes import COARSE_CLASSES, coarse_class
from dprnet.core.images import read_image
from dprnet.core.records import BoolArray, FloatArray, Image
from dprnet.data import ccp
from dprnet.data.cut_luma import LUMA_SIDE, before_white, from_luma
from dprnet.data.cut_things import CutGarment, Cutout, cut, on_white
from dprnet.data.labelled import Photo
from dprnet.data.separate import centre_prior, colour_bins, enlarged, overlap, probability, shrunk, solid

LEGS = tuple(COARSE_CLASSES.index(name) for name in ("trousers", "shorts"))
# Checks of a mask made by colour; all ours, set by looking at contact sheets.
MOST_ALIKE = 0.3  # colours that thing and ground have in common
AREA = (0.12, 0.72)  # of the photo
MOST_RAGGED = 2.6  # outline of the mask against that of a disc of its area


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
    return cut(image, whole.astype(np.uint8), (garment,), photo.path)


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
    return cut(read_image(photo).image, parts, tuple(garments), photo, ignored)


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
    return cut(read_image(photo).image, np.where(whole, 255, 0).astype(np.uint8), (), photo)


__all__ = [
    "LUMA_SIDE",
    "CutGarment",
    "Cutout",
    "bag_from_ccp",
    "before_white",
    "clean",
    "from_ccp",
    "from_clothing",
    "from_luma",
    "on_white",
]
