"""Detections -> picks (paper, section 3.2)."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import BadVector
from dprnet.core.records import BoolArray, Detections, IntArray, Picks
from dprnet.pick.clustering import cluster, in_order_of_appearance, mean_directions, unit_vectors
from dprnet.pick.config import PickConfig
from dprnet.pick.either import join_either, likely_class
from dprnet.pick.enough import seen_enough

log = logging.getLogger(__name__)

BLOCK = 4096  # filtered detections that are compared with all garments at once


def pick(detections: Detections, config: PickConfig) -> Picks:
    """One best view of each garment of a video, and the reason why every other view was dropped.

    1. Keep a detection when all three scores lie strictly above their limits, and its detector score above
       ``config.min_score`` (ours).
    2. One pool per coarse class; agglomerative clustering by Eq. 4 inside each.
    3. The best view of a cluster has the highest overall quality; of equals the higher detector score, then the
       earlier one.
    4. A detection that was not kept (ours): it belongs to the nearest garment of its class when its mean
       dissimilarity to the kept views of that garment is within the cut; the rest are clustered among themselves,
       as garments that are seen but never well (``picked`` is False).
    5. Where ``config.either`` names two classes that one garment may be seen as, such garments become one (ours).

    Garments are numbered in the order in which they are first seen. The answer does not depend on the order of the
    detections, and is the same at every run.

    Raises:
        BadVector: an instance embedding that is zero, NaN or infinite, or a score that is NaN.
    """
    _check(detections)
    order = _canonical(detections)
    failing = ~(detections.quality > np.array(config.limits, np.float32))[order]
    good = ~failing.any(axis=1) & (detections.scores[order] > np.float32(config.min_score))
    instance = np.empty(len(order), np.int64)
    count = folded = 0
    for label in range(len(COARSE_CLASSES)):
        pool = np.flatnonzero(detections.labels[order] == label)
        if len(pool) == 0:
            continue
        found, folds = _pool(detections[order[pool]], good[pool], config)
        instance[pool] = found + count
        count += int(found.max()) + 1
        folded += folds
    # Embeddings are most of a record: from here on they are left behind, and read by class where they are needed.
    ordered = replace(detections, embeddings=detections.embeddings[:, :0])[order]
    if config.either:
        instance = _joined(detections, order, instance, good, config)
    instance = in_order_of_appearance(instance)
    best, picked = _best(ordered, instance, good)
    picked &= seen_enough(ordered, instance, len(best), config)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    log.debug("%d detections, %d good views, %d garments, %d picked", len(order), good.sum(), len(best), picked.sum())
    return Picks(
        detections=detections,
        instance=instance[back],
        failing=failing[back],
        best=order[best],
        picked=picked,
        limits=config.limits,
        folded=folded,
        min_score=config.min_score,
        min_views=config.min_views,
        min_span_s=config.min_span_s,
    )


def _check(detections: Detections) -> None:
    bad = np.flatnonzero(np.isnan(detections.quality).any(axis=1) | np.isnan(detections.scores))
    if len(bad):
        raise BadVector(
            f"detection {bad[0]}",
            f"a score is NaN ({len(bad)} of {len(detections)} detections); the detector's weights are damaged",
        )
    unknown = np.flatnonzero((detections.labels < 0) | (detections.labels >= len(COARSE_CLASSES)))
    if len(unknown):
        raise ValueError(f"labels must lie in [0, {len(COARSE_CLASSES)}), got {detections.labels[unknown[0]]}")
    for start in range(0, len(detections), BLOCK):
        unit_vectors(detections.embeddings[start : start + BLOCK])


def _canonical(detections: Detections) -> IntArray:
    """Order of time, with all else as the tie-break, so that the order in which detections came has no effect."""
    d = detections
    keys = np.column_stack(
        [d.quality, d.scores, d.boxes_xyxy, d.labels, d.frame_index, d.time_s, d.source]  # the last counts most
    ).T.astype(np.float64)
    order: IntArray = np.lexsort(keys)
    told = keys[:, order]
    equal = np.flatnonzero((told[:, 1:] == told[:, :-1]).all(axis=0))
    # Few are equal in all of that, so only they are looked at by their embeddings.
    for run in np.split(equal, np.flatnonzero(np.diff(equal) > 1) + 1):
        if len(run):
            rows = order[run[0] : run[-1] + 2]
            order[run[0] : run[-1] + 2] = rows[np.lexsort(detections.embeddings[rows].T)]
    return order


def _joined(
    detections: Detections, order: IntArray, instance: IntArray, good: BoolArray, config: PickConfig
) -> IntArray:
    """The garments with those of ``config.either`` joined; only their good views are read."""
    classes = [COARSE_CLASSES.index(name) for pair in config.either for name in pair]
    rows = np.flatnonzero(good & np.isin(detections.labels[order], classes))
    becomes = np.arange(int(instance.max(initial=-1)) + 1)
    becomes[instance[rows]] = join_either(detections[order[rows]], instance[rows], config)
    found: IntArray = becomes[instance]
    return found


def _pool(pool: Detections, good: BoolArray, config: PickConfig) -> tuple[IntArray, int]:
    """Garments of one coarse class: (N,) index of each detection's garment, and how many were folded."""
    apart = _apart(pool, config.apart_overlap) if config.same_frame_apart else np.zeros((0, 2), np.int64)
    instance = np.full(len(pool), -1, np.int64)
    kept = np.flatnonzero(good)
    instance[kept], folded = cluster(pool.embeddings[kept], config, _among(apart, kept, len(pool)))
    others = np.flatnonzero(~good)
    if len(kept) and len(others):
        instance[others] = _nearest(pool, kept, others, instance, apart, config.cut_distance)
    lost = np.flatnonzero(instance < 0)
    if len(lost):
        garments = int(instance.max()) + 1
        found, folds = cluster(pool.embeddings[lost], config, _among(apart, lost, len(pool)))
        instance[lost] = found + garments
        folded += folds
    return instance, folded


