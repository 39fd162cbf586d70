"""DREML: many small networks, each of which learns another random grouping of the classes."""

from __future__ import annotations

import copy
import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.train.methods.base import Method, Shown, Trunk, total
from dprnet.train.methods.losses import proxy_nll


class DremlSettings(Settings):
    """Deep randomized ensembles for metric learning (Xuan et al. 2018)."""

    members: int = Field(
        default=4, ge=2
    )  # ours: they share the budget; the source trains 12 to 48, each at full length
    meta: int = Field(default=12, ge=2)  # ours: meta-classes a member; the source shows 12 among its best
    scale: float = Field(default=16.0, gt=0)  # ours: of the cosines; the source does not state one


class Dreml(Method):
    """DREML (Xuan et al. 2018): L members; each maps the C classes at random onto M meta-classes and learns softmax
    negative log-likelihood to fixed one-hot proxies; a photo is found by the members' vectors side by side.

    Gaps filled by us: every member is the common backbone with an fc of M outputs ("small members": D is M, not 256);
    members take turns, one batch each, so that together they see the same photos as any other method; each has its own
    random mapping and fc from the same start weights; L, M and the scale.
    """

    meta_of: Tensor

    def __init__(self, trunk: Trunk, classes: int, settings: DremlSettings) -> None:
        first = Trunk(trunk.backbone, settings.meta)
        super().__init__(first)
        self.settings = settings
        self.members = settings.members
        self.others = nn.ModuleList(self._another(first) for _ in range(settings.members - 1))
        self.register_buffer("meta_of", torch.stack([random_map(classes, settings.meta) for _ in range(self.members)]))
        self.now = 0

    @staticmethod
    def _another(first: Trunk) -> Trunk:
        other = copy.deepcopy(first)
        other.fc.reset_parameters()
        return other

    def member(self, number: int) -> Trunk:
        """One of the L networks."""
        if number == 0:
            return self.trunk
        found = self.others[number - 1]
        assert isinstance(found, Trunk)
        return found

    def turn(self, step: int) -> None:
        """Whose batch it is."""
        self.now = step % self.members

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """Of the member whose turn it is."""
        vectors = self._of(self.member(self.now), shown.images)
        return total(classification=proxy_nll(vectors, self.meta_of[self.now][shown.classes], self.settings.scale))

    def vectors(self, images: Tensor) -> Tensor:
        """(B, L x M): the members' vectors side by side, each of the same length, together 1."""
        joined = [self._of(self.member(number), images) for number in range(self.members)]
        return torch.cat(joined, dim=1) / math.sqrt(len(joined))

    @staticmethod
    def _of(member: Trunk, images: Tensor) -> Tensor:
        return functional.normalize(member.features(member.maps(images)[1]), dim=1)


def random_map(classes: int, meta: int) -> Tensor:
    """(C,) a random meta-class of each class; all meta-classes get as many classes, up to one.

    >>> random_map(7, 3).bincount(minlength=3).sort().values.tolist()
    [2, 2, 3]
    """
    return torch.randperm(classes) % meta
