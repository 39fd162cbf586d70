"""All figures of a detector on single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import BadDataset
from dprnet.core.records import Detections, Frame, Truth
from dprnet.data.labelled import LabelledImage
from dprnet.detect.detector import Detector
from dprnet.evaluate.detection.branches import BRANCHES, BranchFigures, branch_figures
from dprnet.evaluate.detection.faults import Faults, faults, without_apart
from dprnet.evaluate.detection.precision import bootstrap_ap, by_class, coco_precision, interval, mean
from dprnet.evaluate.detection.splits import SplitFigures, split_figures

LOWEST_SCORE = 0.01  # ours: average precision wants the doubtful detections too
LARGE_CLASS = 25  # boxes; classes with fewer are too small to judge by (data/README)
AT_50, AT_75 = 0, 5  # rows of IOUS


@dataclass(frozen=True)
class DetectionFigures:
    """Figures of one detector on one set. Average precisions as COCO; NaN where a class has no true box.

    Intervals are 95 %, by bootstrap over images. ``evaluate.figures.write_figures`` writes them as JSON.
    """

    images: int
    boxes: dict[str, int]
    """True boxes a class."""
    ap: float
    """Over IoU 0.50 to 0.95, mean of the classes."""
    ap50: float
    ap75: float
    ap_of: dict[str, float]
    ap50_of: dict[str, float]
    ap75_of: dict[str, float]
    large: tuple[str, ...]
    """The classes with at least 25 true boxes."""
    ap_large: float
    ap50_large: float
    ap_interval: tuple[float, float]
    ap50_interval: tuple[float, float]
    ap75_interval: tuple[float, float]
    ap_large_interval: tuple[float, float]
    ap50_large_interval: tuple[float, float]
    ap_of_interval: dict[str, tuple[float, float]]
    ap50_of_interval: dict[str, tuple[float, float]]
    ap50_without_apart: float
    """AP50 when detections far from all that is labelled (bystanders, or nothing) are not counted as wrong."""
    faults: Faults
    splits: dict[str, SplitFigures]
    """By occlusion, viewpoint and crop."""
    branches: dict[str, BranchFigures]
    front_back: BranchFigures | None = field(default=None)
    """Front against back on the shop's test photos, where they are at hand."""
    data: str = ""
    """Name of the folder, or id of the set."""
    detector: str = ""


def evaluate_detection(
    detector: Detector, images: Sequence[LabelledImage], *, bootstrap: int = 1000, seed: int = 0
) -> DetectionFigures:
    """Run a detector over labelled images and measure it.

    Args:
        bootstrap: samples for the intervals.

    Raises:
        BadDataset: no images, or none with a box; labels that were guessed.
        MissingExtra: faster-coco-eval is not installed.
    """
    if guessed := next((image for image in images if image.guessed), None):
        named = ", ".join(sorted(guessed.guessed))
        raise BadDataset(guessed.path, f"its labels ({named}) were guessed; nothing is measured by guesses")
    frames = (Frame(image.load(), index=number, time_s=0.0) for number, image in enumerate(images))
    found = list(detector(frames, score_threshold=LOWEST_SCORE))
    return detection_figures(found, [image.truth for image in images], bootstrap=bootstrap, seed=seed)


def detection_figures(
    found: Sequence[Detections], truths: Sequence[Truth], *, bootstrap: int = 1000, seed: int = 0
) -> DetectionFigures:
    """Measure detections against the truth, an image each.

    Raises:
        BadDataset: no true box at all.
        MissingExtra: faster-coco-eval is not installed.
    """
    labels = np.concatenate([t.labels for t in truths] or [np.zeros(0, int)])
    counts = np.bincount(labels, minlength=len(COARSE_CLASSES))
    if not counts.sum():
        raise BadDataset("detection", f"{len(truths)} images hold no true box to measure against")
    each = by_class(coco_precision(found, truths))  # (10 IoU, C)
    large = counts >= LARGE_CLASS
    samples = bootstrap_ap(found, truths, bootstrap, seed)  # (10 IoU, B, C)
    nearby = by_class(coco_precision(without_apart(found, truths), truths))
    classes = list(enumerate(COARSE_CLASSES))
    return DetectionFigures(
        images=len(truths),
        boxes=dict(zip(COARSE_CLASSES, counts.tolist(), strict=True)),
        ap=mean(each),
        ap50=mean(each[AT_50]),
        ap75=mean(each[AT_75]),
        ap_of={name: mean(each[:, c]) for c, name in classes},
        ap50_of={name: float(each[AT_50, c]) for c, name in classes},
        ap75_of={name: float(each[AT_75, c]) for c, name in classes},
        large=tuple(name for name, big in zip(COARSE_CLASSES, large, strict=True) if big),
        ap_large=mean(each[:, large]),
        ap50_large=mean(each[AT_50, large]),
        ap_interval=interval(samples),
        ap50_interval=interval(samples[AT_50]),
        ap75_interval=interval(samples[AT_75]),
        ap_large_interval=interval(samples[..., large]),
        ap50_large_interval=interval(samples[AT_50][..., large]),
        ap_of_interval={name: interval(samples[..., [c]]) for c, name in classes},
        ap50_of_interval={name: interval(samples[AT_50][..., [c]]) for c, name in classes},
        ap50_without_apart=mean(nearby[AT_50]),
        faults=faults(found, truths),
        splits=split_figures(found, truths),
        branches={name: branch_figures(found, truths, name, seed=seed) for name in BRANCHES},
    )
