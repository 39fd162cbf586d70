"""The instance branch and its rivals: curves by hand, cuts fitted apart from the test, paired differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dprnet.core.errors import BadDataset
from dprnet.evaluate.detection.instances import evaluate_instances, roc
from dprnet.evaluate.detection.methods import by_overlap, by_vectors, instance_branch, showing
from dprnet.evaluate.metrics import clustering_f1
from dprnet.evaluate.picking import evaluate_picking, shown_instances
from dprnet.pick import PickConfig


def vectors_of_truth(video):
    """As good as can be: one direction a garment."""
    shown = shown_instances(video)
    return np.eye(int(shown.max()) + 2, dtype=np.float32)[shown + 1]


def noise(video):
    return np.random.default_rng(len(video.views)).normal(size=(len(video.views), 8)).astype(np.float32)


def test_perfect_vectors_are_perfect_and_noise_is_not(seen):
    test, validation = [seen(seed) for seed in range(3)], [seen(seed) for seed in (7, 8)]
    methods = [by_vectors("truth", vectors_of_truth), by_vectors("noise", noise)]
    best, worst = evaluate_instances(test, validation, methods).methods
    assert (best.f1.value, best.adjusted_rand.value, best.auc) == (1.0, 1.0, 1.0)
    assert 0.4 < worst.auc < 0.6
    assert worst.behind_first is not None
    assert worst.behind_first.low > 0.1
    assert best.behind_first is None
    assert best.roc[0] == (0.0, 0.0)
    assert best.roc[-1] == (1.0, 1.0)


def test_the_curve_equals_picking_without_a_filter(seen):
    videos = [seen(seed, noise=0.8) for seed in range(3)]
    (figures,) = evaluate_instances(videos, videos, [by_vectors("branch", instance_branch, (0.1, 0.3, 0.5))]).methods
    for point in figures.curve:
        shown = [dataclasses.replace(v, detections=v.detections[showing(v)], views=v.views[showing(v)],
                                     ignored=v.ignored[showing(v)]) for v in videos]  # fmt: skip
        config = PickConfig(viewpoint=0, occlusion=0, crop=0, cut_distance=point.cut)
        picking = evaluate_picking(shown, config)
        assert point.f1 == pytest.approx(picking.clustering_f1.value)
        assert point.adjusted_rand == pytest.approx(picking.adjusted_rand.value)


def test_the_cut_is_fitted_on_validation_alone(seen):
    easy, hard = [seen(1, noise=0.01)], [seen(2, noise=1.5)]
    method = by_vectors("branch", instance_branch)
    (one,) = evaluate_instances(hard, easy, [method]).methods
    (other,) = evaluate_instances(easy, easy, [method]).methods
    assert one.cut == other.cut  # whatever the test set
    at = next(point for point in one.curve if point.cut == one.cut)
    assert one.f1.value == pytest.approx(at.f1)
    assert max(point.f1 for point in one.fitted_on) == 1.0


def test_a_tracker_follows_boxes_that_stand_still(seen):
    videos = [seen(seed) for seed in range(2)]
    (figures,) = evaluate_instances(videos, videos, [by_overlap()]).methods
    assert figures.f1.value == 1.0
    assert np.isnan(figures.auc)
    assert figures.roc == ()


def test_clusters_of_two_classes_never_join(seen):
    video = seen(0, garments=3)  # three classes
    ones = by_vectors("same", lambda v: np.ones((len(v.views), 4), np.float32), (1.0,))
    clusters = ones.clusters(video)[0]
    assert clustering_f1(shown_instances(video)[showing(video)], clusters) == 1.0


def test_roc_counts_ties_half():
    area, curve = roc(np.array([0.5, 0.5, 0.5]), np.array([True, False, False]))
    assert area == 0.5
    assert curve == ((0.0, 0.0), (1.0, 1.0))
    assert np.isnan(roc(np.array([0.5]), np.array([True]))[0])


def test_nothing_to_judge_by(seen):
    video = seen(0)
    nothing = dataclasses.replace(video, views=np.full(len(video.views), -1))
    with pytest.raises(BadDataset, match="validation videos: no two detections"):
        evaluate_instances([video], [nothing], [by_overlap()])
