"""The heads of figure 3 in the paper's size, and what they learn from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dprnet.detect.heads import BoxRegressionHead, ClassHead, InstanceBranch, Sampled, ScoringBranch
from dprnet.detect.model import DetectorConfig, build_features, build_heads


@pytest.fixture(scope="module")
def paper():
    with torch.device("meta"):  # sizes alone: the real weights are 90 million numbers
        return build_heads(DetectorConfig(instances=43_000)), build_features(DetectorConfig())


def test_scoring_branches_in_the_papers_size(paper):
    heads, _ = paper
    for name, classes in {"viewpoint": 3, "occlusion": 3, "crop": 2}.items():
        convolutions = [layer for layer in heads[name].modules() if isinstance(layer, nn.Conv2d)]
        assert [(c.kernel_size, c.out_channels) for c in convolutions] == [((3, 3), 1024)] * 4
        assert (heads[name].fc.in_features, heads[name].fc.out_features) == (1024, classes)


def test_instance_branch_in_the_papers_size(paper):
    heads, features = paper
    layers = [layer for layer in heads["instance"].modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 3
    assert layers[0].in_features == 1024 == features.fc2.out_features
    assert layers[1].out_features == layers[2].in_features == 256
    assert layers[2].out_features == 43_000


def test_class_and_box_heads(paper):
    heads, _ = paper
    assert heads["class"].fc.out_features == 6 + 1
    assert heads["box"].fc.out_features == 6 * 4
    assert ClassHead(5, 6)(torch.zeros(3, 5)).shape == (3, 7)
    assert BoxRegressionHead(5, 6)(torch.zeros(3, 5)).shape == (3, 6, 4)
    assert BoxRegressionHead(5, 6)(torch.zeros(0, 5)).shape == (0, 6, 4)


def test_embedding_is_the_output_of_the_last_but_one_layer():
    branch = InstanceBranch(8, 8, 4, instances=3)
    caught = []
    branch.fc2.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    features = torch.randn(5, 8)
    assert branch(features).shape == (5, 3)
    assert torch.equal(branch.answer(features), caught[0])


def test_cosine_logits_stay_within_the_scale():
    branch = InstanceBranch(8, 8, 4, instances=3, cosine_scale=16.0)
    logits = branch(torch.randn(50, 8) * 100)
    assert logits.abs().max() <= 16.001
    assert not torch.allclose(logits, torch.zeros(1))


def test_scores_are_probabilities():
    answer = ScoringBranch("crop", 4, 8, 2).answer(torch.randn(3, 4, 7, 7))
    torch.testing.assert_close(answer.sum(dim=1), torch.ones(3))


@pytest.mark.parametrize("name", ["viewpoint", "instance"])
def test_unlabelled_boxes_have_no_gradient(name):
    head = ScoringBranch(name, 4, 8, 3) if name == "viewpoint" else InstanceBranch(4, 8, 4, 3)
    inputs = (torch.randn(3, 4, 7, 7) if name == "viewpoint" else torch.randn(3, 4)).requires_grad_()
    sampled = Sampled(torch.zeros(3), torch.zeros(3, 4), torch.ones(3).bool(), {name: torch.tensor([-1, 2, -1])})
    head.loss(head(inputs), sampled).backward()
    per_row = inputs.grad.flatten(1).abs().sum(dim=1)
    assert per_row[0] == per_row[2] == 0
    assert per_row[1] > 0


def test_a_batch_without_any_label_gives_zero_not_nan():
    head = ScoringBranch("crop", 4, 8, 2)
    for rows, target in ((2, torch.tensor([-1, -1])), (0, torch.zeros(0, dtype=torch.int64))):
        sampled = Sampled(torch.zeros(rows), torch.zeros(rows, 4), torch.ones(rows).bool(), {"crop": target})
        loss = head.loss(head(torch.randn(rows, 4, 7, 7)), sampled)
        loss.backward()
        assert loss.item() == 0
    assert all(parameter.grad.abs().sum() == 0 for parameter in head.parameters())
