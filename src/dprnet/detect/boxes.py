"""Geometry of boxes in numpy: anchors, offsets, suppression; the same answers as torchvision's, without torch.

Shape legend
    N  boxes    A  anchors a cell    boxes are xyxy in pixels, float32
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

LARGEST = math.log(1000 / 16)  # torchvision: a side grows by at most this exponent
CANONICAL_SIDE, CANONICAL_LEVEL = 224, 4  # Feature Pyramid Networks, Eq. 1


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Floats:
    """(A, 4) anchors around the origin, whole pixels, ratios outermost.

    >>> cell_anchors((32,), (0.5, 1.0))
    array([[-23., -11.,  23.,  11.],
           [-16., -16.,  16.,  16.]], dtype=float32)
    """
    height = np.sqrt(np.asarray(ratios, np.float32))
    scale = np.asarray(sizes, np.float32)
    w: Floats = ((1 / height)[:, None] * scale).ravel().astype(np.float32)
    h: Floats = (height[:, None] * scale).ravel().astype(np.float32)
    around: Floats = np.round(np.stack([-w, -h, w, h], axis=1) * np.float32(0.5)).astype(np.float32)
    return around


def anchors(cells: Floats, rows: Ints, columns: Ints, kinds: Ints, stride: tuple[int, int]) -> Floats:
    """(N, 4) anchors of some cells of a map: ``kinds`` says which of the cell's A."""
    shift = np.stack([columns * stride[1], rows * stride[0]] * 2, axis=1).astype(np.float32)
    return shift + cells[kinds]


def decoded(offsets: Floats, boxes: Floats, weights: Sequence[float] = (1, 1, 1, 1)) -> Floats:
    """(N, 4) boxes moved and scaled by their offsets (N, 4) (Faster R-CNN)."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + np.float32(0.5) * size
    scaled = offsets / np.asarray(weights, np.float32)
    moved, grown = scaled[:, :2], scaled[:, 2:]
    centre = moved * size + centre
    half = np.float32(0.5) * np.exp(np.minimum(grown, np.float32(LARGEST))) * size
    return np.concatenate([centre - half, centre + half], axis=1)


def clipped(boxes: Floats, height: int, width: int) -> Floats:
    """(N, 4) inside the image.

    >>> clipped(np.float32([[-1, 2, 30, 8]]), 10, 20)
    array([[ 0.,  2., 20.,  8.]], dtype=float32)
    """
    return boxes.clip(0, np.array([width, height, width, height], np.float32))


def suppressed(boxes: Floats, scores: Floats, groups: Ints, overlap: float, most: int) -> Ints:
    """Rows that survive non-maximum suppression within their group, best first, at most ``most``.

    >>> boxes = np.float32([[0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 9]])
    >>> suppressed(boxes, np.float32([2, 3, 1]), np.array([0, 0, 1]), 0.5, most=9)
    array([1, 2])
    """
    order = np.argsort(-scores, kind="stable")
    alive = np.ones(len(order), bool)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups[order] == group)
        near = _overlap_above(boxes[order[rows]], overlap)
        free = alive[rows]
        for row in range(len(rows)):
            if free[row]:
                free[row + 1 :] &= ~near[row, row + 1 :]
        alive[rows] = free
    return order[alive][:most]


def levels(boxes: Floats, lowest: int, highest: int) -> Ints:
    """(N,) the pyramid level whose map a box is pooled from (Feature Pyramid Networks, Eq. 1).

    >>> levels(np.float32([[0, 0, 224, 224], [0, 0, 20, 20], [0, 0, 900, 900]]), 3, 5)
    array([4, 3, 5])
    """
    side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = np.floor(CANONICAL_LEVEL + np.log2(np.maximum(side, 1e-6) / np.float32(CANONICAL_SIDE)) + np.float32(1e-6))
    return level.clip(lowest, highest).astype(np.int64)


def _overlap_above(boxes: Floats, overlap: float) -> NDArray[np.bool_]:
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, top, right, bottom = boxes.T
    wide = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    high = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    # shared / (a + b - shared) > overlap, without dividing
    above: NDArray[np.bool_] = shared > np.float32(overlap) * (area[:, None] + area - shared)
    return above
