"""What the methods of Table 2 share: the trunk they all stand on, the batch they all see, the two calls they answer.

Shape legend
    B  photos of a batch    T  side of the square the network sees    C  channels    h, w  cells of a feature map
    D  numbers of an embedding    L  landmarks    A  attributes    n  pairs
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from dprnet.embed.backbone import Backbone

STRIDES = (16, 32)  # ours: local methods look at the finer map, 8 x 8 cells of a photo of 128 pixels


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One training batch as the network sees it."""

    images: Tensor
    """(B, 3, T, T) float in [0, 255], augmented."""
    classes: Tensor
    """(B,) training instance of each, in [0, N)."""
    landmarks: Tensor | None = None
    """(B, L, 3): x and y in [-1, 1] over the square, and 2 visible, 1 hidden, 0 unknown; only for methods that ask."""
    attributes: Tensor | None = None
    """(B, A): 1 has it, 0 has it not, -1 unknown; only for methods that ask."""


class Trunk(nn.Module):
    """Backbone, global average pooling, fc: figure 4 of the paper, and what every method begins from.

    Args:
        backbone: gives two feature maps, the finer first (see STRIDES).
        size: D.
    """

    def __init__(self, backbone: Backbone, size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fine, self.coarse = backbone.channels
        self.size = size
        self.fc = nn.Linear(self.coarse, size)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) of the finer and of the coarser stride."""
        fine, coarse = self.backbone(images)
        return fine, coarse

    def features(self, coarse: Tensor) -> Tensor:
        """(B, D) of the coarser map, before normalisation."""
        found: Tensor = self.fc(coarse.mean(dim=(2, 3)))
        return found.float()


class Method(nn.Module):
    """One row of Table 2: the losses of a batch, and the vector by which a photo is found."""

    wants_marks: ClassVar[bool] = False
    """Whether it learns from landmarks and attributes."""
    members: int = 1
    """Networks among which the budget is divided."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """The terms of the loss and, as ``total``, what is to be made small."""
        raise NotImplementedError

    def vectors(self, images: Tensor) -> Tensor:
        """(B, 3, T, T) -> (B, D) of length 1."""
        return functional.normalize(self.trunk.features(self.trunk.maps(images)[1]), dim=1)

    def turn(self, step: int) -> None:
        """Told the step before each batch; an ensemble trains one member after the other."""
        del step


class PairMethod(Method):
    """A method that compares two photos; it orders the short list that its vectors found."""

    def local(self, images: Tensor) -> Tensor:
        """(B, 3, T, T) -> (B, ...) what :meth:`compare` needs of each photo."""
        raise NotImplementedError

    def compare(self, queries: Tensor, items: Tensor) -> Tensor:
        """Two equal numbers of :meth:`local` -> (n,) how alike each pair is; higher is more."""
        raise NotImplementedError


def total(**terms: Tensor) -> dict[str, Tensor]:
    """Terms of a loss with their sum as ``total``.

    >>> sorted(total(a=torch.tensor(1.0), b=torch.tensor(2.0)))
    ['a', 'b', 'total']
    """
    return terms | {"total": torch.stack(list(terms.values())).sum()}


Make = Callable[[Trunk, int], Method]
"""Trunk and number of training instances -> method."""
