"""The video clothing detector of paper 3.1: Faster R-CNN with proposal scoring and instance classification.

``losses`` trains it, ``detections`` uses it; neither changes its type with the mode of the module.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign

from dprnet.core.classes import CROPS, OCCLUSIONS, VIEWPOINTS
from dprnet.core.records import Truth
from dprnet.detect.backbone import Backbone
from dprnet.detect.boxhead import (
    VIEW_COLUMNS,
    BoxFeatures,
    BoxStage,
    Found,
    ProposalHead,
    ProposalNetwork,
    Target,
    finite,
)
from dprnet.detect.colour import box_colours, joined
from dprnet.detect.config import MIN_SIDE, STRIDE, DetectorConfig, ProposalConfig, fitted_size
from dprnet.detect.heads import BoxRegressionHead, ClassHead, InstanceBranch, ScoringBranch

__all__ = ["DetectorConfig", "DetectorNetwork", "ProposalConfig"]

# Shape legend:  B images   H, W their padded size   M channels of the pyramid

SCORING_CLASSES = {"viewpoint": len(VIEWPOINTS), "occlusion": len(OCCLUSIONS), "crop": len(CROPS)}


class DetectorNetwork(nn.Module):
    """Backbone, proposals and box stage, put together.

    Args:
        config: sizes.
        start: backbone weights: ``none``, ``pretrained`` or a path (``$DPRNET_DATA`` is expanded).
    """

    def __init__(self, config: DetectorConfig, start: str = "none") -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone, config.levels, config.channels, config.norm, start)
        self.proposals = build_proposals(config)
        self.boxes = BoxStage(
            build_pool(config), build_features(config), build_heads(config), len(config.classes), config.boxes
        )

    def losses(self, images: Sequence[Tensor], truths: Sequence[Truth]) -> dict[str, Tensor]:
        """Every term of Eq. 1-3, unweighted.

        Args:
            images: uint8 (3, H, W) RGB, each of its own size.
            truths: of each image, in its pixels.

        Returns:
            Scalars by name: rpn_class, rpn_box, class, box, viewpoint, occlusion, crop, instance.
        """
        assert self.training, "losses need the network in training mode"
        targets = [self._target(truth) for truth in truths]
        batch, maps = self._maps(images)
        proposals, first = self.proposals(batch, maps, targets)
        terms = {"rpn_class": first["loss_objectness"], "rpn_box": first["loss_rpn_box_reg"]}
        return terms | self.boxes.losses(maps, proposals, batch.image_sizes, targets)

    @torch.inference_mode()
    def detections(self, images: Sequence[Tensor], score_threshold: float | None = None) -> list[Found]:
        """The garments of each image, best first, boxes in its pixels.

        Args:
            images: uint8 (3, H, W) RGB.
            score_threshold: instead of the configured one.

        Raises:
            FloatingPointError: NaN or infinity where numbers should be (damaged weights).
        """
        assert not self.training, "detections need the network in evaluation mode"
        batch, maps = self._maps(images)
        for level, features in maps.items():
            finite(f"map {level}", features)
        proposals, _ = self.proposals(batch, maps)
        threshold = self.config.boxes.score_threshold if score_threshold is None else score_threshold
        found = self.boxes.detections(maps, proposals, batch.image_sizes, threshold)
        return self._with_colours(batch.tensors, found) if self.config.colour else found

    def _with_colours(self, batch: Tensor, found: list[Found]) -> list[Found]:
        images = (batch * self.backbone.std + self.backbone.mean) / 255
        colours = box_colours(images, [garments.boxes for garments in found], self.config.colour)
        parts = torch.split(colours, [len(garments.boxes) for garments in found])
        for garments, part in zip(found, parts, strict=True):
            garments.answers["instance"] = joined(garments.answers["instance"], part, self.config.colour_share)
        return found

    def _maps(self, images: Sequence[Tensor]) -> tuple[ImageList, dict[str, Tensor]]:
        """Pad to one size (grey, 0 after normalisation), normalise, and run the backbone."""
        sizes = [(int(image.shape[1]), int(image.shape[2])) for image in images]
        height, width = (-(-max(side) // STRIDE) * STRIDE for side in zip(*sizes, strict=True))
        mean, std = self.backbone.mean, self.backbone.std
        batch = mean.new_zeros((len(images), 3, height, width))
        for row, image, (h, w) in zip(batch, images, sizes, strict=True):
            row[:, :h, :w] = (image.to(mean.device, non_blocking=True).float() - mean[0]) / std[0]
        maps = self.backbone(batch)
        return ImageList(batch, sizes), {level: features.float() for level, features in maps.items()}

    def _target(self, truth: Truth) -> Target:
        device = self.backbone.mean.device
        target = {
            "boxes": torch.tensor(truth.boxes_xyxy, dtype=torch.float32),
            "labels": torch.tensor(truth.labels),
            **{name: torch.tensor(getattr(truth, name)) for name in VIEW_COLUMNS},
        }
        usable = (target["boxes"][:, 2:] - target["boxes"][:, :2] >= MIN_SIDE).all(dim=1)
        target = {name: values[usable].to(device) for name, values in target.items()}
        target["ignore"] = torch.tensor(truth.ignore_xyxy, dtype=torch.float32).to(device)
        return target


def build_proposals(config: DetectorConfig) -> ProposalNetwork:
    """The first stage over the pyramid's levels and the pooled one."""
    first = config.proposals
    sizes = first.sizes
    if len(sizes) != len(config.levels) + 1:
        raise ValueError(
            f"proposals.sizes needs {len(config.levels) + 1} levels (one more than levels), got {len(sizes)}"
        )
    anchors = AnchorGenerator(sizes, (first.ratios,) * len(sizes))
    if len(set(anchors.num_anchors_per_location())) != 1:
        raise ValueError(f"proposals.sizes needs equally many sizes a level, got {sizes}")
    return ProposalNetwork(
        anchors,
        ProposalHead(config.channels, anchors.num_anchors_per_location()[0]),
        first.foreground_iou,
        first.background_iou,
        first.sampled,
        0.5,
        {"training": first.before_training, "testing": first.before},
        {"training": first.kept_training, "testing": first.kept},
        first.suppress_iou,
    )


