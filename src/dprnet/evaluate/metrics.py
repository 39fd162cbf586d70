"""The measures, as pure functions of arrays: no model, no file.

    N  detections      M  true views (a garment in a frame)      Q  queries

Those of picking (Eq. 9 to 11) are in `pick_counts`.

A measure of nothing (no instances, no picks, no queries) is NaN, never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.records import BoolArray, FloatArray, IntArray

Values = NDArray[np.float64]

LEAST_IOU = 0.5  # a pick belongs to a true instance from here on


def iou(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Values:
    """Intersection over union of every pair of boxes, (N, 4) and (M, 4) -> (N, M) in [0, 1].

    >>> iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 2, 2]])).round(3)
    array([[0.333, 0.   , 1.   ]])
    """
    a, b = a_xyxy.astype(np.float64)[:, None], b_xyxy.astype(np.float64)[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    inside = sides.prod(axis=-1)
    areas = [np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1) for box in (a, b)]
    union = areas[0] + areas[1] - inside
    shares: Values = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return shares


def covered(boxes_xyxy: NDArray[Any], regions_xyxy: NDArray[Any]) -> Values:
    """Largest share of each box that lies in one region, (N, 4) and (J, 4) -> (N,).

    >>> covered(np.array([[0, 0, 2, 2], [8, 8, 9, 9]]), np.array([[1, 0, 3, 2]]))
    array([0.5, 0. ])
    """
    if len(regions_xyxy) == 0:
        return np.zeros(len(boxes_xyxy))
    a, b = boxes_xyxy.astype(np.float64)[:, None], regions_xyxy.astype(np.float64)[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    area = np.maximum((a[..., 2:] - a[..., :2]).prod(axis=-1), 1e-12)
    shares: Values = (sides.prod(axis=-1) / area).max(axis=1)
    return shares


def match_views(
    frames: IntArray,
    boxes_xyxy: FloatArray,
    labels: IntArray,
    true_frames: IntArray,
    true_boxes_xyxy: FloatArray,
    true_labels: IntArray,
) -> IntArray:
    """(N,) the true view that each detection shows, or -1: the highest IoU among those of its frame and coarse
    class, at least 0.5 (of equals the first). A true class of -1 (nobody labelled it) is that of any detection.

    >>> box = np.array([[0, 0, 10, 10]])
    >>> frames, labels = np.array([2, 3, 3]), np.array([0, 1, 0])
    >>> match_views(np.array([3]), box, np.array([0]), frames, np.repeat(box, 3, axis=0), labels)
    array([2])
    """
    found = np.full(len(frames), -1, np.int64)
    for frame in np.unique(frames):
        here, there = np.flatnonzero(frames == frame), np.flatnonzero(true_frames == frame)
        if len(there) == 0:
            continue
        shares = iou(boxes_xyxy[here], true_boxes_xyxy[there])
        other = (labels[here][:, None] != true_labels[there][None]) & (true_labels[there] >= 0)[None]
        shares[other] = -1
        nearest = shares.argmax(axis=1)
        found[here] = np.where(shares[np.arange(len(here)), nearest] >= LEAST_IOU, there[nearest], -1)
    return found


def class_name(label: int) -> str:
    """The name of a coarse class; ``not labelled`` for -1.

    >>> class_name(5), class_name(-1)
    ('dress', 'not labelled')
    """
    return COARSE_CLASSES[label] if label >= 0 else "not labelled"


def hits_at_k(found: Sequence[Sequence[str]], right: Sequence[Collection[str]], k: int) -> BoolArray:
    """(Q,) whether a right answer is among the first k; a query that found nothing (a missed garment) is a miss.

    >>> hits_at_k([["a", "b"], ["c"], []], [{"b", "z"}, {"c"}, {"d"}], 2)
    array([ True,  True, False])
    """
    return np.array([any(item in right[q] for item in found[q][:k]) for q in range(len(right))], bool)


def recall_at_k(found: Sequence[Sequence[str]], right: Sequence[Collection[str]], k: int) -> float:
    """Recall@K (paper, section 4.1): share of the queries with a right answer among the first k.

    >>> recall_at_k([["a", "b"], ["c"], []], [{"b", "z"}, {"c"}, {"d"}], 1).__round__(3)
    0.333
    """
    return ratio(int(hits_at_k(found, right, k).sum()), len(right))


def average_precision(relevant: BoolArray, total: int) -> float:
    """Mean of the precision at each right answer of one ranking; right answers that were not found count as 0.

    >>> average_precision(np.array([True, False, True]), 2).__round__(4), average_precision(np.array([False]), 0)
    (0.8333, nan)
    """
    ranks = np.flatnonzero(relevant) + 1
    return ratio(float((np.arange(1, len(ranks) + 1) / ranks).sum()), total)


def mean_average_precision(found: Sequence[Sequence[str]], right: Sequence[Collection[str]]) -> float:
    """Mean of :func:`average_precision` over the queries that have a right answer.

    >>> mean_average_precision([["a", "x", "b"], []], [{"a", "b"}, {"c"}]).__round__(4)
    0.4167
    """
    each = [
        average_precision(np.array([item in answers for item in ranking], bool), len(answers))
        for ranking, answers in zip(found, right, strict=True)
        if answers
    ]
    return float(np.mean(each)) if each else float("nan")


def separation(higher: Values, lower: Values) -> float:
    """Probability that a value of the first group lies above one of the second, equals as half (area under ROC).

    >>> separation(np.array([0.9, 0.3]), np.array([0.2, 0.8])), separation(np.array([0.5]), np.array([0.5]))
    (0.75, 0.5)
    """
    if not len(higher) or not len(lower):
        return float("nan")
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")
    return float(below.sum()) / (2 * len(higher) * len(lower))


def balanced_accuracy(truth: IntArray, predicted: IntArray) -> float:
    """Mean over the classes that occur of the share that was predicted right; -1 in truth is not labelled.

    >>> balanced_accuracy(np.array([0, 0, 0, 1, -1]), np.array([0, 0, 1, 1, 0])).__round__(4)
    0.8333
    """
    classes = np.unique(truth[truth >= 0])
    each = [float((predicted[truth == name] == name).mean()) for name in classes]
    return float(np.mean(each)) if each else float("nan")


def pair_counts(truth: IntArray, clusters: IntArray) -> tuple[int, int, int, int]:
    """Pairs of rows that are together in both, in truth, in clusters; and all pairs.

    >>> pair_counts(np.array([0, 0, 0, 1]), np.array([5, 5, 6, 6]))
    (1, 3, 2, 6)
    """
    _, both = np.unique(np.stack([truth, clusters]), axis=1, return_counts=True)
    parts = [both, *(np.unique(labels, return_counts=True)[1] for labels in (truth, clusters)), np.array([len(truth)])]
    together, in_truth, in_clusters, every = (int((c * (c - 1) // 2).sum()) for c in parts)
    return together, in_truth, in_clusters, every


def clustering_f1(truth: IntArray, clusters: IntArray) -> float:
    """F1 over pairs: a pair is right when it is together in truth and in clusters.

    >>> clustering_f1(np.array([0, 0, 0, 1]), np.array([5, 5, 6, 6]))
    0.4
    """
    both, in_truth, in_clusters, _ = pair_counts(truth, clusters)
    return ratio(2 * both, in_truth + in_clusters)


def adjusted_rand_index(truth: IntArray, clusters: IntArray) -> float:
    """Agreement over pairs, 0 by chance and 1 when equal (Hubert and Arabie 1985).

    >>> adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([3, 3, 4, 5])).__round__(4)
    0.5714
    """
    both, in_truth, in_clusters, every = pair_counts(truth, clusters)
    if every == 0:
        return float("nan")
    chance = in_truth * in_clusters / every
    most = (in_truth + in_clusters) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


def ratio(part: float, whole: float) -> float:
    """Part of the whole; NaN where the whole is nothing.

    >>> ratio(1, 4), ratio(0, 0)
    (0.25, nan)
    """
    return part / whole if whole else float("nan")
