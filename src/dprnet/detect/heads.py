"""The heads of the detector: class, box, three proposal-scoring branches and the instance branch (paper 3.1, figure 3).

A head reads either the pooled map of a box (``reads = "map"``) or the box head's features (``"vector"``), and works
either on every sampled box before suppression (``stage = "box"``) or only on garments (``"view"``: sampled foreground
boxes in training, survivors of suppression afterwards). A new head is a new module in the dictionary of heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from dprnet.detect.losses import balanced_cross_entropy, box_loss, cross_entropy_of_labelled

# Shape legend:  R boxes   C classes   D box features   M channels of the pyramid   S pooled side   E embedding size


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """What is true of the sampled boxes of a batch, for the heads' losses."""

    labels: Tensor
    """(R,) class, or the number of classes for background."""
    deltas: Tensor
    """(R, 4) encoded offsets to the matched garment; zeros for background."""
    foreground: Tensor
    """(R,) True where the box shows a garment."""
    views: dict[str, Tensor]
    """viewpoint, occlusion, crop, instance: (number of foreground boxes,) each, -1 where unlabelled."""


class Head(nn.Module):
    """What every head says of itself; see the module's docstring."""

    reads: ClassVar[Literal["map", "vector"]] = "vector"
    stage: ClassVar[Literal["box", "view"]] = "box"

    @property
    def learns(self) -> bool:
        """False where the head has nothing to learn from, and so no term of the loss."""
        return True

    def loss(self, output: Tensor, sampled: Sampled) -> Tensor:
        """Scalar loss of the head's output in training."""
        raise NotImplementedError

    def answer(self, features: Tensor) -> Tensor:
        """What the head says of boxes once trained; its plain output unless a head says otherwise."""
        output: Tensor = self(features)
        return output


class ClassHead(Head):
    """CLS: (R, D) -> (R, C + 1) logits, background last."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes + 1)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits."""
        output: Tensor = self.fc(features)
        return output

    def loss(self, output: Tensor, sampled: Sampled) -> Tensor:
        """Cross-entropy over all sampled boxes (paper, Eq. 1, rcnn cls)."""
        return cross_entropy_of_labelled(output, sampled.labels)


class BoxRegressionHead(Head):
    """REG: (R, D) -> (R, K, 4) encoded offsets, K boxes a row: one a class, or one for all."""

    def __init__(self, features: int, boxes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, boxes * 4)
        nn.init.normal_(self.fc.weight, std=0.001)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Encoded offsets."""
        output: Tensor = self.fc(features)
        return output.view(-1, self.fc.out_features // 4, 4)

    def loss(self, output: Tensor, sampled: Sampled) -> Tensor:
        """Smooth-L1 over the foreground boxes (paper, Eq. 1, rcnn reg)."""
        return box_loss(output, sampled.deltas, sampled.labels, sampled.foreground)


class ScoringBranch(Head):
    """Proposal scoring: 4 convolutions 3x3, average pooling, one fc; (R, M, S, S) -> (R, classes) logits."""

    reads = "map"
    stage = "view"
    CONVOLUTIONS = 4  # paper, section 3.1

    def __init__(self, name: str, channels: int, filters: int, classes: int, balance: float = 0.0) -> None:
        super().__init__()
        self.name = name
        self.balance = balance
        layers: list[nn.Module] = []
        for number in range(self.CONVOLUTIONS):
            convolution = nn.Conv2d(channels if number == 0 else filters, filters, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            layers += [convolution, nn.ReLU(inplace=True)]
        self.convolutions = nn.Sequential(*layers)
        self.fc = nn.Linear(filters, classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits."""
        output: Tensor = self.fc(self.convolutions(maps).mean(dim=(2, 3)))
        return output

    def loss(self, output: Tensor, sampled: Sampled) -> Tensor:
        """Cross-entropy over the labelled foreground boxes (paper, Eq. 2), balanced where the settings say so."""
        return balanced_cross_entropy(output, sampled.views[self.name], self.balance)

    def answer(self, features: Tensor) -> Tensor:
        """(R, classes) probabilities."""
        return torch.softmax(self(features), dim=1)


class InstanceBranch(Head):
    """Instance classification: 3 fc; the embedding is the output of the last but one (paper, section 3.1).

    ``cosine_scale`` 0 is the paper's plain classifier; above 0 the logits are ``scale * cos(embedding, class
    weight)``, which trains the very measure that Eq. 4 uses (ours). Without training instances (``instances`` 0, as
    in a bundle) the last layer does not exist: only embeddings can be had.
    """

    stage = "view"

    def __init__(self, features: int, hidden: int, embedding: int, instances: int, cosine_scale: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.fc2 = nn.Linear(hidden, embedding)
        self.fc3 = nn.Linear(embedding, instances, bias=not cosine_scale) if instances else None
        self.cosine_scale = cosine_scale
        for layer in (self.fc1, self.fc2):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        if self.fc3 is not None:
            nn.init.normal_(self.fc3.weight, std=0.01)

    @property
    def learns(self) -> bool:
        """Only with training instances."""
        return self.fc3 is not None

    def embed(self, features: Tensor) -> Tensor:
        """(R, D) -> (R, E) embeddings, not normalised (Eq. 4 divides by their lengths)."""
        output: Tensor = self.fc2(functional.relu(self.fc1(features)))
        return output

    def forward(self, features: Tensor) -> Tensor:
        """(R, D) -> (R, number of training instances) logits."""
        assert self.fc3 is not None, "a network without training instances has no instance classifier"
        embeddings = self.embed(features)
        if not self.cosine_scale:
            output: Tensor = self.fc3(embeddings)
            return output
        cosine = functional.normalize(embeddings) @ functional.normalize(self.fc3.weight).T
        return self.cosine_scale * cosine

    def loss(self, output: Tensor, sampled: Sampled) -> Tensor:
        """Cross-entropy over the foreground boxes whose garment is known (paper, Eq. 3)."""
        return cross_entropy_of_labelled(output, sampled.views["instance"])

    def answer(self, features: Tensor) -> Tensor:
        """(R, E) embeddings."""
        return self.embed(features)
