"""Garments of a stream without end: numbers that last, views that add up, memory that does not grow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.core.records import Detections, Frame
from dprnet.live.config import WatchConfig
from dprnet.live.garments import Garments
from dprnet.pick import PickConfig, pick

MOST = 100


def frame(index: int) -> Frame:
    return Frame(np.full((40, 40, 3), 99, np.uint8), index, index / 2)


def found(index: int, garments: list[int], frontal: float = 0.9) -> Detections:
    """One detection of each garment: garment g points along axis g, so all are far from one another."""
    n = len(garments)
    ones = np.ones(n, np.float32)
    front = np.full(n, frontal, np.float32)
    return Detections(
        boxes_xyxy=np.array([(2 * g, 0, 2 * g + 10, 20) for g in garments], np.float32).reshape(n, 4),
        labels=np.zeros(n, np.int64),
        scores=0.9 * ones,
        viewpoint=np.stack([front, 1 - front, 0 * ones], axis=1),
        occlusion=np.stack([ones, 0 * ones, 0 * ones], axis=1),
        crop=np.stack([ones, 0 * ones], axis=1),
        embeddings=np.eye(8, dtype=np.float32)[garments].reshape(n, 8),
        frame_index=np.full(n, index, np.int64),
        time_s=np.full(n, index / 2, np.float32),
        source=np.zeros(n, np.int64),
    )


def make(**changes: float) -> Garments:
    return Garments(PickConfig(), WatchConfig(max_detections=MOST, max_views=20, **changes))


def test_memory_does_not_grow_and_numbers_last() -> None:
    garments = make(forget_s=1e6)
    for index in range(1000):
        garments.update(frame(index), found(index, [0, 1, 2], 0.99 if index == 3 else 0.6 + index / 1e4))
        assert len(garments.picks.detections) <= MOST + 3
        assert len(garments._views) <= 20
    views = [garments.view(number) for number in garments.alive()]
    assert garments.alive() == [0, 1, 2]
    for view in views:
        assert view is not None
        assert (view.views, view.first_seen_s, view.last_seen_s) == (1000, 0.0, 499.5)
        assert view.time_s == 1.5, "the best view of all is never let go"
        assert view.jpeg is not None
    assert len(garments._past) <= 3
    assert len(garments._garment_of) == 3


def test_a_garment_that_is_long_gone_leaves_and_comes_back_as_another() -> None:
    garments, changes = make(forget_s=10.0), []
    for index in range(200):
        changes += garments.update(frame(index), found(index, [0] if index < 5 else [1]))
    assert [(change.kind, change.garment) for change in changes if change.kind != "seen"] == [("left", 0)]
    assert garments.view(0) is None
    garments.update(frame(200), found(200, [0]))
    assert garments.alive() == [1, 2]


def test_more_garments_than_may_be_kept_lose_the_oldest() -> None:
    garments = Garments(PickConfig(), WatchConfig(max_detections=100, max_views=20))
    for index in range(300):
        vector = np.random.default_rng(index).normal(size=(1, 8)).astype(np.float32)
        garments.update(frame(index), replace(found(index, [0]), embeddings=vector))
        assert len(garments.picks.detections) <= 101
    assert 299 in set(garments.picks.detections.frame_index.tolist())


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), max_size=4, unique=True), max_size=25), st.floats(0.3, 1.0))
def test_while_nothing_is_let_go_it_is_what_pick_says(shown: list[list[int]], frontal: float) -> None:
    garments = Garments(PickConfig(), WatchConfig())
    parts = [found(index, who, frontal) for index, who in enumerate(shown)]
    for index, part in enumerate(parts):
        garments.update(frame(index), part)
    garments.finish()
    whole = pick(Detections.concatenate([Detections.empty(8), *parts]), PickConfig())
    assert garments.picks.instance.tolist() == whole.instance.tolist()
    assert garments.picks.best.tolist() == whole.best.tolist()
    assert garments.picks.picked.tolist() == whole.picked.tolist()


@settings(max_examples=5, deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=5, unique=True), min_size=45, max_size=60))
def test_views_add_up_whatever_is_let_go(shown: list[list[int]]) -> None:
    garments, merged = make(forget_s=1e6), 0
    for index, who in enumerate(shown):
        changes = garments.update(frame(index), found(index, who))
        merged += sum(change.kind != "seen" for change in changes)
    assert merged == 0, "they are far from one another"
    views = [garments.view(number) for number in garments.alive(doubtful=True)]
    assert sum(view.views for view in views if view is not None) == sum(map(len, shown))
    assert len(views) == len({garment for who in shown for garment in who})
