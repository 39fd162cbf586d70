"""Picks in the order of a report: the same garments, numbered as a page shows them."""

from __future__ import annotations

import numpy as np

from dprnet.core.records import Detections, Picks
from dprnet.pipeline.joining import in_order_of_a_report


def picks_of(scores: list[float], instance: list[int], best: list[int], picked: list[bool]) -> Picks:
    n = len(scores)
    whole = np.full((n, 3), 1 / 3, np.float32)
    detections = Detections(
        boxes_xyxy=np.tile(np.array([[0, 0, 9, 9]], np.float32), (n, 1)),
        labels=np.zeros(n, np.int64),
        scores=np.array(scores, np.float32),
        viewpoint=whole,
        occlusion=whole,
        crop=whole[:, :2],
        embeddings=np.zeros((n, 0), np.float32),
        frame_index=np.arange(n),
        time_s=np.arange(n, dtype=np.float32),
        source=np.zeros(n, np.int64),
    )
    failing = np.zeros((n, 3), bool)
    return Picks(detections, np.array(instance), failing, np.array(best), np.array(picked), min_score=0.5)


def test_picked_then_seen_then_doubtful_each_in_order_of_appearance() -> None:
    # doubtful, seen, picked, doubtful, picked (with two views), seen
    picked = [False, False, True, False, True, False]
    picks = picks_of([0.1, 0.9, 0.9, 0.2, 0.9, 0.8, 0.7], [0, 1, 2, 3, 4, 4, 5], [0, 1, 2, 3, 5, 6], picked)
    told = in_order_of_a_report(picks)
    assert told.best.tolist() == [2, 5, 1, 6, 0, 3]
    assert told.instance.tolist() == [4, 2, 0, 5, 1, 1, 3]
    assert told.picked.tolist() == [True, True, False, False, False, False]
    assert told.doubtful.tolist() == [False, False, False, False, True, True]
    for garment, best in enumerate(told.best.tolist()):
        assert told.instance[best] == garment
        old = int(picks.instance[best])
        assert told.members(garment).tolist() == picks.members(old).tolist()


def test_nothing_stays_nothing() -> None:
    none = np.zeros(0, np.int64)
    assert (
        len(in_order_of_a_report(Picks(Detections.empty(), none, np.zeros((0, 3), bool), none, np.zeros(0, bool)))) == 0
    )
