"""Sampling, ignore regions and suppression."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.roi_heads import RoIHeads

from dprnet.detect.boxhead import BoxStage, in_ignored


def targets(network, truth):
    return network._target(truth)


def test_our_own_heads():
    assert not issubclass(BoxStage, RoIHeads)


def test_half_of_the_box_must_lie_in_the_region():
    region = torch.tensor([[0.0, 0, 10, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 20], [0.0, 0, 10, 20.1], [2.0, 2, 4, 4], [50.0, 50, 60, 60]])
    assert in_ignored(boxes, region).tolist() == [True, False, True, False]
    assert in_ignored(boxes, torch.zeros(0, 4)).tolist() == [False] * 4
    assert in_ignored(torch.zeros(0, 4), region).shape == (0,)


def test_proposals_in_ignored_regions_are_not_background(network, truth):
    target = targets(network, truth(boxes=[(0, 0, 20, 20)], ignore=[(30, 0, 64, 64)]))
    proposals = torch.tensor([[32.0, 2, 60, 60], [0, 30, 20, 60], [1, 1, 20, 20]])
    assert network.boxes._match(proposals, target).tolist() == [-2, -1, 0]
    boxes, sampled = network.boxes.sample([proposals], [target])
    kept = {tuple(box) for box in boxes[0].tolist()}
    assert (32.0, 2.0, 60.0, 60.0) not in kept
    assert (0.0, 30.0, 20.0, 60.0) in kept
    assert sampled.labels.tolist().count(network.boxes.classes) == 1


def test_a_garment_in_an_ignored_region_stays_a_garment(network, truth):
    target = targets(network, truth(boxes=[(0, 0, 20, 20)], ignore=[(0, 0, 64, 64)]))
    assert network.boxes._match(torch.tensor([[0.0, 0, 20, 20], [20, 20, 60, 60]]), target).tolist() == [0, -2]
    anchors = torch.tensor([[0.0, 0, 20, 20], [20, 20, 60, 60]])
    labels, _ = network.proposals.assign_targets_to_anchors([anchors], [target])
    assert labels[0].tolist() == [1.0, -1.0]


def test_sampled_truth_follows_its_boxes(network, truth):
    one = truth(boxes=[(0, 0, 20, 20), (30, 30, 60, 60)], labels=[3, 5], viewpoint=[1, -1], instance=[4, 6])
    none = truth(boxes=[])
    proposals = [torch.tensor([[31.0, 31, 60, 60], [0, 40, 10, 60]]), torch.tensor([[5.0, 5, 30, 30]])]
    boxes, sampled = network.boxes.sample(proposals, [targets(network, one), targets(network, none)])
    assert [len(part) for part in boxes] == [4, 1]
    assert sampled.labels.tolist() == [5, 3, 5, 6, 6] or sorted(sampled.labels.tolist()) == [3, 5, 5, 6, 6]
    assert sampled.foreground.sum() == 3
    shown = torch.cat(boxes)[sampled.foreground]
    for box, label, view, instance in zip(
        shown, sampled.labels[sampled.foreground], sampled.views["viewpoint"], sampled.views["instance"], strict=True
    ):
        assert (label, view, instance) == ((3, 1, 4) if box[0] < 20 else (5, -1, 6))


def test_suppression_within_and_between_classes(network):
    stage = network.boxes
    proposals = torch.tensor([[0.0, 0, 30, 30], [1.0, 0, 30, 30], [40.0, 40, 60, 60], [40.0, 40, 60, 60]])
    chances = torch.zeros(4, 6)
    chances[0, 0], chances[1, 0], chances[2, 1], chances[3, 2] = 0.9, 0.8, 0.7, 0.6
    nothing = torch.zeros(4, 6, 4)
    _, labels, scores = stage._survivors(proposals, chances, nothing, (64, 64), 0.05)
    assert labels.tolist() == [0, 1, 2]
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    stage.config = stage.config.model_copy(update={"suppress_classes_iou": 0.9})
    assert stage._survivors(proposals, chances, nothing, (64, 64), 0.05)[1].tolist() == [0, 1]
    assert stage._survivors(proposals, chances, nothing, (64, 64), 0.95)[1].tolist() == []
    # Asked below the threshold at which the detector works, it tells the second class too, with the threshold's share.
    stage.config = stage.config.model_copy(update={"score_threshold": 0.3})
    _, labels, scores = stage._survivors(proposals, chances, nothing, (64, 64), 0.05)
    assert labels.tolist() == [0, 1, 2]
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.6 * 0.3])
    assert stage._survivors(proposals, chances, nothing, (64, 64), 0.3)[1].tolist() == [0, 1]
