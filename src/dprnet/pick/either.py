"""One garment that is seen as two classes comes out once (ours; the paper clusters inside each coarse class only).

A hooded jacket is outerwear while it stands open and a top once it is closed, and the detector says now one, now the
other. A shop would show its customer the same garment twice.

Shape legend
    N  detections in canonical order    I  garments    D  numbers of an embedding
"""

from __future__ import annotations

import numpy as np

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.records import BoolArray, Detections, FloatArray, IntArray
from dprnet.pick.clustering import mean_directions
from dprnet.pick.config import PickConfig

SEEN_AS = 1 / 3  # ours: share of its good views that a garment has in either class; a few odd frames are mistakes
SAME_BOX = 0.7  # ours: intersection over union from which two boxes of a frame show one garment


def join_either(views: Detections, instance: IntArray, config: PickConfig) -> IntArray:
    """(N,) the garment of each view, with garments of ``config.either`` joined; numbers then have gaps.

    Two garments of the two classes of a pair are one when the mean dissimilarity (Eq. 4) of their good views is within
    the cut, both are seen often, and no frame speaks against it: where good views of both are in one frame, they have
    the same box in most such frames. Nearest come first, and each garment is joined once.

    Args:
        views: the good views, of the classes of all pairs.
        instance: (N,) the garment of each.
        config: the pairs and the cut.
    """
    pairs = [tuple(COARSE_CLASSES.index(name) for name in pair) for pair in config.either]
    numbers, own = np.unique(instance, return_inverse=True)
    label = np.zeros(len(numbers), np.int64)
    label[own] = views.labels
    often = np.bincount(own, minlength=len(numbers))
    centres = mean_directions(views.embeddings, own, len(numbers))
    joined = np.arange(len(numbers))
    free = np.ones(len(numbers), bool)
    for one, other in pairs:
        first, second = np.flatnonzero(label == one), np.flatnonzero(label == other)
        distance = 1 - centres[first] @ centres[second].T
        fewer = np.minimum(often[first][:, None], often[second])
        both = fewer >= SEEN_AS * (often[first][:, None] + often[second])
        a, b = np.nonzero((distance <= config.cut_distance) & both)
        for i in np.argsort(distance[a, b], kind="stable").tolist():
            x, y = int(first[a[i]]), int(second[b[i]])
            if free[x] and free[y] and _may_be_one(views[own == x], views[own == y]):
                free[x] = free[y] = False
                joined[y] = x
    result: IntArray = numbers[joined][own]
    return result


def likely_class(ordered: Detections, instance: IntArray, good: BoolArray) -> IntArray:
    """(N,) the class of each detection's garment: the largest sum of detector scores, over good views if it has any."""
    votes = np.zeros((int(instance.max(initial=-1)) + 1, len(COARSE_CLASSES)))
    np.add.at(votes, (instance, ordered.labels), ordered.scores * np.where(good, 1.0, 1e-6))
    found: IntArray = votes.argmax(axis=1)[instance] if len(instance) else np.zeros(0, np.int64)
    return found


def _may_be_one(first: Detections, second: Detections) -> bool:
    """Whether two garments have the same box in most frames that show both well (or are never seen together)."""
    boxes: dict[tuple[int, int], list[FloatArray]] = {}
    for video, frame, box in zip(second.source.tolist(), second.frame_index.tolist(), second.boxes_xyxy, strict=True):
        boxes.setdefault((video, frame), []).append(box)
    same = together = 0
    for video, frame, box in zip(first.source.tolist(), first.frame_index.tolist(), first.boxes_xyxy, strict=True):
        others = boxes.get((video, frame), [])
        together += bool(others)
        same += any(_overlap(box, other) >= SAME_BOX for other in others)
    return 2 * same >= together


def _overlap(a: FloatArray, b: FloatArray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    shared = float(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod())
    return shared / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared + 1e-9)
