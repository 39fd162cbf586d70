"""The person of a shop photo of ``luma`` before white, with the one garment that the photo sells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dprnet.core.classes import COARSE_CLASSES, UNLABELLED
from dprnet.core.records import BoolArray, FloatArray, Image
from dprnet.data.cut_things import CutGarment, Cutout, cut
from dprnet.data.labelled import Photo
from dprnet.data.separate import enlarged, probability, shrunk, solid

LUMA_SIDE = 600  # pixels of the longer side; people are pasted at about this size
PERSON_AREA = (0.12, 0.85)  # of a garment, of the person who wears it


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
    own = CutGarment(1, photo.label, photo.viewpoint, 0, crop, photo.instance, photo.item)
    return cut(image, parts, (own,), photo.path, _rest(parts))


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


def _touches(mask: BoolArray, share: float) -> bool:
    """Whether a mask runs along the photo's border over more than a share of its longer side."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    edges = (mask[:2].any(0), mask[-2:].any(0), mask[:, :2].any(1), mask[:, -2:].any(1))
    return bool(max(int(edge.sum()) for edge in edges) > share * longer)
