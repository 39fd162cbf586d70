"""Garments appear, improve and merge; what the events told is what the state says, and the end equals `pick`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.core.errors import BadVector
from dprnet.core.records import Detections, Picks
from dprnet.pick import PickConfig, PickEvent, PickStream, pick

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def seen(frame: int, *rows: dict[str, Any]) -> Detections:
    """The detections of one frame: rows of look and quality."""
    n = len(rows)
    good = np.array([row.get("quality", (0.9, 0.9, 0.9)) for row in rows], np.float32).reshape(n, 3)
    return Detections(
        boxes_xyxy=np.array([(0, 0, 10, 10)] * n, np.float32).reshape(n, 4),
        labels=np.zeros(n, np.int64),
        scores=np.full(n, 0.9, np.float32),
        viewpoint=np.stack([good[:, 0], 1 - good[:, 0], np.zeros(n)], axis=1).astype(np.float32),
        occlusion=np.stack([good[:, 1], 1 - good[:, 1], np.zeros(n)], axis=1).astype(np.float32),
        crop=np.stack([good[:, 2], 1 - good[:, 2]], axis=1).astype(np.float32),
        embeddings=np.array([row.get("look", RED) for row in rows], np.float32).reshape(n, 3),
        frame_index=np.full(n, frame, np.int64),
        time_s=np.full(n, frame / 2, np.float32),
        source=np.zeros(n, np.int64),
    )


def video(seed: int, frames: int) -> list[Detections]:
    """Frames with up to three garments each, of five that look more or less alike."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(5, 6)) + 1.0
    parts = []
    for frame in range(frames):
        n = int(rng.integers(0, 4))
        shown = rng.choice(5, n, replace=False)
        parts.append(
            Detections(
                boxes_xyxy=(np.cumsum(rng.uniform(1, 50, (n, 4)), axis=1)).astype(np.float32),
                labels=shown % 2,
                scores=rng.uniform(size=n).astype(np.float32),
                viewpoint=rng.dirichlet([3, 1, 1], n).astype(np.float32).reshape(n, 3),
                occlusion=rng.dirichlet([3, 1, 1], n).astype(np.float32).reshape(n, 3),
                crop=rng.dirichlet([3, 1], n).astype(np.float32).reshape(n, 2),
                embeddings=(looks[shown] + 0.5 * rng.normal(size=(n, 6))).astype(np.float32),
                frame_index=np.full(n, frame, np.int64),
                time_s=np.full(n, frame / 2, np.float32),
                source=np.zeros(n, np.int64),
            )
        )
    return parts


def told(picks: Picks) -> dict[str, Any]:
    names = ("instance", "failing", "best", "picked")
    return {name: getattr(picks, name).tolist() for name in names} | {"limits": picks.limits, "views": picks.min_views}


configs = st.builds(
    PickConfig,
    viewpoint=st.floats(0, 0.8),
    min_score=st.floats(0, 0.5),
    cut_distance=st.floats(0.01, 0.8),
    min_views=st.integers(1, 3),
    min_span_s=st.none() | st.floats(0.1, 3),
    same_frame_apart=st.booleans(),
)
streams = {"seed": st.integers(0, 10**6), "frames": st.integers(0, 30), "exact": st.sampled_from([0, 8, 128])}


@given(config=configs, **streams)
def test_at_the_end_the_state_equals_that_of_pick(config: PickConfig, seed: int, frames: int, exact: int) -> None:
    stream, parts = PickStream(config, exact_up_to=exact), video(seed, frames)
    for part in parts:
        stream.update(part)
    stream.finish()
    assert told(stream.picks) == told(pick(Detections.concatenate(parts), config))
    assert stream.finish() == ()


@given(config=configs, **streams)
def test_who_follows_the_events_knows_the_state(config: PickConfig, seed: int, frames: int, exact: int) -> None:
    stream, known = PickStream(config, exact_up_to=exact), dict[int, tuple[int, bool]]()

    def follow(events: tuple[PickEvent, ...]) -> None:
        for event in events:
            if event.kind == "merged":
                del known[event.garment]
                assert event.into is not None
                assert event.into < event.garment  # the elder gives the number
            else:
                assert (event.garment in known) == (event.kind == "better")
                known[event.garment] = (event.best, event.picked)
        best, picked = stream.picks.best.tolist(), stream.picks.picked.tolist()
        assert known == dict(zip(stream.numbers, zip(best, picked, strict=True), strict=True))

    for part in video(seed, frames):
        follow(stream.update(part))
    follow(stream.finish())


@given(config=configs, seed=st.integers(0, 10**6), frames=st.integers(1, 12))
def test_while_there_are_few_every_state_is_exact(config: PickConfig, seed: int, frames: int) -> None:
    stream, parts = PickStream(config), video(seed, frames)
    for count, part in enumerate(parts, 1):
        stream.update(part)
        assert told(stream.picks) == told(pick(Detections.concatenate(parts[:count]), config))


def test_a_garment_appears_improves_and_passes() -> None:
    stream = PickStream(PickConfig(min_views=2))
    assert stream.update(seen(0)) == ()
    assert stream.update(seen(1, {"quality": (0.4, 0.9, 0.9)})) == (PickEvent("new", 0, 0, False),)
    assert stream.update(seen(2, {"quality": (0.8, 0.9, 0.9)})) == (PickEvent("better", 0, 1, True),)
    assert stream.update(seen(3, {"quality": (0.6, 0.9, 0.9)})) == ()
    assert stream.update(seen(4, {"look": BLUE})) == (PickEvent("new", 1, 3, False),)
    assert stream.numbers == (0, 1)


def test_two_that_turn_out_to_be_one_are_merged_into_the_elder() -> None:
    near = (0.8, 0.6, 0.0)  # between red and blue: 0.2 from the one, 0.4 from the other
    stream = PickStream(PickConfig(cut_distance=0.65, linkage="single"))
    stream.update(seen(0, {}))
    assert stream.update(seen(1, {"look": BLUE, "quality": (0.99, 0.9, 0.9)})) == (PickEvent("new", 1, 1, True),)
    assert stream.update(seen(2, {"look": near})) == (
        PickEvent("better", 0, 1, True),
        PickEvent("merged", 1, 1, True, into=0),
    )


def test_between_two_clusterings_views_join_the_nearest_or_stand_alone() -> None:
    stream = PickStream(PickConfig(), exact_up_to=2, growth=100.0)
    stream.update(seen(0, {}, {"look": BLUE}))
    events = stream.update(seen(1, {"look": (0.1, 0.9, 0.0), "quality": (0.99, 0.99, 0.99)}, {"look": (0, 0, 1.0)}))
    number = stream.numbers[stream.picks.instance[1]]
    assert set(events) == {PickEvent("better", number, 2, True), PickEvent("new", 2, 3, True)}


def test_damaged_detections_leave_the_state_as_it_was() -> None:
    for exact in (0, 100):
        stream = PickStream(PickConfig(), exact_up_to=exact, growth=100.0)
        stream.update(seen(0, {}))
        with pytest.raises(BadVector):
            stream.update(seen(1, {"look": (0.0, 0.0, 0.0)}))
        assert len(stream.picks.detections) == 1
        assert stream.update(seen(2, {"look": BLUE}))[0].kind == "new"


def test_a_growth_that_never_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="growth must be above 1"):
        PickStream(PickConfig(), growth=1.0)
