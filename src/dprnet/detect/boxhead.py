"""The second stage: pooled boxes -> box features -> heads (paper 3.1, figure 3). Ours, over torchvision's parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign, batched_nms, box_iou, clip_boxes_to_image, nms

from dprnet.detect.config import BOX_WEIGHTS, MIN_SIDE, BoxStageConfig
from dprnet.detect.heads import Head, Sampled

# Shape legend:  R boxes of a batch   N boxes of one image   C classes   K boxes a row (1 or C)   D box features

IGNORE_OVERLAP = 0.5  # ours: share of a box that must lie in an ignore region
VIEW_COLUMNS = ("viewpoint", "occlusion", "crop", "instance")

Target = dict[str, Tensor]
"""What is true of one image: boxes (N, 4), labels (N,), VIEW_COLUMNS (N,) each, ignore (M, 4)."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The garments of one image, best first."""

    boxes: Tensor
    """(N, 4) xyxy pixels of the image that went in."""
    labels: Tensor
    """(N,) class."""
    scores: Tensor
    """(N,) probability of the class."""
    answers: dict[str, Tensor]
    """(N, ...) of every other head: viewpoint, occlusion, crop (probabilities), instance (embedding)."""


def in_ignored(boxes: Tensor, ignored: Tensor) -> Tensor:
    """(N,) True where at least half of a box lies in one of the ignore regions (M, 4).

    >>> in_ignored(torch.tensor([[0.0, 0, 10, 10], [0, 0, 40, 10]]), torch.tensor([[0.0, 0, 10, 50]]))
    tensor([ True, False])
    """
    if not len(ignored) or not len(boxes):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    corners = torch.maximum(boxes[:, None, :2], ignored[None, :, :2]), torch.minimum(boxes[:, None, 2:], ignored[:, 2:])
    shared = (corners[1] - corners[0]).clamp(min=0).prod(dim=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).clamp(min=1e-6)
    return (shared / area[:, None]).amax(dim=1) >= IGNORE_OVERLAP


class ProposalHead(RPNHead):  # type: ignore[misc]
    """torchvision's head of the first stage; mixed precision ends here, or boxes would be rounded to whole pixels."""

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Objectness and encoded offsets of every anchor, a map at a time, in float32."""
        scores, deltas = super().forward(maps)
        return [score.float() for score in scores], [delta.float() for delta in deltas]


class ProposalNetwork(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's first stage, taught that anchors in ignore regions are neither garment nor background."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Labels (1 garment, 0 background, -1 neither) and matched boxes of every anchor."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & in_ignored(anchor, target["ignore"])] = -1
        return labels, boxes

    def compute_loss(
        self, objectness: Tensor, deltas: Tensor, labels: list[Tensor], targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Both losses; 0 where nothing can be sampled (a batch that is ignored as a whole), never NaN."""
        if not any(bool((label >= 0).any()) for label in labels):
            return objectness.sum() * 0, deltas.sum() * 0
        return cast(tuple[Tensor, Tensor], super().compute_loss(objectness, deltas, labels, targets))


class BoxFeatures(nn.Module):
    """Two fully connected layers over a pooled map: (R, M, S, S) -> (R, D)."""

    def __init__(self, channels: int, side: int, features: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels * side * side, features)
        self.fc2 = nn.Linear(features, features)
        for layer in (self.fc1, self.fc2):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """(R, M, S, S) -> (R, D)."""
        return functional.relu(self.fc2(functional.relu(self.fc1(maps.flatten(1)))))


