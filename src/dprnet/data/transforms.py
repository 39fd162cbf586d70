"""Augmentation of one image for the detector: whatever moves, cuts or covers pixels changes the truth with them.

Three parts in order, each a function of (image, truth, ..., rng): :func:`zoom` (flip, scale, shift: boxes and the crop
label), :func:`cover` (pasted occluders: the occlusion label and the visible box), :func:`spoil` (light, blur, noise,
JPEG: pixels only). A label that can no longer be told for sure becomes -1; a garment of which too little is left
becomes an ignore region, never a silent negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from pydantic import Field

from dprnet.core.classes import CROPPED, UNLABELLED
from dprnet.core.config import Settings
from dprnet.core.records import BoolArray, FloatArray, Image, Truth
from dprnet.data.box_changes import areas, clip, occlusion_after, pixels, select, through_window, uncovered, visible
from dprnet.data.light import LightConfig, spoil
from dprnet.data.occluders import draw_shape, thing_over


class DetectionAugmentConfig(Settings):
    """How an image may be changed for the detector. All defaults are ours; the paper states none."""

    flip: float = Field(default=0.5, ge=0, le=1)
    zoom: tuple[float, float] = (0.6, 1.8)  # 1: as it is; above: cut in; below: room around
    stretch: float = Field(default=0.1, ge=0, le=0.5)  # relative change of width against height
    cut_through: float = Field(default=0.3, ge=0, le=1)  # probability that the window's edge cuts a garment
    cover: float = Field(default=0.4, ge=0, le=1)  # probability that something is laid over a garment
    smallest_left: float = Field(
        default=0.2, ge=0, le=1
    )  # fraction of a box; with less left it becomes an ignore region
    smallest_side: float = Field(default=8.0, ge=0)  # pixels; likewise
    light: LightConfig = LightConfig()


class DetectionAugment:
    """``(image, truth, rng) -> (image, truth)``; the image keeps its size.

    Args:
        config: how far.
        cutouts: things to lay over garments, uint8 RGBA (h, w, 4); without any, plain and textured shapes are drawn.
    """

    def __init__(self, config: DetectionAugmentConfig | None = None, cutouts: Sequence[NDArray[np.uint8]] = ()) -> None:
        self.config = config or DetectionAugmentConfig()
        self.cutouts = tuple(cutouts)

    def __call__(self, image: Image, truth: Truth, rng: np.random.Generator) -> tuple[Image, Truth]:
        """The changed image, uint8 RGB (H, W, 3), and its truth (boxes within the image)."""
        image, truth = zoom(image, truth, self.config, rng)
        if len(truth) and rng.random() < self.config.cover:
            image, truth = cover(image, truth, self.config, rng, self.cutouts)
        return spoil(image, self.config.light, rng), truth


def zoom(image: Image, truth: Truth, config: DetectionAugmentConfig, rng: np.random.Generator) -> tuple[Image, Truth]:
    """Flip, scale, stretch and shift in one resampling; what lies outside the photo is filled with its mean colour."""
    window = draw_window(image.shape[:2], truth, config, rng)
    flip = bool(rng.random() < config.flip)
    return look_through(image, window, flip), cut_truth(truth, image.shape[:2], window, flip, config)


def draw_window(
    shape: tuple[int, int], truth: Truth, config: DetectionAugmentConfig, rng: np.random.Generator
) -> FloatArray:
    """The part of the image that will fill it: (4,) corners in pixels; may reach beyond the image.

    With probability ``cut_through`` one edge of the window is moved so that it cuts a garment drawn at random.
    """
    height, width = shape
    cuts = bool(len(truth)) and rng.random() < config.cut_through
    # A cut garment needs a window no larger than the image, or most of the picture would be filler.
    low, high = np.log(config.zoom)
    factor = np.exp(rng.uniform(max(low, 0.0) if cuts else low, max(high, 0.0) if cuts else high))
    stretch = np.exp(rng.uniform(-config.stretch, config.stretch) / 2)
    size = np.array([width * stretch / factor, height / stretch / factor])
    room = np.array([width, height]) - size  # negative where the window is larger than the image
    start = rng.uniform(np.minimum(room, 0), np.maximum(room, 0))
    if cuts:
        box = truth.boxes_xyxy[rng.integers(len(truth))].astype(float)
        axis = int(rng.integers(2))
        near, far = box[axis], box[axis + 2]
        left = rng.uniform(0.3, 0.95) * (far - near)  # what stays visible of the garment
        start[axis] = near + left - size[axis] if rng.random() < 0.5 else far - left
    return np.concatenate([start, start + size]).astype(np.float32)


def look_through(image: Image, window: FloatArray, flip: bool) -> Image:
    """The window of the image at the image's own size, mirrored where asked; one bilinear resampling."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in window)
    fill = tuple(int(value) for value in image[::16, ::16].reshape(-1, 3).mean(axis=0))
    scale_x, scale_y = (x2 - x1) / width, (y2 - y1) / height
    picture = Pil.fromarray(image)
    inside = x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height
    if inside:
        made = picture.resize((width, height), Pil.Resampling.BILINEAR, box=(x1, y1, x2, y2))
    else:
        # The part of the window within the image, shrunk properly, onto a plain ground.
        part = (max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height))
        made = Pil.new("RGB", (width, height), fill)
        place = [round((part[i] - (x1, y1)[i % 2]) / (scale_x, scale_y)[i % 2]) for i in range(4)]
        if part[2] - part[0] >= 1 and part[3] - part[1] >= 1 and place[2] > place[0] and place[3] > place[1]:
            size = (place[2] - place[0], place[3] - place[1])
            made.paste(picture.resize(size, Pil.Resampling.BILINEAR, box=part), (place[0], place[1]))
    pixels = np.asarray(made, np.uint8)
    return np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels


