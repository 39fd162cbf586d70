"""The rows of Table 2 that differ from one another in their loss alone: Triplet-SS, NegTriplet, DPRNet and CTL."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.embed.losses import batch_hard, centroid_triplet, retrieval_loss, smoothed_cross_entropy
from dprnet.embed.model import InstanceClassifier
from dprnet.train.methods.base import Method, Shown, Trunk, total
from dprnet.train.methods.losses import centre, hardest_negative, random_triplet

CENTRE_WEIGHT = 5e-4  # CTL, and the re-identification strong baseline before it


class TripletSettings(Settings):
    """Triplet-SS and NegTriplet."""

    margin: float = 0.3  # ours: that of DPRNet's row; neither source's margin is public knowledge


class DprnetSettings(Settings):
    """The paper's own row."""

    margin: float = 0.3  # re-id strong baseline; the paper does not state alpha
    epsilon: float = Field(default=0.1, ge=0, lt=1)  # Szegedy et al. 2016; the paper: "a small constant"
    squared: bool = False  # Hermans et al. 2017; d in Eq. 6


class CtlSettings(Settings):
    """Centroid triplet loss (Wieczorek et al. 2021)."""

    margin: float = 0.5  # the source
    epsilon: float = Field(default=0.1, ge=0, lt=1)  # the source
    centre: float = Field(default=CENTRE_WEIGHT, ge=0)  # the source


class TripletSS(Method):
    """Triplet-SS (Gajic and Baldrich 2018): a Siamese network, Eq. 5, random triplets.

    Gaps filled by us: the vectors have length 1 before distances are taken; each photo of a batch is once an anchor,
    with one random positive and one random negative of the batch; the margin.
    """

    def __init__(self, trunk: Trunk, settings: TripletSettings) -> None:
        super().__init__(trunk)
        self.settings = settings

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """Eq. 5."""
        return total(distance=random_triplet(self.vectors(shown.images), shown.classes, self.settings.margin))


class NegTriplet(Method):
    """NegTriplet (Dodds et al. 2018): all positives of a batch, each against the anchor's hardest negative.

    Gaps filled by us: mined within the batch at every step (the source says "hard negative", not where from); squared
    distances of vectors of length 1; the margin.
    """

    def __init__(self, trunk: Trunk, settings: TripletSettings) -> None:
        super().__init__(trunk)
        self.settings = settings

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """All positive pairs against the hardest negative."""
        return total(distance=hardest_negative(self.vectors(shown.images), shown.classes, self.settings.margin))


class Dprnet(Method):
    """The paper's retrieval network (section 3.3): label-smoothed softmax and batch-hard triplets, Eq. 6 to 8.

    The distance branch sees vectors of length 1, the classification branch the features before that.
    """

    def __init__(self, trunk: Trunk, classes: int, settings: DprnetSettings) -> None:
        super().__init__(trunk)
        self.settings = settings
        self.branch = InstanceClassifier(trunk.size, classes)

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """Eq. 6, Eq. 7 and their sum."""
        s = self.settings
        features = self.trunk.features(self.trunk.maps(shown.images)[1])
        classification = smoothed_cross_entropy(self.branch(features), shown.classes, s.epsilon)
        distance = batch_hard(functional.normalize(features, dim=1), shown.classes, s.margin, squared=s.squared)
        return {
            "classification": classification,
            "distance": distance,
            "total": retrieval_loss(classification, distance),
        }


class Ctl(Method):
    """CTL (Wieczorek et al. 2021): batch-hard and centroid triplets, centre loss, and label-smoothed softmax after a
    batch normalisation (BNNeck); newer than the paper, the row to beat.

    The features before the neck are compared, not normalised, as in the source; those after it classify and, with
    length 1, search. Gaps filled by us: the centres are learned at the rate of everything else (the source gives them
    an optimiser of their own), and the gallery holds photos, as for every other row, where the source searches the
    mean of each item's photos (the same where an item has one photo).
    """

    def __init__(self, trunk: Trunk, classes: int, settings: CtlSettings) -> None:
        super().__init__(trunk)
        self.settings = settings
        self.neck = nn.BatchNorm1d(trunk.size)
        self.neck.bias.requires_grad_(False)  # as in the source: the classes lie around the origin
        self.branch = InstanceClassifier(trunk.size, classes)
        self.centres = nn.Parameter(torch.randn(classes, trunk.size))

    def losses(self, shown: Shown) -> dict[str, Tensor]:
        """The four terms."""
        s, classes = self.settings, shown.classes
        features = self.trunk.features(self.trunk.maps(shown.images)[1])
        return total(
            classification=smoothed_cross_entropy(self.branch(self.neck(features)), classes, s.epsilon),
            distance=batch_hard(features, classes, s.margin),
            centroid=centroid_triplet(features, classes, s.margin),
            centre=s.centre * centre(features, classes, self.centres),
        )

    def vectors(self, images: Tensor) -> Tensor:
        """After the neck, of length 1."""
        return functional.normalize(self.neck(self.trunk.features(self.trunk.maps(images)[1])), dim=1)
