"""GSN: training as a search in a grid, and a transform of the embedding that is learned by reward."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.train.methods.base import Method, Shown, Trunk, total
from dprnet.train.methods.losses import draw_grid, found_share, grid_search


class GsnSettings(Settings):
    """Grid Search Network (Chopra et al. 2019)."""

    cells: int = Field(default=16, ge=2)  # ours: a grid of 4 x 4
    temperature: float = Field(default=0.1, gt=0)  # ours
    spread: float = Field(default=0.1, gt=0)  # ours: standard deviation of the tried transforms
    tries: int = Field(default=8, ge=2)  # ours: transforms tried a batch


class Gsn(Method):
    """GSN (Chopra et al. 2019): for a reference photo the network must point at its matches in a grid of positives and
    negatives; a transform of the embedding is then learned by reinforcement.

    The public description leaves nearly all of it open. Filled by us: the grid holds the reference's positives of the
    batch and random negatives, in random places; the search is a softmax over the cosines with the cells, and its loss
    the cross-entropy with where the matches are. The transform is one factor per number of the embedding,
    ``f * exp(w)``; the policy draws w from a normal distribution whose mean is learned by REINFORCE, the reward is the
    share of the matches among the best cells, less the mean over the tries (the baseline); only the transform learns
    from the reward, only the network from the search.
    """

    def __init__(self, trunk: Trunk, settings: GsnSettings) -> None:
        super().__init__(trunk)
        self.settings = settings
        self.transform = nn.Parameter(torch.zeros(trunk.size))

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """The search, and the policy's surrogate (its slope is that of the expected reward; its value says nothing)."""
        features = self.trunk.features(self.trunk.maps(shown.images)[1])
        rows, cells, matches = draw_grid(shown.classes, self.settings.cells)
        if not len(rows):
            return total(search=0 * features.sum())
        vectors = functional.normalize(features * self.transform.detach().exp(), dim=1)
        similarity = (vectors[rows][:, None] * vectors[cells]).sum(dim=2)
        search = grid_search(similarity, matches, self.settings.temperature)
        return total(search=search, policy=self.policy(features.detach(), rows, cells, matches))

    def policy(self, features: Tensor, rows: Tensor, cells: Tensor, matches: Tensor) -> Tensor:
        """``-sum (reward - baseline) log p(w)`` over the tries, divided by their number."""
        s = self.settings
        noise = s.spread * torch.randn(s.tries, len(self.transform), device=features.device)
        tried = (self.transform.detach() + noise).exp()
        vectors = functional.normalize(features[None] * tried[:, None], dim=2)
        similarity = (vectors[:, rows][:, :, None] * vectors[:, cells]).sum(dim=3)
        rewards = torch.stack([found_share(one, matches).mean() for one in similarity])
        chance = -((tried.log() - self.transform) ** 2).sum(dim=1) / (2 * s.spread**2)
        return -((rewards - rewards.mean()) * chance).sum() / s.tries

    def vectors(self, images: Tensor) -> Tensor:
        """Transformed, of length 1."""
        features = self.trunk.features(self.trunk.maps(images)[1])
        return functional.normalize(features * self.transform.exp(), dim=1)
