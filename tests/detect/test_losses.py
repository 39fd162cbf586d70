"""Eq. 1-3 by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dprnet.core.config import parse_settings
from dprnet.core.errors import BadRecipe
from dprnet.detect.losses import LossWeights, box_loss, cross_entropy_of_labelled, total_loss


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


@pytest.mark.parametrize("columns", [1, 2])
def test_box_loss_by_hand(columns):
    # Foreground row 0 of class 1: one coordinate off by 1 -> 1 - beta / 2; background never counts, but divides.
    deltas = torch.full((2, columns, 4), 9.0)
    deltas[0, columns - 1] = torch.tensor([1.0, 0, 0, 0])
    foreground = torch.tensor([True, False])
    loss = box_loss(deltas, torch.zeros(2, 4), torch.tensor([1, 6]), foreground)
    assert loss.item() == pytest.approx((1 - 1 / 18) / 2)