def build_pool(config: DetectorConfig) -> MultiScaleRoIAlign:
    """RoIAlign over the pyramid's levels (not the pooled one)."""
    return MultiScaleRoIAlign([str(level) for level in config.levels], config.pooled_side, sampling_ratio=2)


def build_features(config: DetectorConfig) -> BoxFeatures:
    """The box head, whose output CLS, REG and the instance branch read."""
    return BoxFeatures(config.channels, config.pooled_side, config.box_features)


def build_heads(config: DetectorConfig) -> nn.ModuleDict:
    """The heads of figure 3, by name."""
    heads: dict[str, nn.Module] = {
        "class": ClassHead(config.box_features, len(config.classes)),
        "box": BoxRegressionHead(config.box_features, 1 if config.class_agnostic_boxes else len(config.classes)),
    }
    for name, classes in SCORING_CLASSES.items():
        heads[name] = ScoringBranch(name, config.channels, config.scoring_filters, classes, config.scoring_balance)
    heads["instance"] = InstanceBranch(
        config.box_features, config.instance_hidden, config.embedding, config.instances, config.cosine_scale
    )
    return nn.ModuleDict(heads)


def fit(image: Tensor, short_side: int, long_side: int) -> Tensor:
    """A uint8 image (3, H, W) at the detector's size, smoothed when it shrinks."""
    size = fitted_size(int(image.shape[1]), int(image.shape[2]), short_side, long_side)
    if size == tuple(image.shape[1:]):
        return image
    return functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
