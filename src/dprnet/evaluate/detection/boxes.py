"""Boxes against boxes: overlaps, and COCO's matching of detections to true boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dprnet.core.records import BoolArray, FloatArray

# Shape legend:  N detections   M true boxes   K ignore regions

MATCH_IOU = 0.5  # METHODS, measures of picking; COCO's AP50


def overlaps(a: FloatArray, b: FloatArray, *, of_first: bool = False) -> NDArray[np.float64]:
    """IoU of every pair, (N, 4) and (M, 4) -> (N, M); ``of_first``: the shared area as a part of a's area.

    >>> overlaps(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]])).round(3)
    array([[0.333]])
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(axis=2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    whole = area_a[:, None] + (0 if of_first else area_b[None] - shared)
    result: NDArray[np.float64] = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return result


def match_class(
    boxes: FloatArray, scores: FloatArray, true_boxes: FloatArray, ignored: FloatArray, iou: float = MATCH_IOU
) -> tuple[BoolArray, BoolArray]:
    """COCO's matching of one class in one image: best scores first, each to its best free true box.

    Args:
        boxes: (N, 4); scores: (N,); true_boxes: (M, 4); ignored: (K, 4) ignore regions.
        iou: the least that matches.

    Returns:
        right (N,), and aside (N,): unmatched, but in an ignore region, so neither right nor wrong.

    >>> box = np.array([[0.0, 0, 10, 10]])
    >>> match_class(np.vstack([box, box]), np.array([0.5, 0.9]), box, np.zeros((0, 4)))[0]
    array([False,  True])
    """
    overlap = overlaps(boxes, true_boxes)
    right = np.zeros(len(boxes), bool)
    free = np.ones(len(true_boxes), bool)
    for row in np.argsort(-scores, kind="mergesort"):
        candidates = np.where(free, overlap[row], -1.0)
        if len(candidates) and candidates.max() >= iou:
            free[candidates.argmax()] = False
            right[row] = True
    covered = overlaps(boxes, ignored, of_first=True)
    aside = ~right & (covered >= iou).any(axis=1)
    return right, aside
