"""One pasted scene: cut-outs laid over a background one after another, with the truth counted from their masks.

For each garment three areas are counted: all of it (A), what lies within the image (B), what nothing else covers (C).
Cut off is 1 - B / A, occluded is 1 - C / B, and the box is the extent of C.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from scipy import ndimage

from dprnet.core.classes import UNLABELLED, crop_class, occlusion_class
from dprnet.core.records import Image
from dprnet.data.cutouts import CutGarment, Cutout
from dprnet.data.light import LightConfig, relight
from dprnet.data.transforms import occlusion_after

FEWEST_PIXELS = 200  # ours: of a garment, below which nobody would label it
LEAST_VISIBLE = 0.1  # ours: fraction of a garment, likewise

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """How a cut-out is laid into a scene."""

    scale: float
    """Pixels of the scene per pixel of the cut-out."""
    degrees: float
    """Counter-clockwise."""
    flip: bool
    centre: tuple[float, float]
    """Where the middle of the cut-out goes, pixels of the scene."""


@dataclass(frozen=True, slots=True)
class View:
    """What a scene shows of one garment."""

    garment: CutGarment
    box_xyxy: Box
    viewpoint: int
    occlusion: int
    crop: int
    occluded: float
    """Fraction of what lies within the image; NaN where the photo hides an unknown part."""
    cut_off: float
    """Fraction of all; NaN likewise."""


@dataclass(slots=True, eq=False)
class Scene:
    """A picture that grows by :meth:`paste`; truth by :meth:`views`.

    >>> from pathlib import Path
    >>> red = Cutout(np.full((40, 20, 3), 200, np.uint8), np.ones((40, 20), np.uint8),
    ...              (CutGarment(1, 0, 0, 0, 0, "a"),), Path("a.jpg"), (0, 0, 20, 40))
    >>> scene = Scene(np.zeros((80, 80, 3), np.uint8))
    >>> scene.paste(red, Pose(1.0, 0.0, False, (40.0, 80.0)))
    >>> view = scene.views()[0][0]
    >>> view.box_xyxy, view.cut_off, view.crop
    ((30.0, 60.0, 50.0, 80.0), 0.5, 1)
    """

    image: Image
    garments: list[CutGarment] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    """Pixels of each garment, in the image or not."""
    inside: list[int] = field(default_factory=list)
    """Pixels of each within the image, covered or not."""
    ignored: list[Box] = field(default_factory=list)
    owner: NDArray[np.int16] = field(init=False)
    """(H, W): 0 ground, -1 a thing without label, else 1 + index of the garment."""

    def __post_init__(self) -> None:
        self.image = self.image.copy()
        self.owner = np.zeros(self.image.shape[:2], np.int16)

    def paste(
        self, cutout: Cutout, pose: Pose, light: LightConfig | None = None, rng: np.random.Generator | None = None
    ) -> None:
        """Lay a cut-out over all that is there; with ``light`` (and ``rng``) in a light of its own."""
        picture, parts = Pil.fromarray(cutout.image), Pil.fromarray(cutout.parts)
        if pose.flip:
            picture = picture.transpose(Pil.Transpose.FLIP_LEFT_RIGHT)
            parts = parts.transpose(Pil.Transpose.FLIP_LEFT_RIGHT)
        size = (max(round(picture.width * pose.scale), 2), max(round(picture.height * pose.scale), 2))
        picture = picture.resize(size, Pil.Resampling.BILINEAR)
        parts = parts.resize(size, Pil.Resampling.NEAREST)
        if light is not None and rng is not None:
            picture = relight(picture, light, rng)
        picture = picture.rotate(pose.degrees, Pil.Resampling.BILINEAR, expand=True)
        parts = parts.rotate(pose.degrees, Pil.Resampling.NEAREST, expand=True)
        left, top = round(pose.centre[0] - picture.width / 2), round(pose.centre[1] - picture.height / 2)
        self._lay(np.asarray(picture), np.asarray(parts), left, top, cutout.garments)
        self.ignored += [_moved(box, cutout, pose) for box in cutout.ignored]

    def _lay(
        self, pixels: Image, parts: NDArray[np.uint8], left: int, top: int, garments: tuple[CutGarment, ...]
    ) -> None:
        height, width = self.owner.shape
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + parts.shape[1], width), min(top + parts.shape[0], height)
        counts = np.bincount(parts.ravel(), minlength=256)
        seen = parts[y1 - top : y2 - top, x1 - left : x2 - left] if x2 > x1 and y2 > y1 else parts[:0, :0]
        within = np.bincount(seen.ravel(), minlength=256)
        numbers = np.full(256, -1, np.int16)
        numbers[0] = 0
        for garment in garments:
            self.garments.append(garment)
            self.whole.append(int(counts[garment.part]))
            self.inside.append(int(within[garment.part]))
            numbers[garment.part] = len(self.garments)
        if not seen.size:
            return
        soft = ndimage.uniform_filter((seen > 0).astype(np.float32), 3)[..., None]
        area = self.image[y1:y2, x1:x2]
        fresh = pixels[y1 - top : y2 - top, x1 - left : x2 - left]
        area[:] = (area + (fresh.astype(np.float32) - area) * np.where(seen[..., None] > 0, soft, 0)).astype(np.uint8)
        owner = self.owner[y1:y2, x1:x2]
        owner[seen > 0] = numbers[seen[seen > 0]]

    def views(self) -> tuple[list[View], list[Box]]:
        """The garments that are seen well enough to be labelled, and the regions to ignore."""
        places = ndimage.find_objects(np.maximum(self.owner, 0), max_label=max(len(self.garments), 1))
        seen = np.bincount(np.maximum(self.owner, 0).ravel(), minlength=len(self.garments) + 1)
        views, ignored = [], [box for box in map(self._clipped, self.ignored) if box is not None]
        for number, garment in enumerate(self.garments):
            place = places[number]
            if place is None:
                continue
            box = (
                float(place[1].start),
                float(place[0].start),
                float(place[1].stop),
                float(place[0].stop),
            )
            visible = int(seen[number + 1])
            if visible < FEWEST_PIXELS or visible < LEAST_VISIBLE * self.whole[number]:
                ignored.append(box)
                continue
            covered = 1 - visible / self.inside[number]
            views.append(_view(garment, box, covered, 1 - self.inside[number] / self.whole[number]))
        return views, ignored

    def _clipped(self, box: Box) -> Box | None:
        height, width = self.owner.shape
        x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
        return (x1, y1, x2, y2) if x2 - x1 >= 2 and y2 - y1 >= 2 else None


def _view(garment: CutGarment, box: Box, covered: float, cut_off: float) -> View:
    """The labels of a garment: counted here, joined with what the photo itself hides of it."""
    nan = float("nan")
    if garment.occlusion == 0:
        # The photo shows (nearly) all of it, so what is counted is what is hidden.
        occlusion, occluded = occlusion_class(covered), covered
    else:
        occlusion = garment.occlusion if covered < 0.02 else occlusion_after(garment.occlusion, covered)
        occluded = nan
    if garment.crop == 0 or crop_class(cut_off) == 1:
        crop, cut = crop_class(cut_off), cut_off if garment.crop == 0 else nan
    else:
        crop, cut = garment.crop, nan
    viewpoint = garment.viewpoint if cut_off < 0.7 else UNLABELLED
    return View(garment, box, viewpoint, occlusion, crop, occluded, cut)


def _moved(box: Box, cutout: Cutout, pose: Pose) -> Box:
    """A box of a cut-out in pixels of the scene: the extent of its turned corners."""
    height, width = cutout.parts.shape
    corners = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]]) - [
        width / 2,
        height / 2,
    ]
    if pose.flip:
        corners[:, 0] *= -1
    angle = np.deg2rad(pose.degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = corners @ turn.T * pose.scale + np.array(pose.centre)
    low, high = moved.min(axis=0), moved.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
