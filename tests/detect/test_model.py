"""Losses and detections of the whole network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.detect.losses import LossWeights, total_loss
from dprnet.detect.model import DetectorNetwork, ProposalConfig, build_proposals, fit

TERMS = {"rpn_class", "rpn_box", "class", "box", "viewpoint", "occlusion", "crop", "instance"}


def test_every_term_reaches_its_weights(network, picture, truth):
    network.train()
    terms = network.losses([picture, picture[:, :50]], [truth(), truth(boxes=[(5, 5, 45, 45)])])
    assert set(terms) == TERMS
    total_loss(terms, LossWeights())["total"].backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("name", ["viewpoint", "instance"])
def test_unlabelled_truth_trains_no_branch(network, picture, truth, name):
    network.train()
    terms = network.losses([picture], [truth(**{name: [-1, -1]})])
    assert terms[name].item() == 0
    terms[name].backward()
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in network.parameters())


@pytest.mark.parametrize("ignore", [(), [(0, 0, 64, 64)]])
def test_an_image_without_garments_gives_finite_losses(network, picture, truth, ignore):
    network.train()
    terms = network.losses([picture], [truth(boxes=[], ignore=ignore)])
    assert all(torch.isfinite(term) for term in terms.values())
    total_loss(terms, LossWeights())["total"].backward()


def test_without_training_instances_there_is_no_instance_term(config, picture, truth):
    network = DetectorNetwork(config.model_copy(update={"instances": 0})).train()
    assert set(network.losses([picture], [truth()])) == TERMS - {"instance"}


def test_branches_see_survivors_only(network, picture):
    network.eval()
    rows = []
    network.boxes.heads["crop"].register_forward_hook(lambda _module, inputs, _output: rows.append(len(inputs[0])))
    found = network.detections([picture, picture[:, :40]], score_threshold=0.0)
    assert rows == [sum(len(garments.boxes) for garments in found)]
    assert 0 < len(found[0].boxes) <= 5
    for garments, (height, width) in zip(found, ((64, 64), (40, 64)), strict=True):
        n = len(garments.boxes)
        assert garments.answers["viewpoint"].shape == (n, 3)
        assert garments.answers["instance"].shape == (n, 12)
        assert (garments.boxes >= 0).all()
        assert (garments.boxes <= torch.tensor([width, height, width, height])).all()
        assert (garments.scores[:-1] >= garments.scores[1:]).all()


def test_nothing_above_the_threshold(network, picture):
    found = network.eval().detections([picture], score_threshold=1.0)
    assert len(found[0].boxes) == 0
    assert found[0].answers["instance"].shape == (0, 12)


def test_non_finite_weights_are_noticed(network, picture):
    network.eval()
    with torch.no_grad():
        network.backbone.pyramid.layer_blocks[0][0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="map 4"):
        network.detections([picture])


def test_the_same_input_gives_the_same_numbers(network, picture):
    network.eval()
    first, second = (network.detections([picture, picture], score_threshold=0.0) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.answers["instance"], b.answers["instance"])


def test_fit_keeps_what_fits_and_smooths_what_shrinks(picture):
    assert fit(picture, 64, 128) is picture
    stripes = np.zeros((3, 128, 128), np.uint8)
    stripes[:, :, ::2] = 200
    small = fit(torch.from_numpy(stripes), 32, 64)
    assert small.shape == (3, 32, 32)
    assert small[:, 4:-4, 4:-4].float().std() < 10  # not aliased into 0 and 200


def test_levels_and_sizes_must_agree(config):
    with pytest.raises(ValueError, match="needs 3 levels"):
        build_proposals(config.model_copy(update={"proposals": ProposalConfig(sizes=((8,), (16,)))}))
