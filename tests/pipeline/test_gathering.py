"""Gathering keeps what picking needs, and no more."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from dprnet.core.errors import BadVector
from dprnet.core.records import Detections
from dprnet.pick import PickConfig, pick
from dprnet.pipeline.gathering import FRAMES, Gathering


def frame(number: int, count: int, garments: int = 7, size: int = 24) -> Detections:
    rng = np.random.default_rng(number)
    centres = np.random.default_rng(99).normal(size=(garments, size))
    looks = centres[rng.integers(garments, size=count)] + 0.05 * rng.normal(size=(count, size))
    corner = rng.uniform(0, 300, (count, 2))
    return Detections(
        boxes_xyxy=np.hstack([corner, corner + 50]).astype(np.float32),
        labels=rng.integers(0, 3, count),
        scores=rng.uniform(size=count).astype(np.float32),
        viewpoint=rng.dirichlet([3, 1, 1], count).astype(np.float32),
        occlusion=rng.dirichlet([3, 1, 1], count).astype(np.float32),
        crop=rng.dirichlet([3, 1], count).astype(np.float32),
        embeddings=(1e5 * looks).astype(np.float32),  # beyond float16, before it is made a direction
        frame_index=np.full(count, number),
        time_s=np.full(count, number / 2, np.float32),
        source=np.zeros(count, np.int64),
    )


def gathered(frames: list[Detections]) -> Detections:
    gathering = Gathering()
    for one in frames:
        gathering.add(one)
    return gathering.whole()


@pytest.mark.parametrize("frames", [0, 1, FRAMES, FRAMES + 1, 2 * FRAMES + 3])
def test_all_come_back_in_their_order_as_directions(frames: int) -> None:
    parts = [frame(number, number % 4) for number in range(frames)]
    plain, kept = Detections.concatenate(parts), gathered(parts)
    for field in fields(Detections):
        if field.name != "embeddings":
            assert np.array_equal(getattr(kept, field.name), getattr(plain, field.name)), field.name
    assert (kept.embeddings.dtype, kept.embeddings.shape) == (np.float16, (len(plain), 24 if frames else 0))
    wanted = plain.embeddings / np.linalg.norm(plain.embeddings, axis=1, keepdims=True)
    assert np.abs(kept.embeddings - wanted).max(initial=0) < 5e-4


def test_the_picks_are_those_of_float32() -> None:
    parts = [frame(number, 5) for number in range(120)]
    config = PickConfig(viewpoint=0.3, occlusion=0.3, crop=0.3, cut_distance=0.2)
    plain, kept = pick(Detections.concatenate(parts), config), pick(gathered(parts), config)
    assert len(plain) > 10
    for name in ("instance", "best", "picked", "failing"):
        assert np.array_equal(getattr(plain, name), getattr(kept, name)), name


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_what_has_no_direction_is_refused_as_ever(value: float) -> None:
    broken = frame(0, 3)
    broken.embeddings[1] = value
    with pytest.raises(BadVector, match="detection 1"):
        pick(gathered([broken]), PickConfig())
