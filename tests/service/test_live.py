"""What a page is told of a job while it runs, and how a job is taken away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.images import read_image
from dprnet.core.records import Detections, Frame
from dprnet.pick import PickConfig
from dprnet.service.live import KEPT_FRAMES, PICTURES, UPDATE_S, Given, Live, Watched

RED, BLUE = (1.0, 0.0), (0.0, 1.0)


def frame(index: int) -> Frame:
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :40] = (200, 30, 30)
    return Frame(image, index, index / 2, scale=0.5)


def found(index: int, *views: tuple[tuple[float, float], float]) -> Detections:
    """Detections on the left half of a frame: how they look, and how frontal."""
    n = len(views)
    frontal = np.array([view[1] for view in views], np.float32).reshape(n)
    ones = np.ones(n, np.float32)
    return Detections(
        boxes_xyxy=np.array([(0, 0, 80, 120)] * n, np.float32).reshape(n, 4),
        labels=np.zeros(n, np.int64),
        scores=0.9 * ones,
        viewpoint=np.stack([frontal, 1 - frontal, 0 * ones], axis=1),
        occlusion=np.stack([ones, 0 * ones, 0 * ones], axis=1),
        crop=np.stack([ones, 0 * ones], axis=1),
        embeddings=np.array([view[0] for view in views], np.float32).reshape(n, 2),
        frame_index=np.full(n, index, np.int64),
        time_s=np.full(n, index / 2, np.float32),
        source=np.zeros(n, np.int64),
    )


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_garments_appear_and_improve(tmp_path: Path) -> None:
    clock = Clock()
    live = Live(PickConfig(), tmp_path / "live", clock=clock)
    assert live.told()["garments"] == []
    live.saw(frame(0), found(0, (RED, 0.3)))
    (first,) = live.told()["garments"]
    assert (first["garment"], first["label"], first["picked"], first["views"]) == (0, "top", False, 1)
    clock.now += UPDATE_S
    live.saw(frame(1), found(1, (RED, 0.8), (BLUE, 0.9)))
    better, new = live.told()["garments"]
    assert (better["garment"], better["picked"], better["time_s"], better["views"]) == (0, True, 0.5, 2)
    assert better["quality"] == {"viewpoint": 0.8, "occlusion": 1.0, "crop": 1.0}
    assert new["garment"] == 1
    assert better["picture"] != first["picture"]
    image = read_image(tmp_path / "live" / better["picture"]).image
    assert image.shape[:2] == (60, 40), "the box, in the pixels of the frame"
    assert image[30, 20, 0] > 150
    live.saw(frame(2), found(2))
    assert live.told()["time_s"] == 1.0
    assert len(live.told()["garments"]) == 2


def test_pictures_are_made_only_of_what_is_shown(tmp_path: Path) -> None:
    clock = Clock()
    live = Live(PickConfig(), tmp_path / "live", clock=clock)
    for index in range(20):  # forty views within one update, and the best of them is not the last
        live.saw(frame(index), found(index, (RED, 0.9 if index == 12 else 0.6), (BLUE, 0.7)))
    assert live.told()["time_s"] == 9.5, "how far it is is told at every frame"
    assert [one["views"] for one in live.told()["garments"]] == [1, 1], "the garments only now and then"
    clock.now += UPDATE_S
    live.saw(frame(20), found(20))
    red, blue = live.told()["garments"]
    assert (red["time_s"], red["views"], blue["views"]) == (6.0, 20, 20)
    assert {path.name for path in (tmp_path / "live").iterdir()} == {"0.jpg", "1.jpg", red["picture"]}


def test_only_so_many_pictures_at_once(tmp_path: Path) -> None:
    clock = Clock()
    live = Live(PickConfig(), tmp_path / "live", clock=clock)
    crowd = PICTURES + 3
    one = found(0, *[(RED, 0.9)] * crowd)
    live.saw(frame(0), replace(one, embeddings=np.eye(crowd, dtype=np.float32)))
    assert sum(garment["picture"] is not None for garment in live.told()["garments"]) == PICTURES
    clock.now += UPDATE_S
    live.saw(frame(1), found(1))
    assert all(garment["picture"] for garment in live.told()["garments"]), "the others at the next"


def test_the_last_state_is_told_when_all_was_looked_at(tmp_path: Path) -> None:
    live = Live(PickConfig(), tmp_path / "live", clock=Clock())
    for index in live.track(range(4), "Looking at video"):
        live.saw(frame(index), found(index, (RED, 0.9)))
    assert [one["views"] for one in live.told()["garments"]] == [4]


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    clock = Clock()
    live = Live(PickConfig(), tmp_path / "live", clock=clock)
    for index in range(KEPT_FRAMES + 50):
        clock.now += UPDATE_S
        live.saw(frame(index), found(index, (RED, 0.9 if index == 3 else 0.6)))
    assert len(live._frames) == KEPT_FRAMES
    (red,) = live.told()["garments"]
    assert (red["time_s"], red["picture"]) == (1.5, "3.jpg"), "the best one stays"
    assert len(list((tmp_path / "live").iterdir())) <= 5


def test_a_job_that_is_taken_away_ends_at_the_next_frame(tmp_path: Path) -> None:
    live, done = Live(PickConfig(), tmp_path), []
    with pytest.raises(Given):  # noqa: PT012 - the loop is what raises
        for item in live.track(range(10), "Looking at video"):
            done.append(item)
            if item == 2:
                live.given.set()
    assert done == [0, 1, 2]


def test_stages_are_named_in_order(tmp_path: Path) -> None:
    live = Live(PickConfig(), tmp_path)
    stages = [live.told()["stage"] for _ in live.track(range(2), "Looking at video")] + [live.told()["stage"]]
    assert stages == ["look", "look", "cut"]
    told = [(live.told()["done"], live.told()["total"]) for _ in live.track(range(2), "Cutting out of video", 2)]
    assert told == [(0, 2), (1, 2)]
    assert live.told()["stage"] == "match"


def test_each_detection_is_told_with_its_own_frame(tmp_path: Path) -> None:
    class InPairs:
        """Looks at two frames at a time, as a detector may."""

        short_side = 60

        def __call__(self, frames: Iterator[Frame]) -> Iterator[Detections]:
            taken = list(frames)
            yield from (found(one.index, (RED, 0.5 + one.index / 10)) for one in taken)

    seen: list[tuple[int, int]] = []

    class Telling(Live):
        def saw(self, frame: Frame, found: Detections) -> None:
            seen.append((frame.index, int(found.frame_index[0])))

    detector = Watched(InPairs(), Telling(PickConfig(), tmp_path))  # type: ignore[arg-type]
    assert len(list(detector(iter([frame(0), frame(1), frame(2)])))) == 3
    assert seen == [(0, 0), (1, 1), (2, 2)]
    assert detector.short_side == 60