def cut_truth(
    truth: Truth, shape: tuple[int, int], window: FloatArray, flip: bool, config: DetectionAugmentConfig
) -> Truth:
    """Truth as seen through a window of the image that is brought to the image's size, and mirrored.

    Crop label: the fraction of a box's area that falls outside stands for the fraction of the garment. Up to 2.5 %
    (half of the class limit) a whole garment stays whole; from 10 % (twice the limit) it is cropped; between, -1. A
    garment that was cropped stays so. Occlusion label: kept while 70 % of the box remain, else -1, since the covered
    part may be the one cut away; viewpoint label: kept while 30 % remain.
    """
    boxes = through_window(truth.boxes_xyxy, shape, window, flip)
    seen = clip(boxes, shape)
    cut_off = 1 - areas(seen) / np.maximum(areas(boxes), 1e-6)
    crop = np.where(
        truth.crop == 1,
        1,
        np.where(cut_off >= 2 * CROPPED, 1, np.where(cut_off <= CROPPED / 2, truth.crop, UNLABELLED)),
    )
    moved = replace(
        truth,
        boxes_xyxy=seen,
        crop=crop.astype(np.int64),
        occlusion=np.where(cut_off <= 0.3, truth.occlusion, UNLABELLED),
        viewpoint=np.where(cut_off <= 0.7, truth.viewpoint, UNLABELLED),
        ignore_xyxy=visible(clip(through_window(truth.ignore_xyxy, shape, window, flip), shape)),
    )
    return keep_clear(moved, 1 - cut_off, config)


def keep_clear(truth: Truth, left: NDArray[Any], config: DetectionAugmentConfig) -> Truth:
    """Garments of which too little is left (fraction of the box, or a side too short) become ignore regions.

    >>> boxes = np.array([[0, 0, 20, 20], [30, 0, 50, 20]], np.float32)
    >>> none = np.full(2, -1)
    >>> truth = Truth(boxes, np.zeros(2, np.int64), none, none, none, none, np.zeros((0, 4), np.float32))
    >>> cleared = keep_clear(truth, np.array([1.0, 0.1]), DetectionAugmentConfig())
    >>> cleared.boxes_xyxy.tolist(), cleared.ignore_xyxy.tolist()
    ([[0.0, 0.0, 20.0, 20.0]], [[30.0, 0.0, 50.0, 20.0]])
    """
    sides = truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2]
    clear = (left >= config.smallest_left) & (sides >= config.smallest_side).all(axis=1)
    lost = visible(truth.boxes_xyxy[~clear])
    return select(truth, clear, np.concatenate([truth.ignore_xyxy, lost]))


def cover(
    image: Image,
    truth: Truth,
    config: DetectionAugmentConfig,
    rng: np.random.Generator,
    cutouts: Sequence[NDArray[np.uint8]] = (),
) -> tuple[Image, Truth]:
    """Lay one or two things over a garment drawn at random; the truth of all garments under them follows."""
    box = truth.boxes_xyxy[rng.integers(len(truth))]
    picture = Pil.fromarray(image)
    covered = Pil.new("1", picture.size)
    for _ in range(int(rng.integers(1, 3))):
        thing, where = thing_over(box, image, rng, cutouts)
        picture.paste(thing.convert("RGB"), where, thing.getchannel("A"))
        covered.paste(1, where, thing.getchannel("A").point(_HALF, "1"))
    return np.asarray(picture, np.uint8), cover_truth(truth, np.asarray(covered, bool), config)


_HALF = [255 if value >= 128 else 0 for value in range(256)]


def cover_truth(truth: Truth, covered: BoolArray, config: DetectionAugmentConfig) -> Truth:
    """Truth after the pixels of ``covered`` (H, W) were hidden.

    The covered fraction c of a box stands for that of the garment, and adds to what was hidden before (taken as the
    middle of its class): e + (1 - e) c. The label is the class of that sum where it lies clear of the class limits by
    0.05, else -1; of a garment without a label only "heavy" can be told. The box shrinks to the rows and columns that
    are not wholly covered, as the box of what is seen.
    """
    boxes = truth.boxes_xyxy.copy()
    occlusion = truth.occlusion.copy()
    left = np.ones(len(truth))
    for row, (x1, y1, x2, y2) in enumerate(pixels(boxes, covered.shape)):
        over = covered[y1:y2, x1:x2]
        fraction = float(over.mean()) if over.size else 0.0
        if fraction == 0.0:
            continue
        left[row] = 1 - fraction
        occlusion[row] = occlusion_after(int(occlusion[row]), fraction)
        boxes[row] = uncovered(boxes[row], ~over, x1, y1)
    return keep_clear(replace(truth, boxes_xyxy=boxes, occlusion=occlusion), left, config)


__all__ = [
    "DetectionAugment",
    "DetectionAugmentConfig",
    "clip",
    "cover",
    "cover_truth",
    "cut_truth",
    "draw_shape",
    "draw_window",
    "keep_clear",
    "look_through",
    "occlusion_after",
    "select",
    "through_window",
    "zoom",
]
