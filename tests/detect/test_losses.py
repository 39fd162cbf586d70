"""Eq. 1-3 by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dprnet.core.config import parse_settings
from dprnet.core.errors import BadRecipe
from dprnet.detect.losses import LossWeights, balanced_cross_entropy, box_loss, cross_entropy_of_labelled, total_loss


def test_equations_1_to_3_add_up():
    terms = {
        "rpn_class": 1.0, "rpn_box": 2.0, "class": 4.0, "box": 8.0,
        "viewpoint": 16.0, "occlusion": 32.0, "crop": 64.0, "instance": 128.0,
    }  # fmt: skip
    terms = {name: torch.tensor(value) for name, value in terms.items()}
    sums = total_loss(terms, LossWeights())
    assert {name: value.item() for name, value in sums.items()} == {
        "frcnn": 15.0, "quality": 112.0, "instance": 128.0, "total": 255.0
    }  # fmt: skip
    assert total_loss(terms, LossWeights(frcnn=2, quality=0.5, instance=0))["total"].item() == 30 + 56
    del terms["instance"]
    assert total_loss(terms, LossWeights())["total"].item() == 127.0


def test_each_branch_has_a_weight_of_its_own():
    terms = {name: torch.tensor(value) for name, value in (("viewpoint", 1.0), ("occlusion", 2.0), ("crop", 4.0))}
    sums = total_loss(terms, LossWeights(viewpoint=3, occlusion=0, crop=0.5, quality=2))
    assert (sums["quality"].item(), sums["total"].item()) == (5.0, 10.0)
    with pytest.raises(BadRecipe, match="crop"):
        parse_settings({"crop": -1}, LossWeights)


def test_cross_entropy_leaves_the_unlabelled_out():
    logits = torch.tensor([[0.0, math.log(3.0)], [5.0, -5.0]])
    assert cross_entropy_of_labelled(logits, torch.tensor([1, -1])).item() == pytest.approx(math.log(4 / 3))
    assert cross_entropy_of_labelled(logits, torch.tensor([-1, -1])).item() == 0.0


def test_a_balanced_class_weighs_as_much_with_few_rows_as_with_many():
    # Two rows of class 0 cost log 2 and log 4, one row of class 1 costs log 8; the last row is unlabelled.
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)], [math.log(7.0), 0.0], [9.0, -9.0]])
    target = torch.tensor([0, 0, 1, -1])
    plain = balanced_cross_entropy(logits, target, 0.0).item()
    assert plain == pytest.approx((math.log(2) + math.log(4) + math.log(8)) / 3)
    whole = balanced_cross_entropy(logits, target, 1.0).item()
    assert whole == pytest.approx(((math.log(2) + math.log(4)) / 2 + math.log(8)) / 2)
    half, root = balanced_cross_entropy(logits, target, 0.5).item(), 2**-0.5
    assert half == pytest.approx((root * (math.log(2) + math.log(4)) + math.log(8)) / (2 * root + 1))
    nobody = balanced_cross_entropy(logits.requires_grad_(), torch.full((4,), -1), 1.0)
    nobody.backward()
    assert nobody.item() == 0.0
    assert not logits.grad.any()


@pytest.mark.parametrize("columns", [1, 2])
def test_box_loss_by_hand(columns):
    # Foreground row 0 of class 1: one coordinate off by 1 -> 1 - beta / 2; background never counts, but divides.
    deltas = torch.full((2, columns, 4), 9.0)
    deltas[0, columns - 1] = torch.tensor([1.0, 0, 0, 0])
    foreground = torch.tensor([True, False])
    loss = box_loss(deltas, torch.zeros(2, 4), torch.tensor([1, 6]), foreground)
    assert loss.item() == pytest.approx((1 - 1 / 18) / 2)