class BoxStage(nn.Module):
    """Samples, pools and hands boxes to the heads.

    Args:
        pool: boxes -> maps.
        features: maps -> box features.
        heads: by name; ``class`` and ``box`` are wanted, every other works on garments.
        classes: C.
    """

    def __init__(
        self, pool: MultiScaleRoIAlign, features: nn.Module, heads: nn.ModuleDict, classes: int, config: BoxStageConfig
    ) -> None:
        super().__init__()
        self.pool = pool
        self.features = features
        self.heads = heads
        self.classes = classes
        self.config = config
        self.coder = BoxCoder(BOX_WEIGHTS)
        self.matcher = Matcher(config.match_iou, config.match_iou, allow_low_quality_matches=False)
        self.sampler = BalancedPositiveNegativeSampler(config.sampled, config.foreground)

    def losses(
        self, maps: dict[str, Tensor], proposals: list[Tensor], shapes: list[tuple[int, int]], targets: list[Target]
    ) -> dict[str, Tensor]:
        """One scalar a head, by the head's name."""
        boxes, sampled = self.sample(proposals, targets)
        pooled = self.pool(maps, boxes, shapes)
        inputs = {"map": pooled, "vector": self.features(pooled)}
        losses = {}
        for name, head in self._heads():
            if not head.learns:
                continue
            given = inputs[head.reads]
            output = head(given[sampled.foreground] if head.stage == "view" else given)
            losses[name] = head.loss(output.float(), sampled)  # mixed precision ends before the loss
        return losses

    @torch.no_grad()
    def sample(self, proposals: list[Tensor], targets: list[Target]) -> tuple[list[Tensor], Sampled]:
        """Boxes to train on, an image at a time, and what is true of all of them in the same order."""
        boxes: list[Tensor] = []
        labels: list[Tensor] = []
        deltas: list[Tensor] = []
        views: dict[str, list[Tensor]] = {name: [] for name in VIEW_COLUMNS}
        for proposal, target in zip(proposals, targets, strict=True):
            candidates = torch.cat([proposal, target["boxes"]])
            matched = self._match(candidates, target)
            positive, negative = self.sampler([torch.where(matched < 0, matched + 1, 1)])
            chosen = torch.cat([torch.where(positive[0])[0], torch.where(negative[0])[0]])
            candidates, matched = candidates[chosen], matched[chosen]
            shown = matched[matched >= 0]
            label = torch.full_like(matched, self.classes)
            label[matched >= 0] = target["labels"][shown]
            delta = torch.zeros_like(candidates)
            delta[matched >= 0] = self.coder.encode_single(target["boxes"][shown], candidates[matched >= 0])
            boxes.append(candidates)
            labels.append(label)
            deltas.append(delta)
            for name, parts in views.items():
                parts.append(target[name][shown])
        merged = torch.cat(labels)
        columns = {name: torch.cat(parts) for name, parts in views.items()}
        return boxes, Sampled(merged, torch.cat(deltas), merged < self.classes, columns)

    def _match(self, boxes: Tensor, target: Target) -> Tensor:
        """(N,) row of the garment each box shows, -1 background, -2 neither."""
        if len(target["boxes"]) and len(boxes):
            matched: Tensor = self.matcher(box_iou(target["boxes"], boxes))
        else:
            matched = torch.full((len(boxes),), -1, dtype=torch.int64, device=boxes.device)
        matched[(matched == -1) & in_ignored(boxes, target["ignore"])] = -2
        return matched

    def detections(
        self, maps: dict[str, Tensor], proposals: list[Tensor], shapes: list[tuple[int, int]], score_threshold: float
    ) -> list[Found]:
        """Garments of each image: class and box first, then the other heads on what survives suppression.

        Raises:
            FloatingPointError: a head gave NaN or infinity.
        """
        vectors = self.features(self.pool(maps, proposals, shapes))
        heads = dict(self._heads())
        probabilities = torch.softmax(finite("class", heads["class"](vectors)), dim=1)[:, :-1]
        deltas = finite("box", heads["box"](vectors))
        counts = [len(proposal) for proposal in proposals]
        kept = [
            self._survivors(proposal, chance, delta, shape, score_threshold)
            for proposal, chance, delta, shape in zip(
                proposals, torch.split(probabilities, counts), torch.split(deltas, counts), shapes, strict=True
            )
        ]
        boxes = [survivors[0] for survivors in kept]
        pooled = self.pool(maps, boxes, shapes)
        inputs = {"map": pooled, "vector": self.features(pooled)}
        answers = {
            name: finite(name, head.answer(inputs[head.reads])) for name, head in heads.items() if head.stage == "view"
        }
        rows = {name: torch.split(answer, [len(box) for box in boxes]) for name, answer in answers.items()}
        return [
            Found(*survivors, {name: parts[image] for name, parts in rows.items()})
            for image, survivors in enumerate(kept)
        ]

    def _survivors(
        self, proposals: Tensor, chances: Tensor, deltas: Tensor, shape: tuple[int, int], score_threshold: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        config = self.config
        row, label = torch.where(chances > score_threshold)
        score = chances[row, label]
        column = label if deltas.shape[1] > 1 else torch.zeros_like(label)
        boxes = self.coder.decode_single(deltas[row, column], proposals[row])
        boxes = clip_boxes_to_image(boxes, shape)
        large = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(dim=1)
        boxes, label, score = boxes[large], label[large], score[large]
        kept = batched_nms(boxes, score, label, config.suppress_iou)
        if config.suppress_classes_iou is not None:
            # The second class of a garment falls below the threshold at which the detector works, whatever its score.
            first = kept[nms(boxes[kept], score[kept], config.suppress_classes_iou)]
            second = kept[~torch.isin(kept, first)]
            score[second] *= config.score_threshold
            second = second[score[second] > score_threshold]
            kept = torch.cat([first, second])
            kept = kept[score[kept].argsort(descending=True, stable=True)]
        kept = kept[: config.detections]
        return boxes[kept], label[kept], score[kept]

    def _heads(self) -> list[tuple[str, Head]]:
        return cast(list[tuple[str, Head]], list(self.heads.items()))


def finite(name: str, values: Any) -> Tensor:
    """The values, if all are finite.

    Raises:
        FloatingPointError: naming what is not.
    """
    if not bool(torch.isfinite(values).all()):
        raise FloatingPointError(f"the detector's {name} output holds NaN or infinity")
    return cast(Tensor, values)
