"""Average precision and balanced accuracy against values found by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.core.errors import BadDataset
from dprnet.core.records import Detections, Truth
from dprnet.evaluate.detection import ap50, branch_figures, coco_precision, detection_figures
from dprnet.evaluate.figures import plain


def truth(boxes, labels, ignore=(), **columns):
    n = len(boxes)
    values = {name: np.array(columns.get(name, [-1] * n), np.int64) for name in ("viewpoint", "occlusion", "crop")}
    return Truth(
        np.array(boxes, np.float32).reshape(n, 4),
        np.array(labels, np.int64),
        **values,
        instance=np.full(n, -1, np.int64),
        ignore_xyxy=np.array(ignore, np.float32).reshape(-1, 4),
    )


def seen(boxes, labels, scores, viewpoint=None):
    n = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(n, 4),
        np.array(labels, np.int64),
        np.array(scores, np.float32),
        np.array(viewpoint if viewpoint is not None else np.full((n, 3), 1 / 3), np.float32),
        np.full((n, 3), 1 / 3, np.float32),
        np.full((n, 2), 1 / 2, np.float32),
        np.zeros((n, 4), np.float32),
        *(np.zeros(n, kind) for kind in (np.int64, np.float32, np.int64)),
    )


A, B, FAR = [0, 0, 10, 10], [20, 0, 40, 30], [100, 100, 120, 130]


def test_everything_right_is_one():
    figures = detection_figures([seen([A, B], [0, 2], [0.9, 0.8])], [truth([A, B], [0, 2])], bootstrap=20)
    assert (figures.ap, figures.ap50, figures.ap75) == (1.0, 1.0, 1.0)
    assert figures.ap50_interval == (1.0, 1.0)
    assert figures.boxes == {"top": 1, "outerwear": 0, "trousers": 1, "shorts": 0, "skirt": 0, "dress": 0}
    assert np.isnan(figures.ap_of["dress"])
    assert plain(figures)["ap_of"]["dress"] is None
    assert figures.large == ()


def test_a_better_scored_false_box_halves_precision():
    # Ranked: wrong, right -> precision 1/2 at every recall.
    figures = detection_figures([seen([FAR, A], [0, 0], [0.9, 0.8])], [truth([A], [0])], bootstrap=5)
    assert figures.ap50 == pytest.approx(0.5)


def test_half_found_gives_51_of_101_recalls():
    figures = detection_figures([seen([A], [0], [0.9])], [truth([A, FAR], [0, 0])], bootstrap=5)
    assert figures.ap50 == pytest.approx(51 / 101)


def test_ap75_wants_a_tighter_box():
    loose = [0, 0, 10, 15]  # IoU 2/3 with A
    figures = detection_figures([seen([loose], [0], [0.9])], [truth([A], [0])], bootstrap=5)
    assert (figures.ap50, figures.ap75) == (1.0, 0.0)
    assert figures.ap == pytest.approx(4 / 10)  # thresholds .50 .55 .60 .65


def test_ignore_regions_are_neither_right_nor_wrong():
    found = [seen([FAR, A], [0, 0], [0.9, 0.8])]
    figures = detection_figures(found, [truth([A], [0], ignore=[[90, 90, 200, 200]])], bootstrap=5)
    assert (figures.ap50, figures.ap50_interval) == (1.0, (1.0, 1.0))


def test_nothing_found_is_zero_and_no_truth_is_refused():
    assert detection_figures([seen([], [], [])], [truth([A], [0])], bootstrap=5).ap50 == 0.0
    with pytest.raises(BadDataset, match="no true box"):
        detection_figures([seen([A], [0], [0.5])], [truth([], [])])


def test_large_classes_have_25_boxes():
    found = [seen([A, B], [0, 2], [0.9, 0.9])] * 25 + [seen([A], [5], [0.9])]
    truths = [truth([A, B], [0, 2])] * 25 + [truth([FAR], [5])]
    figures = detection_figures(found, truths, bootstrap=5)
    assert figures.large == ("top", "trousers")
    assert figures.ap50_large == 1.0
    assert figures.ap50 == pytest.approx(2 / 3)


boxes = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(2, 9), st.integers(2, 9)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
images = st.lists(
    st.tuples(
        st.lists(st.tuples(boxes, st.integers(0, 2)), max_size=4),
        st.lists(st.tuples(boxes, st.integers(0, 2)), max_size=5),
        st.lists(boxes, max_size=1),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(images, st.randoms(use_true_random=False))
def test_our_ap50_equals_that_of_the_reference(drawn, random):
    truths = [truth([b for b, _ in t], [c for _, c in t], ignore) for t, _, ignore in drawn]
    ranks = iter(random.sample(range(1, 1000), 30))
    found = [seen([b for b, _ in d], [c for _, c in d], [next(ranks) / 1000 for _ in d]) for _, d, _ in drawn]
    if not any(len(t) for t in truths):
        return
    once = np.stack([_all_once(found, truths, label) for label in range(6)])
    reference = coco_precision(found, truths)[0].mean(axis=0)
    np.testing.assert_allclose(once, reference, atol=1e-6)


def _all_once(found, truths, label):
    return ap50(found, truths, label, np.ones((1, len(truths)), np.int64))[0]


def test_interval_holds_the_figure_and_narrows():
    rng = np.random.default_rng(3)
    hits = rng.random(200) < 0.6
    found = [seen([A if hit else FAR], [0], [0.5 + 0.4 * rng.random()]) for hit in hits]
    few = detection_figures(found[:20], [truth([A], [0])] * 20, bootstrap=300)
    many = detection_figures(found, [truth([A], [0])] * 200, bootstrap=300)
    for figures in (few, many):
        assert figures.ap50_interval[0] < figures.ap50 < figures.ap50_interval[1]
    width = lambda figures: figures.ap50_interval[1] - figures.ap50_interval[0]  # noqa: E731
    assert width(many) < width(few)


def test_balanced_accuracy_by_hand():
    # Frontal: 2 of 2 right. Not worn: 0 of 1. Unlabelled and unmatched boxes do not count.
    frontal, back = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]
    found = [seen([A, B], [0, 2], [0.9, 0.9], [frontal, frontal]), seen([A, B, B], [0, 2, 2], [0.9] * 3, [back] * 3)]
    truths = [
        truth([A, B], [0, 2], viewpoint=[0, 0]),
        truth([A, B, FAR], [0, 2, 2], viewpoint=[2, -1, 1]),
    ]
    figures = branch_figures(found, truths, "viewpoint")
    assert figures.recalls == {"frontal": 1.0, "not_worn": 0.0}
    assert figures.balanced_accuracy == 0.5
    assert figures.boxes == 3
    assert np.isnan(branch_figures(found, truths, "crop").balanced_accuracy)
