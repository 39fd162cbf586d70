"""Which garments are seen for long enough to be picked (ours: false detections tend to come once)."""

from __future__ import annotations

import numpy as np

from dprnet.core.records import BoolArray, Detections, IntArray
from dprnet.pick.config import PickConfig


def seen_enough(detections: Detections, instance: IntArray, count: int, config: PickConfig) -> BoolArray:
    """(I,) is each of ``count`` garments seen in ``config.min_views`` frames, or over ``config.min_span_s`` of a video?

    Args:
        detections: (N) views.
        instance: (N,) the garment of each view.
        count: I.
        config: the two rules; the second is what makes the first hold for longer intervals than it was fitted at.
    """
    frames = np.unique(np.stack([instance, detections.source, detections.frame_index], axis=1), axis=0)
    enough: BoolArray = np.bincount(frames[:, 0], minlength=count) >= config.min_views
    if config.min_span_s is None or not len(instance):
        return enough
    order = np.lexsort((detections.time_s, detections.source, instance))
    owner, source = instance[order], detections.source[order]
    starts = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (source[1:] != source[:-1])])
    last = np.r_[starts[1:], len(order)] - 1
    time_s = detections.time_s[order]
    long = owner[starts[time_s[last] - time_s[starts] >= config.min_span_s]]
    enough[long] = True
    return enough
