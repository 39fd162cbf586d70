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
from PIL import ImageDraw
from pydantic import Field

from dprnet.core.classes import CROPPED, HEAVY_OCCLUSION, MEDIUM_OCCLUSION, UNLABELLED, occlusion_class
from dprnet.core.config import Settings
from dprnet.core.records import BoolArray, FloatArray, Image, IntArray, Truth
from dprnet.data.light import LightConfig, spoil


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
    cut_off = 1 - _areas(seen) / np.maximum(_areas(boxes), 1e-6)
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
        ignore_xyxy=_visible(clip(through_window(truth.ignore_xyxy, shape, window, flip), shape)),
    )
    return keep_clear(moved, 1 - cut_off, config)


def through_window(boxes: FloatArray, shape: tuple[int, int], window: FloatArray, flip: bool) -> FloatArray:
    """(N, 4) boxes of the image in pixels of the image that the window fills; not clipped."""
    height, width = shape
    scale = np.array([width, height] * 2) / np.tile(window[2:] - window[:2], 2)
    moved = (boxes - np.tile(window[:2], 2)) * scale
    if flip:
        moved = np.stack([width - moved[:, 2], moved[:, 1], width - moved[:, 0], moved[:, 3]], axis=1)
    return moved.astype(np.float32)


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
    lost = _visible(truth.boxes_xyxy[~clear])
    return select(truth, clear, np.concatenate([truth.ignore_xyxy, lost]))


def select(truth: Truth, rows: BoolArray, ignore_xyxy: FloatArray) -> Truth:
    """Some garments of a truth, with other ignore regions."""
    return Truth(
        boxes_xyxy=truth.boxes_xyxy[rows],
        labels=truth.labels[rows],
        viewpoint=truth.viewpoint[rows],
        occlusion=truth.occlusion[rows],
        crop=truth.crop[rows],
        instance=truth.instance[rows],
        ignore_xyxy=ignore_xyxy.astype(np.float32).reshape(-1, 4),
    )


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
        thing, where = _thing(box, image, rng, cutouts)
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
    for row, (x1, y1, x2, y2) in enumerate(_pixels(boxes, covered.shape)):
        over = covered[y1:y2, x1:x2]
        fraction = float(over.mean()) if over.size else 0.0
        if fraction == 0.0:
            continue
        left[row] = 1 - fraction
        occlusion[row] = occlusion_after(int(occlusion[row]), fraction)
        boxes[row] = _uncovered(boxes[row], ~over, x1, y1)
    return keep_clear(replace(truth, boxes_xyxy=boxes, occlusion=occlusion), left, config)


def occlusion_after(label: int, fraction: float) -> int:
    """The occlusion class of a garment of which a further fraction of the box is covered, or -1 in doubt.

    >>> occlusion_after(0, 0.02), occlusion_after(0, 0.3), occlusion_after(-1, 0.3), occlusion_after(-1, 0.6)
    (0, 1, -1, 2)
    """
    if label == UNLABELLED:
        return 2 if fraction >= HEAVY_OCCLUSION + 0.05 else UNLABELLED
    before = (0.05, (MEDIUM_OCCLUSION + HEAVY_OCCLUSION) / 2, 0.75)[label]
    after = before + (1 - before) * fraction
    certain = min(abs(after - MEDIUM_OCCLUSION), abs(after - HEAVY_OCCLUSION)) >= 0.05
    return occlusion_class(after) if certain else UNLABELLED


def clip(boxes: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """(N, 4) boxes clipped to an image of (height, width)."""
    limits = np.array([shape[1], shape[0]] * 2, np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32)


def _areas(boxes: FloatArray) -> NDArray[Any]:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).astype(float)
    return np.asarray(sides.prod(axis=1))


def _visible(boxes: FloatArray) -> FloatArray:
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)]


def _pixels(boxes: FloatArray, shape: tuple[int, ...]) -> list[list[int]]:
    corners: IntArray = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64)
    return [[int(v) for v in row] for row in clip(corners.astype(np.float32), shape)]


def _uncovered(box: FloatArray, free: BoolArray, left: int, top: int) -> FloatArray:
    columns, rows = np.flatnonzero(free.any(axis=0)), np.flatnonzero(free.any(axis=1))
    if not len(columns):
        return box
    inner = [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]
    low, high = np.maximum(box[:2], inner[:2]), np.minimum(box[2:], inner[2:])
    return np.concatenate([low, high]).astype(np.float32)


def _thing(
    box: FloatArray, image: Image, rng: np.random.Generator, cutouts: Sequence[NDArray[np.uint8]]
) -> tuple[Pil.Image, tuple[int, int]]:
    """An RGBA picture and where its upper left corner goes, so that it lies over some of the box."""
    x1, y1, x2, y2 = (float(value) for value in box)
    share = np.sqrt(rng.uniform(0.03, 0.8))
    width = max(int((x2 - x1) * share * np.exp(rng.uniform(-0.5, 0.5))), 4)
    height = max(int((y2 - y1) * share * np.exp(rng.uniform(-0.5, 0.5))), 4)
    where = (round(rng.uniform(x1, x2) - width / 2), round(rng.uniform(y1, y2) - height / 2))
    if cutouts and rng.random() < 0.5:
        thing = Pil.fromarray(cutouts[int(rng.integers(len(cutouts)))], "RGBA").resize((width, height))
        return thing, where
    return draw_shape(width, height, image, rng), where


def draw_shape(width: int, height: int, image: Image, rng: np.random.Generator) -> Pil.Image:
    """A bag-like, arm-like or ragged thing, RGBA: plain, or filled with another part of the image."""
    if rng.random() < 0.5:
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        thing = Pil.new("RGB", (width, height), colour)
    else:
        top, left = (int(rng.integers(max(size // 2, 1))) for size in image.shape[:2])
        patch = Pil.fromarray(np.ascontiguousarray(image[top : top + image.shape[0] // 2, left:][:, ::-1]))
        thing = patch.resize((width, height), Pil.Resampling.BILINEAR)
    alpha = Pil.new("L", (width, height))
    pen = ImageDraw.Draw(alpha)
    kind = int(rng.integers(4))
    edge = (0, 0, width - 1, height - 1)
    if kind == 0:
        pen.ellipse(edge, fill=255)
    elif kind == 1:
        pen.rounded_rectangle(edge, radius=min(width, height) / 5, fill=255)
    elif kind == 2:  # an arm or strap across
        ends = [(0, int(rng.integers(height))), (width, int(rng.integers(height)))]
        pen.line(ends, fill=255, width=max(min(width, height) // 3, 2))
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(0.5, 1.0, 9) / 2
        corners = np.stack([(0.5 + np.cos(angles) * radii) * width, (0.5 + np.sin(angles) * radii) * height], 1)
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    thing.putalpha(alpha)
    return thing
