"""Picking is measured on made-up videos whose answers are known, and detections are computed once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.bundle import save_pretrained
from dprnet.core.records import Detections
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.evaluate.figures import write_figures
from dprnet.evaluate.pick_counts import PickCounts
from dprnet.evaluate.picking import compare_picking, count_picks, evaluate_picking, why_missed
from dprnet.evaluate.seen import Seen, detector_identity, match, see
from dprnet.evaluate.truth import VideoTruth, video_truth
from dprnet.pick import PickConfig, pick

GOOD = PickConfig(cut_distance=0.3, min_views=2)


def truth(frames: list[int], instances: list[int], sides: list[float], step_s: float = 0.1) -> VideoTruth:
    n = len(frames)
    index = np.array(frames, np.int64)
    return VideoTruth(
        name="video",
        frame_index=index,
        time_s=(index * step_s).astype(np.float32),
        boxes_xyxy=np.array([[0, 0, side, 100] for side in sides], np.float32),
        instance=np.array(instances, np.int64),
        label=np.zeros(n, np.int64),
        frontal=np.ones(n, bool),
        occluded=np.zeros(n, np.float32),
        cut_off=np.zeros(n, np.float32),
    )


def test_only_instances_seen_long_and_large_enough_count() -> None:
    rows = [(frame, 1, 50.0) for frame in range(5)]  # 5 frames of 0.1 s
    rows += [(frame, 2, 50.0) for frame in range(4)]  # too short
    rows += [(frame, 3, 31.0) for frame in range(10)]  # too small
    rows += [(frame, 4, 32.0 if frame < 5 else 10.0) for frame in range(10)]  # large for long enough
    columns = [list(column) for column in zip(*rows, strict=True)]
    assert truth(*columns).counted == (1, 4)  # type: ignore[arg-type]


def test_a_good_detector_gives_good_figures(seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=seed) for seed in range(4)]
    figures = evaluate_picking(videos, GOOD, set_id="s", detector="d", every="5f")
    assert figures.counts.instances == 16
    assert figures.r_pick.value >= 0.9
    assert figures.r_duplication.value <= 0.1
    assert figures.precision.value == 1
    assert figures.clustering_f1.value > 0.95
    assert figures.adjusted_rand.value > 0.95
    assert figures.r_pick.low <= figures.r_pick.value <= figures.r_pick.high
    assert list(figures.videos) == ["video0", "video1", "video2", "video3"]
    assert sum(figures.missed.values()) == figures.counts.instances - figures.counts.picked


def test_classes_add_up_to_the_whole(seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=seed, noise=2.0) for seed in range(4)]
    loose = GOOD.model_copy(update={"min_views": 1})  # so that false detections are picked too
    picks = [pick(video.detections, loose) for video in videos]
    for video, found in zip(videos, picks, strict=True):
        each = [count_picks(video, found, label) for label in range(6)]
        assert reduce(add, each) == count_picks(video, found)
        assert each[4] == each[5] == PickCounts()  # of such there are none
        # Instances 0 and 3 are of class 0, one each of 1 and 2.
        assert [one.instances for one in each[:3]] == [2, 1, 1]
    figures = evaluate_picking(videos, loose)
    assert set(figures.by_class) == {"top", "outerwear", "trousers"}
    tops = reduce(add, (count_picks(video, found, 0) for video, found in zip(videos, picks, strict=True)))
    assert tops.picks > tops.right  # the false ones are among them
    assert figures.by_class["top"]["precision"].value == tops.precision
    assert figures.by_class["top"]["r_pick"].value == tops.r_pick
    assert (figures.bootstrap_rounds, figures.bootstrap_seed) == (2000, 20261123)


def test_false_detections_cost_precision(seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=1, false=4)]
    figures = evaluate_picking(videos, GOOD.model_copy(update={"min_views": 1}))
    assert figures.counts.picks - figures.counts.right == 4
    ignored = replace(videos[0], ignored=videos[0].views < 0)
    assert evaluate_picking([ignored], GOOD.model_copy(update={"min_views": 1})).precision.value == 1


def test_every_miss_has_its_reason(seen: Callable[..., Seen]) -> None:
    video = seen(seed=2, false=0)
    shown = video.truth.instance[video.views]

    def reasons(config: PickConfig, detections: Detections = video.detections) -> dict[int, str]:
        now = match(detections, video.truth)
        return why_missed(now, pick(detections, config))

    assert reasons(GOOD) == {}
    assert set(reasons(GOOD.model_copy(update={"crop": 0.95})).values()) == {"no good view"}
    assert set(reasons(GOOD.model_copy(update={"min_views": 100})).values()) == {"seen too briefly"}
    assert reasons(GOOD, video.detections[shown != 201]) == {201: "not detected"}
    # Garments 200 and 203 are of one class: at a cut of 2 they are one garment, which shows one of them.
    assert set(reasons(GOOD.model_copy(update={"cut_distance": 2.0})).values()) == {"merged with another"}


def test_no_videos_and_nothing_detected(seen: Callable[..., Seen]) -> None:
    assert np.isnan(evaluate_picking([], GOOD).r_pick.value)
    video = seen(seed=3)
    blind = match(Detections.empty(16), video.truth)
    figures = evaluate_picking([blind], GOOD)
    assert figures.r_pick.value == 0
    assert np.isnan(figures.r_optimal.value)
    assert figures.missed["not detected"] == 4
    bare = match(video.detections, replace(video.truth, **{name: getattr(video.truth, name)[:0] for name in _ARRAYS}))
    assert evaluate_picking([bare], GOOD).precision.value == 0


_ARRAYS = ("frame_index", "time_s", "boxes_xyxy", "instance", "label", "frontal", "occluded", "cut_off")


def test_two_pickers_are_compared_in_pairs(seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=seed) for seed in range(3)]
    good = evaluate_picking(videos, GOOD)
    every_view = evaluate_picking(videos, GOOD.model_copy(update={"cut_distance": 0.0, "min_views": 1}))
    difference = compare_picking(every_view, good)
    assert difference["r_duplication"].low > 0.5
    assert difference["r_pick"].value == pytest.approx(every_view.r_pick.value - good.r_pick.value)
    with pytest.raises(ValueError, match="not the same"):
        compare_picking(good, evaluate_picking(videos[:2], GOOD))


def test_figures_as_json(seen: Callable[..., Seen], tmp_path: Path) -> None:
    write_figures(evaluate_picking([seen()], GOOD, set_id="s"), tmp_path / "picking.json")
    values = json.loads((tmp_path / "picking.json").read_text(encoding="utf-8"))
    assert values["set_id"] == "s"
    assert values["settings"]["cut_distance"] == 0.3
    assert values["videos"]["video0"]["instances"] == 4
    assert 0 <= values["r_pick"]["low"] <= values["r_pick"]["high"] <= 1


@pytest.fixture
def shopset(tmp_path: Path) -> ShopSet:
    writer = ShopSetWriter(tmp_path / "set", {"name": "two", "split": "val"})
    for number, name in enumerate(("b", "a")):
        writer.add_video(name).write_bytes(b"not read here")
        writer.add_instance(name, instance=number, label=number, item_id="A1" if number else None)
        for frame in (3, 1, 2):
            view = {"viewpoint": 0, "occluded": 0.1, "cut_off": 0.0, "time_s": frame / 25}
            writer.add_view(name, frame, number, (0, 0, 40 + frame, 90), **view)  # type: ignore[arg-type]
    writer.add_ignored("a", 2, (200, 200, 300, 300))
    writer.add_item("A1", [np.zeros((50, 50, 3), np.uint8)], category="top")
    return writer.finish()


def test_truth_of_a_set(shopset: ShopSet) -> None:
    found = video_truth(shopset, "a")
    assert found.frame_index.tolist() == [1, 2, 3]
    assert found.boxes_xyxy[:, 2].tolist() == [41, 42, 43]
    assert found.label.tolist() == [1, 1, 1]
    assert found.items == {1: "A1"}
    assert video_truth(shopset, "b").items == {0: None}
    np.testing.assert_allclose(found.quality, 0.9, atol=1e-6)
    assert found.views(Detections.empty(2)).shape == (0,)


def test_detections_are_computed_once(shopset: ShopSet, seen: Callable[..., Seen], tmp_path: Path) -> None:
    detections = seen().detections
    asked: list[str] = []

    def detect(path: Path) -> Detections:
        asked.append(path.stem)
        return detections

    def run(detector: str = "d@1", every: str = "0.5s") -> list[Seen]:
        return see(shopset, detect, detector=detector, every=every, cache=tmp_path / "cache")

    first, second = run(), run()
    assert asked == ["a", "b"]
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.detections.embeddings, two.detections.embeddings)
        np.testing.assert_array_equal(one.views, two.views)
    run(every="1s")
    run(detector="d@2")
    assert len(asked) == 6
    damaged = next((tmp_path / "cache").rglob("a.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    run(), run("d@2"), run(every="1s")
    assert asked[6:] == ["a"]
    see(shopset, detect, detector="d@1", every="0.5s")
    assert asked[7:] == ["a", "b"]
    shopset.video_path("b").write_bytes(b"another video of the same name")
    run()
    assert asked[9:] == ["b"]


def test_ignored_regions_are_neither_right_nor_wrong(shopset: ShopSet, seen: Callable[..., Seen]) -> None:
    some = seen().detections[[0, 1, 2]]
    boxes = np.array([[210, 210, 290, 310], [100, 200, 220, 300], [210, 210, 290, 290]], np.float32)
    moved = replace(some, boxes_xyxy=boxes, frame_index=np.array([2, 2, 1]))
    assert match(moved, video_truth(shopset, "a")).ignored.tolist() == [True, False, False]


def test_identity_of_the_detector_ignores_calibration(tmp_path: Path) -> None:
    weights = {"detector": {"w": np.ones(3, np.float32)}}
    one = detector_identity(save_pretrained(tmp_path, "mine", {"detector": {"a": 1}}, weights))
    two = detector_identity(save_pretrained(tmp_path, "mine", {"picking": {"crop": 0.3}}, {}))
    three = detector_identity(save_pretrained(tmp_path, "mine", {"detector": {"a": 2}}, {}))
    assert one == two != three
