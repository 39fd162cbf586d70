"""FashionNet: features pooled at predicted landmarks, gated by whether each is visible."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.embed.model import InstanceClassifier
from dprnet.train.methods.base import Method, Shown, Trunk, total
from dprnet.train.methods.losses import random_triplet

VISIBLE = 2  # state of a landmark, as in DeepFashion2; 1 hidden, 0 unknown


class FashionNetSettings(Settings):
    """FashionNet (Liu et al. 2016)."""

    margin: float = 0.3  # ours: that of every other row
    filters: int = Field(default=64, ge=1)  # ours; of the landmark branch
    landmark_weight: float = Field(default=1.0, ge=0)  # ours; of positions and visibility
    attribute_weight: float = Field(default=1.0, ge=0)  # ours


class FashionNet(Method):
    """FashionNet (Liu et al. 2016): a global branch beside a branch pooled around predicted landmarks, whose visibility
    gates it; instance softmax, attribute cross-entropy and triplets.

    Gaps filled by us: landmarks are the centres of mass of softmax maps, visibility a logit of the branch's mean; the
    local features are the finer map sampled at each landmark (the source pools a region around it), multiplied with
    the chance that it is visible; everything is trained at once (the source alternates). Landmarks and attributes are
    known for garments of the made-up world alone; on other photos these terms are left out.
    """

    wants_marks = True

    def __init__(
        self, trunk: Trunk, classes: int, attributes: int, landmarks: int, settings: FashionNetSettings
    ) -> None:
        super().__init__(trunk)
        self.settings = settings
        self.look = nn.Sequential(nn.Conv2d(trunk.fine, settings.filters, kernel_size=3, padding=1), nn.ReLU())
        self.where = nn.Conv2d(settings.filters, landmarks, kernel_size=1)
        self.visible = nn.Linear(settings.filters, landmarks)
        self.join = nn.Linear(trunk.size + landmarks * trunk.fine, trunk.size)
        self.branch = InstanceClassifier(trunk.size, classes)
        self.attributes = nn.Linear(trunk.size, attributes) if attributes else None

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, D) features, (B, L, 2) predicted landmarks in [-1, 1], (B, L) logits of their visibility."""
        fine, coarse = self.trunk.maps(images)
        seen = self.look(fine)
        points, logits = centres_of_mass(self.where(seen).float()), self.visible(seen.mean(dim=(2, 3))).float()
        sampled = functional.grid_sample(fine.float(), points[:, :, None], align_corners=False)[..., 0]
        gated = sampled * torch.sigmoid(logits)[:, None]
        return self.join(torch.cat([self.trunk.features(coarse), gated.flatten(1)], dim=1)), points, logits

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """Softmax and triplets, and what is known of landmarks and attributes."""
        s = self.settings
        features, points, logits = self.embed(shown.images)
        terms = {
            "classification": functional.cross_entropy(self.branch(features), shown.classes),
            "distance": random_triplet(functional.normalize(features, dim=1), shown.classes, s.margin),
        }
        if shown.landmarks is not None:
            terms["landmarks"] = s.landmark_weight * landmark_loss(points, logits, shown.landmarks)
        if shown.attributes is not None and self.attributes is not None:
            terms["attributes"] = s.attribute_weight * attribute_loss(self.attributes(features), shown.attributes)
        return total(**terms)

    def vectors(self, images: Tensor) -> Tensor:
        """Global and local features joined, of length 1."""
        return functional.normalize(self.embed(images)[0], dim=1)


def centres_of_mass(maps: Tensor) -> Tensor:
    """(B, L, h, w) logits -> (B, L, 2) x and y of each map's softmax, in [-1, 1] as torch's grids count.

    >>> maps = torch.full((1, 1, 2, 2), -50.0)
    >>> maps[0, 0, 1, 0] = 50.0  # the cell at the lower left
    >>> centres_of_mass(maps).tolist()
    [[[-0.5, 0.5]]]
    """
    height, width = maps.shape[-2:]
    share = maps.flatten(2).softmax(dim=2).view(maps.shape)
    x = (2 * torch.arange(width, device=maps.device) + 1) / width - 1
    y = (2 * torch.arange(height, device=maps.device) + 1) / height - 1
    return torch.stack([(share.sum(dim=2) * x).sum(dim=2), (share.sum(dim=3) * y).sum(dim=2)], dim=2)


def landmark_loss(points: Tensor, logits: Tensor, truth: Tensor) -> Tensor:
    """Squared distance of visible landmarks and cross-entropy of their visibility, each the mean over what is known.

    Args:
        points: (B, L, 2) predicted.
        logits: (B, L) of being visible.
        truth: (B, L, 3) x, y, state.

    >>> truth = torch.tensor([[[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]])
    >>> round(landmark_loss(torch.tensor([[[1.0, 1.0], [9.0, 9.0]]]), torch.zeros(1, 2), truth).item(), 4)  # 2 + log 2
    2.6931
    """
    state = truth[..., 2]
    known, seen = state > 0, state == VISIBLE
    apart = (points - truth[..., :2]).square().sum(dim=2)
    wrong = functional.binary_cross_entropy_with_logits(logits, seen.to(logits), reduction="none")
    return _mean(apart, seen) + _mean(wrong, known)


def attribute_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy, (B, A) twice, the mean over what is known (-1 is not).

    >>> round(attribute_loss(torch.zeros(1, 2), torch.tensor([[1.0, -1.0]])).item(), 4)
    0.6931
    """
    each = functional.binary_cross_entropy_with_logits(logits, truth.clamp_min(0), reduction="none")
    return _mean(each, truth >= 0)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return (values * known).sum() / known.sum().clamp_min(1)
