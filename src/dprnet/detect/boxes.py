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
    group_of = groups[order]
    place = np.empty(len(order), np.int64)  # within the group
    rivals = {}
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(group_of == group)
        place[rows] = np.arange(len(rows))
        rivals[group] = _Rivals(boxes[order[rows]], np.float32(overlap))
    kept: list[int] = []
    for row, (group, at) in enumerate(zip(group_of.tolist(), place.tolist(), strict=True)):
        if len(kept) == most:  # what is worse need not be compared
            break
        if rivals[group].alive[at]:
            rivals[group].suppress(at)
            kept.append(row)
    return order[kept]


def levels(boxes: Floats, lowest: int, highest: int) -> Ints:
    """(N,) the pyramid level whose map a box is pooled from (Feature Pyramid Networks, Eq. 1).

    >>> levels(np.float32([[0, 0, 224, 224], [0, 0, 20, 20], [0, 0, 900, 900]]), 3, 5)
    array([4, 3, 5])
    """
    side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = np.floor(CANONICAL_LEVEL + np.log2(np.maximum(side, 1e-6) / np.float32(CANONICAL_SIDE)) + np.float32(1e-6))
    return level.clip(lowest, highest).astype(np.int64)


class _Rivals:
    """The boxes of a group, best first, and which of them are still alive."""

    def __init__(self, boxes: Floats, overlap: np.float32) -> None:
        self._boxes, self._overlap = boxes, overlap
        self._area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        self.alive = np.ones(len(boxes), bool)

    def suppress(self, at: int) -> None:
        """All after this one that overlap it too much."""
        one, later = self._boxes[at], self._boxes[at + 1 :]
        sides = np.maximum(np.minimum(later[:, 2:], one[2:]) - np.maximum(later[:, :2], one[:2]), 0)
        shared = sides[:, 0] * sides[:, 1]
        # shared / (a + b - shared) > overlap, without dividing
        self.alive[at + 1 :] &= ~(shared > self._overlap * (self._area[at] + self._area[at + 1 :] - shared))
