"""Made-up videos with full truth and a made-up detector, for measures that need both."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

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


@pytest.fixture(scope="module")
def square_set(tmp_path_factory: pytest.TempPathFactory, moving_square: Path, small_catalogue: Path) -> Path:
    """Two videos of one red square in which its box moves, and a shop of three items; the same garment sold once."""
    from dprnet.core.images import read_image
    from dprnet.data.shopset import ShopSetWriter

    writer = ShopSetWriter(tmp_path_factory.mktemp("set") / "square", {"name": "square", "split": "test"})
    for name in ("red", "green", "blue"):
        writer.add_item(name, [read_image(small_catalogue.parent / f"{name}.png").image], category="top")
    for instance, video in enumerate(("first", "second")):
        shutil.copy(moving_square, writer.add_video(video))
        writer.add_instance(video, instance, 0, "red")
        for number in range(20):
            box = (4 * number, 30, 4 * number + 40, 90)
            covered = 0.0 if number == 7 else 0.5
            writer.add_view(video, number, instance, box, time_s=number / 10, viewpoint=0, occluded=covered, cut_off=0)
    return writer.finish().folder
