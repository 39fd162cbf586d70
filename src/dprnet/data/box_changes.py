"""Boxes and labels that follow the pixels: through a window, clipped, under something laid over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import HEAVY_OCCLUSION, MEDIUM_OCCLUSION, UNLABELLED, occlusion_class
from dprnet.core.records import BoolArray, FloatArray, IntArray, Truth


def through_window(boxes: FloatArray, shape: tuple[int, int], window: FloatArray, flip: bool) -> FloatArray:
    """(N, 4) boxes of the image in pixels of the image that the window fills; not clipped."""
    height, width = shape
    scale = np.array([width, height] * 2) / np.tile(window[2:] - window[:2], 2)
    moved = (boxes - np.tile(window[:2], 2)) * scale
    if flip:
        moved = np.stack([width - moved[:, 2], moved[:, 1], width - moved[:, 0], moved[:, 3]], axis=1)
    return moved.astype(np.float32)


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


def areas(boxes: FloatArray) -> NDArray[Any]:
    """(N,) area of each box in square pixels; 0 where it is empty."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).astype(float)
    return np.asarray(sides.prod(axis=1))


def visible(boxes: FloatArray) -> FloatArray:
    """The boxes of which both sides have a pixel or more."""
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)]


def pixels(boxes: FloatArray, shape: tuple[int, ...]) -> list[list[int]]:
    """The whole pixels that each box touches, within an image of (height, width), as rows and columns to slice by."""
    corners: IntArray = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64)
    return [[int(v) for v in row] for row in clip(corners.astype(np.float32), shape)]


def uncovered(box: FloatArray, free: BoolArray, left: int, top: int) -> FloatArray:
    """The box shrunk to the rows and columns that are not wholly covered.

    Args:
        box: (4,) corners.
        free: (h, w) True where the box's pixels are seen.
        left, top: where ``free`` begins.
    """
    columns, rows = np.flatnonzero(free.any(axis=0)), np.flatnonzero(free.any(axis=1))
    if not len(columns):
        return box
    inner = [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]
    low, high = np.maximum(box[:2], inner[:2]), np.minimum(box[2:], inner[2:])
    return np.concatenate([low, high]).astype(np.float32)
