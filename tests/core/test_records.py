"""Picks give every detection its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dprnet.core.records import Detections, Picks


def _detections(scores: list[float], viewpoint: list[float], frames: list[int]) -> Detections:
    n = len(scores)
    good = np.tile(np.array([0.9, 0.1, 0.0], np.float32), (n, 1))
    return Detections(
        boxes_xyxy=np.tile(np.array([0, 0, 9, 9], np.float32), (n, 1)),
        labels=np.zeros(n, np.int64),
        scores=np.array(scores, np.float32),
        viewpoint=np.array([[v, 1 - v, 0] for v in viewpoint], np.float32),
        occlusion=good,
        crop=good[:, :2],
        embeddings=np.ones((n, 2), np.float32),
        frame_index=np.array(frames, np.int64),
        time_s=np.array(frames, np.float32),
        source=np.zeros(n, np.int64),
    )


def _picks(detections: Detections, **more: Any) -> Picks:
    failing = detections.quality <= 0.5
    values: dict[str, Any] = {"instance": np.zeros(len(detections), np.int64), "best": np.array([0])}
    values |= {"picked": np.array([True]), "limits": (0.5, 0.5, 0.5)} | more
    return Picks(detections=detections, failing=failing, **values)


def test_reason_of_every_detection() -> None:
    picks = _picks(_detections([0.9, 0.9, 0.2, 0.2], [0.9, 0.8, 0.9, 0.31], [0, 1, 2, 3]), min_score=0.25)
    assert [picks.reason(row) for row in range(4)] == [
        "best view of garment 0",
        "duplicate of garment 0",
        "score 0.20 not above 0.25",
        "viewpoint 0.31 not above 0.50, score 0.20 not above 0.25",
    ]


def test_reason_of_a_garment_seen_too_briefly() -> None:
    once = _picks(_detections([0.9, 0.8], [0.9, 0.9], [4, 4]), min_views=2, picked=np.array([False]))
    assert once.reason(0) == "best view of garment 0, but seen in 1 frame, fewer than 2"
    twice = _picks(_detections([0.9, 0.8], [0.9, 0.9], [4, 5]), min_views=3, picked=np.array([False]))
    assert twice.reason(0) == "best view of garment 0, but seen in 2 frames, fewer than 3"
    assert twice.reason(1) == "duplicate of garment 0"


def test_reason_of_a_garment_never_seen_well() -> None:
    never = _picks(_detections([0.9], [0.3], [0]), min_views=2, picked=np.array([False]))
    assert never.reason(0) == "best view of garment 0, but viewpoint 0.30 not above 0.50"


def test_a_garment_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Picks.instance must lie in \[0, 1\)"):
        _picks(_detections([0.9], [0.9], [0]), instance=np.array([1]))
