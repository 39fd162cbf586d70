"""Every measure against numbers worked out by hand, the empty cases included."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.evaluate.bootstrap import Interval, difference_interval, ratio_interval
from dprnet.evaluate.figures import write_figures
from dprnet.evaluate.metrics import (
    adjusted_rand_index,
    average_precision,
    balanced_accuracy,
    clustering_f1,
    covered,
    hits_at_k,
    iou,
    match_views,
    mean_average_precision,
    recall_at_k,
)
from dprnet.evaluate.pick_counts import PickCounts, pick_counts, true_quality

NO_VIEWS = np.zeros(0, np.int64)


def test_iou_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    others = np.array([[0, 0, 10, 5], [5, 5, 15, 15], [10, 0, 20, 10]], np.float32)
    np.testing.assert_allclose(iou(boxes, others), [[0.5, 25 / 175, 0], [0, 0, 0]])
    assert iou(boxes, others[:0]).shape == (2, 0)


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=6))
def test_iou_is_symmetric_and_in_range(corners: list[tuple[int, int, int, int]]) -> None:
    a = np.array(corners, np.float32)
    boxes = np.concatenate([np.minimum(a[:, :2], a[:, 2:]), np.maximum(a[:, :2], a[:, 2:]) + 1], axis=1)
    shares = iou(boxes, boxes)
    np.testing.assert_allclose(shares, shares.T)
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(np.diag(shares), 1)


def test_covered_by_regions() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]])
    np.testing.assert_allclose(covered(boxes, np.array([[0, 0, 100, 4], [0, 0, 10, 9]])), [0.9, 0])
    np.testing.assert_allclose(covered(boxes, np.zeros((0, 4))), [0, 0])


def test_a_pick_belongs_to_the_highest_iou_of_its_frame_and_class() -> None:
    true_boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    true_frames, true_labels = np.array([1, 1, 1, 2]), np.array([0, 0, 5, 0])
    boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 5], [0, 0, 10, 4.9], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    frames, labels = np.array([1, 2, 2, 3, 1]), np.array([0, 0, 0, 0, 5])
    found = match_views(frames, boxes, labels, true_frames, true_boxes, true_labels)
    # IoU 1 beats 0.9; exactly 0.5 belongs; 0.49 does not; no truth in frame 3; the dress, not the top it covers
    assert found.tolist() == [1, 3, -1, -1, 2]


def test_true_quality_by_hand_and_the_case_of_never_frontal() -> None:
    instance = np.array([1, 1, 2, 2, 3])
    frontal = np.array([True, False, False, False, True])
    occluded = np.array([0.25, 0.0, 0.4, 0.1, 1.0], np.float32)
    cut_off = np.array([0.2, 0.0, 0.0, 0.5, 0.0], np.float32)
    quality = true_quality(instance, frontal, occluded, cut_off)
    np.testing.assert_allclose(quality, [0.6, 0, 0.6, 0.45, 0], atol=1e-6)


def test_true_quality_where_nobody_labelled_and_where_nothing_is() -> None:
    nan = np.array([np.nan], np.float32)
    assert true_quality(np.array([1]), np.array([True]), nan, nan).tolist() == [1.0]
    assert true_quality(NO_VIEWS, NO_VIEWS.astype(bool), nan[:0], nan[:0]).tolist() == []


def _counts(views: list[int], scores: list[float], counted: set[int]) -> PickCounts:
    instance = np.array([1, 1, 2, 3])
    quality = np.array([1.0, 0.9, 0.5, 0.0])
    return pick_counts(np.array(views, np.int64), np.array(scores, np.float32), instance, quality, counted)


def test_picks_by_hand() -> None:
    every = {1, 2, 3}
    assert _counts([0, 2, 3], [0.9, 0.9, 0.9], every) == PickCounts(3, 3, 0, 3, 3, 3)
    assert _counts([1], [0.9], every) == PickCounts(3, 1, 0, 1, 1, 1)  # 0.9 of the best is still optimal
    assert _counts([0, 1, -1], [0.1, 0.2, 0.3], every) == PickCounts(3, 1, 1, 1, 3, 2)
    assert _counts([2], [0.9], {1}) == PickCounts(1, 0, 0, 0, 1, 1)  # right, but of one that does not count
    assert _counts([3], [0.9], {3}).optimal == 1  # nothing better exists


def test_an_instance_picked_twice_is_judged_by_its_highest_score() -> None:
    instance, quality = np.array([1, 1]), np.array([1.0, 0.2])
    views = np.array([0, 1])
    assert pick_counts(views, np.array([0.9, 0.8], np.float32), instance, quality, {1}).optimal == 1
    assert pick_counts(views, np.array([0.8, 0.9], np.float32), instance, quality, {1}).optimal == 0


def test_no_picks_and_no_instances() -> None:
    none = _counts([], [], {1, 2})
    assert none == PickCounts(2, 0, 0, 0, 0, 0)
    assert none.r_pick == 0
    assert all(math.isnan(value) for value in (none.r_duplication, none.r_optimal, none.precision))
    empty = pick_counts(np.array([-1]), np.array([0.9], np.float32), NO_VIEWS, np.zeros(0), set())
    assert empty == PickCounts(0, 0, 0, 0, 1, 0)
    assert math.isnan(empty.r_pick)
    assert empty.precision == 0
    assert none + _counts([0], [1.0], {1}) == PickCounts(3, 1, 0, 1, 1, 1)


def test_recall_with_several_right_answers_and_misses() -> None:
    found = [["a", "b", "c"], ["x", "y"], [], ["q"]]
    right = [{"b", "c"}, {"z"}, {"a"}, {"q"}]
    assert [recall_at_k(found, right, k) for k in (1, 2, 5)] == [0.25, 0.5, 0.5]
    assert hits_at_k(found, right, 2).tolist() == [True, False, False, True]
    assert math.isnan(recall_at_k([], [], 1))


def test_average_precision_by_hand() -> None:
    assert average_precision(np.array([False, True, True]), 4) == pytest.approx((1 / 2 + 2 / 3) / 4)
    assert mean_average_precision([["a", "b"], ["c"], ["d"]], [{"b"}, {"c"}, set()]) == pytest.approx(0.75)
    assert math.isnan(mean_average_precision([], []))


def test_balanced_accuracy_by_hand() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 2, -1])
    predicted = np.array([0, 0, 0, 1, 1, 0, 0, 2])
    assert balanced_accuracy(truth, predicted) == pytest.approx((0.75 + 0.5 + 0) / 3)
    assert math.isnan(balanced_accuracy(np.array([-1]), np.array([0])))


def test_clustering_by_hand() -> None:
    truth, clusters = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    # pairs together: truth 6, clusters 3, both 2 (of 15); chance 6 * 3 / 15 = 1.2
    assert clustering_f1(truth, clusters) == pytest.approx(4 / 9)
    assert adjusted_rand_index(truth, clusters) == pytest.approx((2 - 1.2) / (4.5 - 1.2))
    assert adjusted_rand_index(truth, truth + 7) == 1
    assert adjusted_rand_index(np.zeros(4, np.int64), np.zeros(4, np.int64)) == 1
    assert adjusted_rand_index(np.zeros(4, np.int64), np.arange(4)) == 0
    assert math.isnan(adjusted_rand_index(np.array([0]), np.array([0])))
    assert math.isnan(clustering_f1(np.arange(3), np.arange(3)))


def test_interval_by_enumeration() -> None:
    # Two videos, 0 of 1 and 1 of 1: resamples give 0 (1/4), 0.5 (1/2), 1 (1/4).
    found = ratio_interval(np.array([0, 1]), np.array([1, 1]))
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    inner = ratio_interval(np.array([0, 1]), np.array([1, 1]), level=0.4)
    assert (inner.low, inner.high) == (0.5, 0.5)


def test_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        whole = rng.integers(2, 8, 60)
        part = rng.binomial(whole, 0.7)
        found = ratio_interval(part, whole, rounds=400, seed=trial)
        inside += found.low <= 0.7 <= found.high
    assert 0.88 <= inside / 200 <= 0.99


def test_paired_differences_are_narrower_than_the_two_intervals() -> None:
    rng = np.random.default_rng(1)
    hard = rng.uniform(0.2, 0.9, 80)
    whole = np.full(80, 10)
    a = np.round(hard * 10)
    b = a - (np.arange(80) % 5 == 0)
    difference = difference_interval((a, whole), (b, whole))
    assert difference.value == pytest.approx(0.02)
    assert 0 < difference.low <= difference.high < 0.04
    with pytest.raises(ValueError, match="the same videos, got 80 and 79"):
        difference_interval((a, whole), (b[1:], whole[1:]))


def test_intervals_of_nothing() -> None:
    for found in (ratio_interval(NO_VIEWS, NO_VIEWS), ratio_interval(np.zeros(3), np.zeros(3))):
        assert math.isnan(found.value)
        assert math.isnan(found.low)


def test_intervals_are_the_same_again() -> None:
    part, whole = np.arange(20) ** 2 % 7, np.arange(20) + 7
    assert ratio_interval(part, whole) == ratio_interval(part, whole)
    assert ratio_interval(part, whole) != ratio_interval(part, whole, seed=1)


def test_figures_are_written_as_json_without_nan(tmp_path: Path) -> None:
    write_figures(Interval(float("nan"), 0.1, 0.2), tmp_path / "new" / "figures.json")
    text = (tmp_path / "new" / "figures.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"value": None, "low": 0.1, "high": 0.2, "level": 0.95}
