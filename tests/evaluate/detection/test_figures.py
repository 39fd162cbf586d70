"""Average precision and balanced accuracy against values found by hand."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.core.errors import BadDataset
from dprnet.core.records import Detections, Truth
from dprnet.evaluate.detection import branch_figures, coco_precision, detection_figures
from dprnet.evaluate.detection.precision import IOUS, average_precisions, coco_results, coco_truth
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


def record(drawn, random):
    truths = [truth([b for b, _ in t], [c for _, c in t], ignore) for t, _, ignore in drawn]
    ranks = iter(random.sample(range(1, 1000), 30))
    found = [seen([b for b, _ in d], [c for _, c in d], [next(ranks) / 1000 for _ in d]) for _, d, _ in drawn]
    return found, truths


@settings(max_examples=25, deadline=None)
@given(images, st.randoms(use_true_random=False))
def test_our_precision_equals_that_of_the_reference(drawn, random):
    found, truths = record(drawn, random)
    if not any(len(t) for t in truths):
        return
    once = np.ones((1, len(truths)), np.int64)
    ours = np.stack([average_precisions(found, truths, label, once)[:, 0] for label in range(6)], axis=1)
    np.testing.assert_allclose(ours, coco_precision(found, truths).mean(axis=1), atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(images, st.randoms(use_true_random=False))
def test_pycocotools_gives_the_same_precision(drawn, random):
    """The faster evaluator against COCO's own."""
    coco = pytest.importorskip("pycocotools.coco", reason="the cross-check needs pycocotools")
    from pycocotools.cocoeval import COCOeval

    found, truths = record(drawn, random)
    if not coco_results(found) or not any(len(t) for t in truths):
        return
    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = coco_truth(truths)
        reference.createIndex()
        evaluation = COCOeval(reference, reference.loadRes(coco_results(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    theirs = evaluation.eval["precision"][:, :, :, 0, -1]
    ours = coco_precision(found, truths)
    assert evaluation.params.iouThrs.round(2).tolist() == IOUS.tolist()
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1), theirs, atol=1e-6)


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


def test_reliability_and_confusion_by_hand():
    sure, unsure = [0.9, 0.1, 0.0], [0.3, 0.7, 0.0]
    found = [seen([A, B, FAR], [0, 2, 2], [0.9] * 3, [sure, sure, unsure])]
    truths = [truth([A, B, FAR], [0, 2, 2], viewpoint=[0, 1, 1])]
    figures = branch_figures(found, truths, "viewpoint", samples=20)
    assert figures.confusion == ((1, 0, 0), (1, 1, 0), (0, 0, 0))
    bars = {bar.low: bar for bar in figures.reliability if bar.boxes}
    assert {low: (bar.boxes, bar.good) for low, bar in bars.items()} == {0.3: (1, 0.0), 0.9: (2, 0.5)}
    assert figures.calibration_error == pytest.approx((2 * 0.4 + 1 * 0.3) / 3)
    assert figures.brier == pytest.approx((0.1**2 + 0.9**2 + 0.3**2) / 3)
    assert figures.interval == (0.75, 0.75)  # one image: every sample is the same


def test_splits_count_only_their_own_boxes():
    found = [seen([A, FAR], [0, 0], [0.9, 0.8])]
    truths = [truth([A, B, FAR], [0, 0, 0], occlusion=[0, 0, 2], viewpoint=[0, -1, -1])]
    figures = detection_figures(found, truths, bootstrap=5)
    assert set(figures.splits) == {"occlusion slight", "occlusion heavy", "viewpoint frontal"}
    rows = {name: (row.boxes, round(row.ap50, 3)) for name, row in figures.splits.items()}
    assert rows["occlusion heavy"] == (1, 1.0)
    assert rows["occlusion slight"] == (2, round(51 / 101, 3))  # one of two; the third is set aside
    assert rows["viewpoint frontal"] == (1, 1.0)


def test_a_false_box_is_wrong_in_every_split():
    found = [seen([[200, 200, 220, 230], A], [0, 0], [0.9, 0.8])]
    figures = detection_figures(found, [truth([A], [0], occlusion=[0])], bootstrap=5)
    assert figures.splits["occlusion slight"].ap50 == pytest.approx(0.5)


def test_faults_are_sorted_and_bystanders_counted_apart():
    near_b = [14, 0, 24, 30]  # shares less than half with B
    found = [
        seen(
            [A, A, B, near_b, FAR, [300, 300, 320, 330], [150, 0, 160, 10]],
            [0, 0, 5, 2, 2, 2, 1],
            [0.9, 0.8, 0.9, 0.9, 0.9, 0.4, 0.9],
        )
    ]
    figures = detection_figures(found, [truth([A, B], [0, 2], ignore=[[140, 0, 170, 20]])], bootstrap=5)
    assert vars(figures.faults) == {
        "right": 1, "set_aside": 1, "duplicate": 1, "other_class": 1, "poor_box": 1, "apart": 1, "missed": 1
    }  # fmt: skip


def test_bystanders_do_not_lower_the_figure_without_them():
    found = [seen([FAR, A], [0, 0], [0.9, 0.8])]
    figures = detection_figures(found, [truth([A], [0])], bootstrap=5)
    assert (figures.ap50, figures.ap50_without_apart) == (pytest.approx(0.5), 1.0)


def test_front_and_back_of_shop_photos(tmp_path):
    from PIL import Image as Pil

    from dprnet.data.labelled import Photo
    from dprnet.evaluate.detection import front_back

    Pil.new("RGB", (32, 32)).save(tmp_path / "a.png")
    photos = [Photo(tmp_path / "a.png", None, "a", 0, "shop", viewpoint) for viewpoint in (0, 0, 1, 1, -1)]
    front, back = [[0.9, 0.1, 0.0]], [[0.2, 0.8, 0.0]]
    answers = [
        seen([A, A], [0, 0], [0.3, 0.9], [back[0], front[0]]),  # right, by the surer of two
        seen([A], [2], [0.9], front),  # another class: not found, so wrong
        seen([A], [0], [0.9], back),
        seen([], [], []),  # not found
    ]
    figures = front_back(lambda frames: (answers[frame.index] for frame in frames), photos)
    assert figures.recalls == {"frontal": 0.5, "side_or_back": 0.5}
    assert (figures.boxes, figures.confusion) == (4, ((1, 1), (1, 1)))
