"""Sizes and settings of the detector; read without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.config import Settings

STRIDE = 32  # padded sizes of images are multiples of it
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the second stage's offsets; torchvision's Faster R-CNN
MIN_SIDE = 1.0  # pixels of a garment's box, at least


class BoxStageConfig(Settings):
    """Sampling in training and suppression afterwards."""

    sampled: int = 512  # boxes an image in training; torchvision's Faster R-CNN
    foreground: float = 0.25  # at most this share of them garments; torchvision's Faster R-CNN
    match_iou: float = 0.5  # a box is a garment from here; torchvision's Faster R-CNN
    score_threshold: float = 0.05  # torchvision's Faster R-CNN
    suppress_iou: float = 0.5  # within a class; torchvision's Faster R-CNN
    suppress_classes_iou: float | None = None  # also between classes; None: as the paper, within one
    detections: int = 100  # at most, an image; torchvision's Faster R-CNN


class ProposalConfig(Settings):
    """The first stage."""

    sizes: tuple[tuple[float, ...], ...] = ((32,), (64,), (128,), (256,), (512,))  # px; one tuple a pyramid level
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width; Faster R-CNN
    foreground_iou: float = 0.7  # Faster R-CNN
    background_iou: float = 0.3  # Faster R-CNN
    sampled: int = 256  # anchors an image; Faster R-CNN
    suppress_iou: float = 0.7  # Faster R-CNN
    before_training: int = 2000  # boxes a level before suppression; torchvision
    before: int = 1000
    kept_training: int = 2000  # boxes an image after it; torchvision
    kept: int = 1000


class DetectorConfig(Settings):
    """Size and parts of the detector; the defaults are the paper's size (`recipes/detector-tiny.toml` is small)."""

    classes: tuple[str, ...] = COARSE_CLASSES  # DESIGN: DeepFashion2's 13 map onto these afterwards
    backbone: str = "resnet50"  # ours (the paper names none)
    norm: Literal["batch", "frozen", "folded"] = "frozen"  # ours, usual for detectors
    levels: tuple[int, ...] = (2, 3, 4, 5)  # Feature Pyramid Networks; one more is pooled on top
    channels: int = Field(default=256, ge=8)  # Feature Pyramid Networks
    short_side: int = Field(default=800, ge=64)  # px; ours (the paper names none)
    long_side: int = Field(default=1333, ge=64)  # px, at most
    proposals: ProposalConfig = ProposalConfig()
    boxes: BoxStageConfig = BoxStageConfig()
    pooled_side: int = 7  # RoIAlign, Mask R-CNN
    box_features: int = 1024  # paper, section 3.1: inputs of the instance branch
    class_agnostic_boxes: bool = False  # False: one box a class, as Fast R-CNN
    scoring_filters: int = 1024  # paper, section 3.1
    scoring_balance: float = Field(default=0.0, ge=0, le=1)  # 0: every box alike, as the paper; 1: every class
    instance_hidden: int = 1024  # ours (the paper names the first input and the last output only)
    embedding: int = 256  # ours
    instances: int = Field(default=0, ge=0)  # training instances; 0: no instance classifier, as in a bundle
    cosine_scale: float = Field(default=0.0, ge=0)  # 0: plain softmax, as the paper
    colour: int = Field(default=0, ge=0, le=32)  # ours; nodes a channel of the colours beside the embedding; 0: none
    colour_share: float = Field(default=0.85, ge=0, le=1)  # ours, by hand on validation (docs/detect.md)


def fitted_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """Height and width with the short side as wanted, unless the long side would exceed its limit.

    >>> fitted_size(432, 768, 384, 640), fitted_size(825, 550, 384, 640), fitted_size(2000, 10, 384, 640)
    ((360, 640), (576, 384), (640, 3))
    """
    factor = min(short_side / min(height, width), long_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))
