"""KPM: one photo's feature map is warped onto the other's before they are compared."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.embed.model import InstanceClassifier
from dprnet.train.methods.base import PairMethod, Shown, Trunk, total
from dprnet.train.methods.losses import draw_pairs, pair_loss, random_triplet


class KpmSettings(Settings):
    """Kronecker-product matching (Shen et al. 2018)."""

    channels: int = Field(default=64, ge=1)  # ours: of the maps that are compared
    temperature: float = Field(default=0.1, gt=0)  # ours: of the softmax over positions, on cosines
    margin: float = 0.3  # ours: of the embedding that makes the short list


class PairBase(PairMethod):
    """What KPM and GRNet share: an embedding that makes the short list, and pairs of a batch to compare.

    Gap filled by us, for both: the public descriptions train on pairs alone and compare all pairs at test. Here the
    embedding of the short list is trained in the same run, by instance softmax and random triplets (Eq. 5), on the
    backbone that the comparison uses too.
    """

    def __init__(self, trunk: Trunk, classes: int, margin: float) -> None:
        super().__init__(trunk)
        self.margin = margin
        self.branch = InstanceClassifier(trunk.size, classes)

    def reduced(self, fine: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, ...) what :meth:`compare` takes."""
        raise NotImplementedError

    def local(self, images: Tensor) -> Tensor:
        """Of the finer map."""
        return self.reduced(self.trunk.maps(images)[0])

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """Softmax and triplets of the embedding, binary cross-entropy of the pairs."""
        fine, coarse = self.trunk.maps(shown.images)
        features = self.trunk.features(coarse)
        vectors = functional.normalize(features, dim=1)
        terms = {
            "classification": functional.cross_entropy(self.branch(features), shown.classes),
            "distance": random_triplet(vectors, shown.classes, self.margin),
        }
        first, second, right = draw_pairs(vectors, shown.classes)
        if len(first):
            maps = self.reduced(fine)
            terms["pairs"] = pair_loss(self.compare(maps[first], maps[second]), right)
        return total(**terms)


class Kpm(PairBase):
    """KPM (Shen et al. 2018): the similarity of all pairs of positions of two maps, a softmax over one photo's
    positions, that photo warped onto the other, the squared difference pooled, batch normalisation, fc of two.

    Gaps filled by us: a 1 x 1 convolution to fewer channels first; cosines and a temperature in the softmax; the score
    is the difference of the two outputs. The original adds a hourglass of several scales, left out here.
    """

    def __init__(self, trunk: Trunk, classes: int, settings: KpmSettings) -> None:
        super().__init__(trunk, classes, settings.margin)
        self.settings = settings
        self.reduce = nn.Conv2d(trunk.fine, settings.channels, kernel_size=1)
        self.norm = nn.BatchNorm1d(settings.channels)
        self.fc = nn.Linear(settings.channels, 2)

    def reduced(self, fine: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, channels, h w)."""
        found: Tensor = self.reduce(fine)
        return found.flatten(2).float()

    def compare(self, queries: Tensor, items: Tensor) -> Tensor:
        """(n, channels, h w) twice -> (n,)."""
        apart = (queries - warped(queries, items, self.settings.temperature)).square().mean(dim=2)
        outputs: Tensor = self.fc(self.norm(apart))
        return outputs[:, 0] - outputs[:, 1]


def warped(queries: Tensor, items: Tensor, temperature: float) -> Tensor:
    """Each position of the queries filled with the item's positions that look like it, (n, C, P) twice -> (n, C, P).

    >>> import torch
    >>> x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])  # two positions: (1, 0) and (0, 2)
    >>> warped(x, x.flip(2), temperature=0.01).round().tolist() == x.tolist()
    True
    """
    alike = functional.normalize(queries, dim=1).mT @ functional.normalize(items, dim=1)
    return items @ (alike / temperature).softmax(dim=2).mT
