"""The terms of the detector's loss and how they add up (paper, Eq. 1-3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from dprnet.core.config import Settings

# Shape legend:  S sampled boxes of a batch   F foreground ones among them   C classes   K boxes a row (1 or C)

FRCNN = ("rpn_class", "rpn_box", "class", "box")  # Eq. 1
QUALITY = ("viewpoint", "occlusion", "crop")  # Eq. 2
INSTANCE = ("instance",)
SMOOTH_L1_BETA = 1 / 9  # torchvision's Faster R-CNN


class LossWeights(Settings):
    """What each part of Eq. 3 weighs, and within Eq. 2 each branch."""

    frcnn: float = Field(default=1.0, ge=0)  # paper, Eq. 3
    quality: float = Field(default=1.0, ge=0)  # paper, Eq. 3
    instance: float = Field(default=1.0, ge=0)  # paper, Eq. 3
    viewpoint: float = Field(default=1.0, ge=0)  # paper, Eq. 2
    occlusion: float = Field(default=1.0, ge=0)  # paper, Eq. 2
    crop: float = Field(default=1.0, ge=0)  # paper, Eq. 2


def cross_entropy_of_labelled(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the rows that somebody labelled.

    Args:
        logits: (F, C).
        target: (F,) class, or -1 where nobody knows; such rows add nothing to value or gradient.

    Returns:
        Scalar; 0, still part of the graph, where no row is labelled.

    >>> cross_entropy_of_labelled(torch.zeros(2, 4), torch.tensor([3, -1])).item() == torch.tensor(4.0).log().item()
    True
    """
    summed = functional.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
    return summed / (target >= 0).sum().clamp(min=1)


def balanced_cross_entropy(logits: Tensor, target: Tensor, balance: float) -> Tensor:
    """Cross-entropy in which a row of a class with n labelled rows weighs n ** -balance.

    Slight occlusion is many times as common as medium: where rows weigh alike, a branch does well by seldom saying
    medium. Classes are counted in the batch, so nothing has to be known of the sets beforehand (ours).

    Args:
        logits: (F, C).
        target: (F,) class, or -1 where nobody knows.
        balance: 0: :func:`cross_entropy_of_labelled`; 1: the mean of the means of the classes present.

    >>> logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [50.0, 0.0]])
    >>> round(balanced_cross_entropy(logits, torch.tensor([0, 0, 1]), 1.0).item(), 2)
    25.35
    """
    if not balance:
        return cross_entropy_of_labelled(logits, target)
    counts = torch.bincount(target[target >= 0], minlength=logits.shape[1]).to(logits)
    weights = counts.clamp(min=1) ** -balance
    summed = functional.cross_entropy(logits, target, weights, ignore_index=-1, reduction="sum")
    return summed / (counts * weights).sum().clamp(min=torch.finfo(logits.dtype).tiny)


def box_loss(deltas: Tensor, target: Tensor, labels: Tensor, foreground: Tensor) -> Tensor:
    """Smooth-L1 of the foreground boxes, divided by the number of sampled boxes (Fast R-CNN, as torchvision).

    Args:
        deltas: (S, K, 4) predicted; K is 1, or C with one box a class.
        target: (S, 4) wanted.
        labels: (S,) class of each row.
        foreground: (S,) True where the row shows a garment.
    """
    chosen = deltas[foreground]
    column = labels[foreground] if deltas.shape[1] > 1 else torch.zeros_like(labels[foreground])
    chosen = chosen[torch.arange(len(chosen), device=chosen.device), column]
    summed = functional.smooth_l1_loss(chosen, target[foreground], beta=SMOOTH_L1_BETA, reduction="sum")
    return summed / max(len(labels), 1)


def total_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> dict[str, Tensor]:
    """``frcnn`` (Eq. 1), ``quality`` (Eq. 2), ``instance`` and their weighted sum ``total`` (Eq. 3).

    In ``quality`` each branch counts with its own weight. Terms that a network does not have count as nothing.

    >>> ones = {name: torch.tensor(1.0) for name in (*FRCNN, *QUALITY, *INSTANCE)}
    >>> {name: term.item() for name, term in total_loss(ones, LossWeights(quality=0.5)).items()}
    {'frcnn': 4.0, 'quality': 3.0, 'instance': 1.0, 'total': 6.5}
    """
    zero = next(iter(terms.values())).new_zeros(())
    groups = {"frcnn": FRCNN, "quality": QUALITY, "instance": INSTANCE}
    branch = {name: getattr(weights, name) for name in QUALITY}
    sums = {
        group: torch.stack([terms[name] * branch.get(name, 1.0) for name in names if name in terms] or [zero]).sum()
        for group, names in groups.items()
    }
    sums["total"] = torch.stack([sums[group] * getattr(weights, group) for group in groups]).sum()
    return sums
