"""VAM + ImgDrop: a map of where the garment is, and feature positions dropped at random by it."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.embed.model import InstanceClassifier
from dprnet.train.methods.base import Method, Shown, Trunk, total
from dprnet.train.methods.losses import random_triplet

WHITE = 245.0  # as in the floor: a pixel whose channels all reach it is ground


class VamSettings(Settings):
    """Visual attention model with Impdrop (Wang et al. 2017)."""

    margin: float = 0.3  # ours: that of every other row
    map_weight: float = Field(default=0.1, ge=0)  # ours; of the loss of the attention map
    filters: int = Field(default=64, ge=1)  # ours; of the branch


class Vam(Method):
    """VAM + ImgDrop (Wang et al. 2017): a branch predicts a clothing attention map; in training each feature position
    is kept with the probability that the map gives it, in use it is multiplied with that probability.

    Gaps filled by us: the source learns the map from pixel masks, which photos of a shop do not have; here the map is
    taught, with a small weight, that white is ground and everything else garment, and learns the rest through the
    kept positions (straight-through). The attended features of the finer map stand beside the global ones before one
    fc. Loss: instance softmax and random triplets (Eq. 5), unit weights.
    """

    def __init__(self, trunk: Trunk, classes: int, settings: VamSettings) -> None:
        super().__init__(trunk)
        self.settings = settings
        self.look = nn.Sequential(
            nn.Conv2d(trunk.fine, settings.filters, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(settings.filters, 1, kernel_size=1),
        )
        self.join = nn.Linear(trunk.size + trunk.fine, trunk.size)
        self.branch = InstanceClassifier(trunk.size, classes)

    def attended(self, fine: Tensor, logits: Tensor, *, drop: bool) -> Tensor:
        """(B, C, h, w) and (B, 1, h, w) -> (B, C) the mean over what is kept."""
        keep = torch.sigmoid(logits)
        if drop:
            # The value is a coin toss, the slope that of its chance.
            keep = torch.bernoulli(keep.detach()) + keep - keep.detach()
        return (fine * keep).sum(dim=(2, 3)) / keep.detach().sum(dim=(2, 3)).clamp_min(1e-3)

    def embed(self, images: Tensor, *, drop: bool) -> tuple[Tensor, Tensor]:
        """(B, D) features and (B, 1, h, w) logits of the map."""
        fine, coarse = self.trunk.maps(images)
        logits = self.look(fine)
        joined = torch.cat([self.trunk.features(coarse), self.attended(fine, logits, drop=drop).float()], dim=1)
        return self.join(joined), logits

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """Softmax, triplets and the map."""
        s = self.settings
        features, logits = self.embed(shown.images, drop=True)
        return total(
            classification=functional.cross_entropy(self.branch(features), shown.classes),
            distance=random_triplet(functional.normalize(features, dim=1), shown.classes, s.margin),
            map=s.map_weight
            * functional.binary_cross_entropy_with_logits(logits, not_white(shown.images, logits.shape[-1])),
        )

    def vectors(self, images: Tensor) -> Tensor:
        """With the chances themselves, nothing is dropped."""
        return functional.normalize(self.embed(images, drop=False)[0], dim=1)


def not_white(images: Tensor, cells: int) -> Tensor:
    """(B, 3, T, T) -> (B, 1, cells, cells) share of each cell's pixels that are not white ground.

    >>> image = torch.full((1, 3, 4, 4), 255.0)
    >>> image[:, :, :2, :2] = 0
    >>> not_white(image, 2)[0, 0].tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    coloured = (images < WHITE).any(dim=1, keepdim=True).float()
    return functional.adaptive_avg_pool2d(coloured, cells)
