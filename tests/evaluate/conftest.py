"""Made-up videos with full truth and a made-up detector, for measures that need both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dprnet.core.records import Detections
from dprnet.evaluate.seen import Seen, match
from dprnet.evaluate.truth import VideoTruth

Make = Callable[..., Seen]


def make_seen(seed: int = 0, garments: int = 4, frames: int = 60, noise: float = 0.3, false: int = 3) -> Seen:
    """A video of garments side by side that turn and are covered now and then, seen in every fifth frame.

    The detector's scores follow the truth with some noise; ``false`` detections come once each.
    """
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(frames), garments)
    who = np.tile(np.arange(garments), frames)
    left = 100.0 * who
    boxes = np.stack([left, np.full_like(left, 10), left + 80, np.full_like(left, 210)], axis=1).astype(np.float32)
    frontal = np.sin(index / 9 + who) > 0
    occluded = np.clip(0.6 * np.sin(index / 5 + 2 * who), 0, 1).astype(np.float32)
    truth = VideoTruth(
        name=f"video{seed}",
        frame_index=index,
        time_s=(index * 0.04).astype(np.float32),
        boxes_xyxy=boxes,
        instance=who + 100 * seed,
        label=who % 3,
        frontal=frontal,
        occluded=occluded,
        cut_off=np.zeros(len(who), np.float32),
        items={int(i) + 100 * seed: None if i == 3 else f"item{seed}-{i}" for i in range(garments)},
    )
    rows = np.flatnonzero(index % 5 == 0)
    n = len(rows)
    looks = rng.normal(size=(garments, 16))
    embeddings = looks[who[rows]] + noise * rng.normal(size=(n, 16))
    viewpoint = np.clip(np.where(frontal[rows], 0.8, 0.2) + 0.1 * rng.normal(size=n), 0, 1)
    occlusion = np.clip(1 - 1.2 * occluded[rows] + 0.1 * rng.normal(size=n), 0, 1)
    wrong = rng.integers(n, size=false)
    every = np.concatenate([rows, rows[wrong]])
    column = np.concatenate([viewpoint, np.full(false, 0.9)]), np.concatenate([occlusion, np.full(false, 0.9)])
    detections = Detections(
        boxes_xyxy=np.concatenate([boxes[rows], boxes[rows[wrong]] + np.float32(400)]),
        labels=truth.label[every],
        scores=np.concatenate([rng.uniform(0.7, 1, n), rng.uniform(0.3, 0.8, false)]).astype(np.float32),
        viewpoint=np.stack([column[0], 1 - column[0], 0 * column[0]], axis=1).astype(np.float32),
        occlusion=np.stack([column[1], 1 - column[1], 0 * column[1]], axis=1).astype(np.float32),
        crop=np.tile(np.array([0.9, 0.1], np.float32), (n + false, 1)),
        embeddings=np.concatenate([embeddings, rng.normal(size=(false, 16))]).astype(np.float32),
        frame_index=index[every],
        time_s=truth.time_s[every],
        source=np.zeros(n + false, np.int64),
    )
    return match(detections, truth)


@pytest.fixture(scope="session")
def seen() -> Make:
    """Makes one made-up video: ``seen(seed=1, garments=3)``."""
    return make_seen