def _nearest(
    pool: Detections, kept: IntArray, others: IntArray, instance: IntArray, apart: IntArray, cut: float
) -> IntArray:
    """(M,) the garment nearest to each of the others, or -1 where none is within the cut.

    The mean of Eq. 4 over the kept views of a garment is 1 - e . (mean of their unit vectors).
    """
    centres = mean_directions(pool.embeddings[kept], instance[kept], int(instance[kept].max()) + 1)
    is_kept = np.zeros(len(pool), bool)
    is_kept[kept] = True
    both = np.concatenate([apart, apart[:, ::-1]])
    both = both[~is_kept[both[:, 0]] & is_kept[both[:, 1]]]
    rows = np.searchsorted(others, both[:, 0])
    found = np.full(len(others), -1, np.int64)
    distance = np.full(len(others), np.inf)
    for start in range(0, len(others), BLOCK):
        stop = min(start + BLOCK, len(others))
        distances: NDArray[np.float64] = 1 - unit_vectors(pool.embeddings[others[start:stop]]) @ centres.T
        here = (rows >= start) & (rows < stop)
        distances[rows[here] - start, instance[both[here, 1]]] = np.inf
        nearest = distances.argmin(axis=1)
        distance[start:stop] = distances[np.arange(stop - start), nearest]
        found[start:stop] = np.where(distance[start:stop] <= cut, nearest, -1)
    # Of two that must stay apart and want the same garment, the further one (of equals the later) is turned away.
    rivals = _among(apart, others, len(pool))
    rivals = rivals[found[rivals[:, 0]] == found[rivals[:, 1]]]
    first_is_further = distance[rivals[:, 0]] > distance[rivals[:, 1]]
    found[np.where(first_is_further, rivals[:, 0], rivals[:, 1])] = -1
    return found


def _apart(pool: Detections, overlap: float) -> IntArray:
    """(P, 2) pairs of rows, first below second, of one frame whose boxes overlap by no more than ``overlap``.

    Overlap is intersection over the smaller box, so that a box inside another (half a garment) is not kept apart.
    The pool is in canonical order, so one frame's detections lie side by side.
    """
    pairs = []
    for step in range(1, len(pool)):
        first = np.arange(len(pool) - step)
        same = (pool.frame_index[first] == pool.frame_index[first + step]) & (
            pool.source[first] == pool.source[first + step]
        )
        first = first[same]
        if len(first) == 0:
            break
        a, b = pool.boxes_xyxy[first], pool.boxes_xyxy[first + step]
        sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
        smaller = np.minimum((a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1))
        first = first[sides.prod(axis=1) <= overlap * smaller]
        pairs.append(np.stack([first, first + step], axis=1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)


def _among(apart: IntArray, rows: IntArray, n: int) -> IntArray:
    """The pairs that lie within rows, as positions in rows."""
    position = np.full(n, -1, np.int64)
    position[rows] = np.arange(len(rows))
    within = position[apart]
    return within[(within >= 0).all(axis=1)]


def _best(ordered: Detections, instance: IntArray, good: BoolArray) -> tuple[IntArray, BoolArray]:
    """(I,) row of the best view of each garment, good ones of its likely class first, and (I,) whether it is good."""
    other = likely_class(ordered, instance, good) != ordered.labels
    order = np.lexsort((np.arange(len(ordered)), -ordered.scores, -ordered.overall, other, ~good, instance))
    best = order[np.searchsorted(instance[order], np.arange(int(instance.max(initial=-1)) + 1))]
    return best, good[best]
