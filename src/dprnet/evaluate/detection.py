"""How well garments are found and their views judged: COCO's average precision and balanced accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import COARSE_CLASSES, CROPS, OCCLUSIONS, VIEWPOINTS
from dprnet.core.errors import BadDataset, MissingExtra
from dprnet.core.records import BoolArray, Detections, FloatArray, Frame, Truth
from dprnet.data.labelled import LabelledImage
from dprnet.detect.detector import Detector

# Shape legend:  N detections of one image   M true boxes of one image   C classes   B bootstrap samples

MATCH_IOU = 0.5  # METHODS, measures of picking; COCO's AP50
LOWEST_SCORE = 0.01  # ours: average precision wants the doubtful detections too
LARGE_CLASS = 25  # boxes; classes with fewer are too small to judge by (data/README)
RECALLS = np.linspace(0, 1, 101)  # COCO
BRANCHES: Mapping[str, Sequence[str]] = {"viewpoint": VIEWPOINTS, "occlusion": OCCLUSIONS, "crop": CROPS}


@dataclass(frozen=True)
class BranchFigures:
    """One scoring branch, on true boxes that were found and are labelled."""

    balanced_accuracy: float
    """Mean over the true classes of the share judged right; chance is 1 / number of classes. NaN without labels."""
    recalls: dict[str, float]
    """Share judged right, a true class (only those that occur)."""
    boxes: int


@dataclass(frozen=True)
class DetectionFigures:
    """Figures of one detector on one set. Average precisions as COCO; NaN where a class has no true box.

    ``figures.write_figures`` writes them as JSON.
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
    large: tuple[str, ...]
    """The classes with at least 25 true boxes."""
    ap_large: float
    ap50_large: float
    ap50_interval: tuple[float, float]
    """95 %, bootstrap over images."""
    ap50_large_interval: tuple[float, float]
    branches: dict[str, BranchFigures]


def evaluate_detection(
    detector: Detector, images: Sequence[LabelledImage], *, bootstrap: int = 1000, seed: int = 0
) -> DetectionFigures:
    """Run a detector over labelled images and measure it.

    Args:
        bootstrap: samples for the intervals.

    Raises:
        BadDataset: no images, or none with a box.
        MissingExtra: faster-coco-eval is not installed.
    """
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
    counts = np.bincount(
        np.concatenate([t.labels for t in truths] or [np.zeros(0, int)]), minlength=len(COARSE_CLASSES)
    )
    if not counts.sum():
        raise BadDataset("detection", f"{len(truths)} images hold no true box to measure against")
    precision = coco_precision(found, truths)  # (10 IoU, 101 recalls, C)
    by_class = np.array([[_mean(precision[i, :, c]) for c in range(len(counts))] for i in range(len(precision))])
    large = counts >= LARGE_CLASS
    samples = bootstrap_ap50(found, truths, bootstrap, seed)
    return DetectionFigures(
        images=len(truths),
        boxes=dict(zip(COARSE_CLASSES, counts.tolist(), strict=True)),
        ap=_mean(by_class),
        ap50=_mean(by_class[0]),
        ap75=_mean(by_class[5]),
        ap_of={name: _mean(by_class[:, c]) for c, name in enumerate(COARSE_CLASSES)},
        ap50_of={name: float(by_class[0, c]) for c, name in enumerate(COARSE_CLASSES)},
        large=tuple(name for name, big in zip(COARSE_CLASSES, large, strict=True) if big),
        ap_large=_mean(by_class[:, large]),
        ap50_large=_mean(by_class[0, large]),
        ap50_interval=_interval(samples),
        ap50_large_interval=_interval(samples[:, large]),
        branches={name: branch_figures(found, truths, name) for name in BRANCHES},
    )


def coco_precision(found: Sequence[Detections], truths: Sequence[Truth]) -> NDArray[np.float64]:
    """COCO's precision at 10 IoU thresholds and 101 recalls, (10, 101, C), by faster-coco-eval; NaN: no true box.

    Ignore regions are crowds of every class: what lies in them is neither right nor wrong.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise MissingExtra("faster-coco-eval", "average precision needs it: pip install 'dprnet[train]'") from None
    annotations = [entry for image, truth in enumerate(truths, 1) for entry in _annotations(image, truth)]
    for number, entry in enumerate(annotations, 1):
        entry["id"] = number
    categories = [{"id": c + 1, "name": name} for c, name in enumerate(COARSE_CLASSES)]
    listed = [{"id": image, "width": 1, "height": 1} for image in range(1, len(truths) + 1)]
    results = [
        {"image_id": image, "category_id": int(label) + 1, "bbox": _xywh(box), "score": float(score)}
        for image, seen in enumerate(found, 1)
        for box, label, score in zip(seen.boxes_xyxy, seen.labels, seen.scores, strict=True)
    ]
    shape = (10, len(RECALLS), len(COARSE_CLASSES))
    known = np.isin(np.arange(len(COARSE_CLASSES)), np.concatenate([t.labels for t in truths]))
    if not results:
        return np.where(known, np.zeros(shape), np.nan)
    reference = COCO({"images": listed, "annotations": annotations, "categories": categories, "info": {}})
    evaluation = COCOeval_faster(reference, reference.loadRes(results), "bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1].astype(np.float64)
    return np.where(known, precision, np.nan)


def match_class(
    boxes: FloatArray, scores: FloatArray, true_boxes: FloatArray, ignored: FloatArray
) -> tuple[BoolArray, BoolArray]:
    """COCO's matching of one class in one image at IoU 0.5: best scores first, each to its best free true box.

    Args:
        boxes: (N, 4); scores: (N,); true_boxes: (M, 4); ignored: (K, 4) ignore regions.

    Returns:
        right (N,), and aside (N,): unmatched, but in an ignore region, so neither right nor wrong.

    >>> box = np.array([[0.0, 0, 10, 10]])
    >>> match_class(np.vstack([box, box]), np.array([0.5, 0.9]), box, np.zeros((0, 4)))[0]
    array([False,  True])
    """
    overlap = overlaps(boxes, true_boxes)
    right = np.zeros(len(boxes), bool)
    free = np.ones(len(true_boxes), bool)
    for row in np.argsort(-scores, kind="mergesort"):
        candidates = np.where(free, overlap[row], -1.0)
        if len(candidates) and candidates.max() >= MATCH_IOU:
            free[candidates.argmax()] = False
            right[row] = True
    covered = overlaps(boxes, ignored, of_first=True)
    aside = ~right & (covered >= MATCH_IOU).any(axis=1)
    return right, aside


def bootstrap_ap50(
    found: Sequence[Detections], truths: Sequence[Truth], samples: int, seed: int
) -> NDArray[np.float64]:
    """AP50 of every class in bootstrap samples of the images, (B, C); NaN where a sample has no true box of a class."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(truths), np.full(len(truths), 1 / len(truths)), size=samples)  # times an image is drawn
    return np.stack([ap50(found, truths, label, draws) for label in range(len(COARSE_CLASSES))], axis=1)


def ap50(
    found: Sequence[Detections], truths: Sequence[Truth], label: int, draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    """COCO's AP at IoU 0.5 of one class with image i counted ``draws[b, i]`` times: (B, images) -> (B,)."""
    image, score, right = [], [], []
    for number, (seen, truth) in enumerate(zip(found, truths, strict=True)):
        own = seen.labels == label
        hit, aside = match_class(
            seen.boxes_xyxy[own], seen.scores[own], truth.boxes_xyxy[truth.labels == label], truth.ignore_xyxy
        )
        image.append(np.full(int((~aside).sum()), number))
        score.append(seen.scores[own][~aside])
        right.append(hit[~aside])
    order = np.argsort(-np.concatenate(score), kind="mergesort")
    hits = np.concatenate(right)[order]
    times = draws[:, np.concatenate(image)[order].astype(int)]  # (B, detections)
    true_boxes = draws @ np.array([(truth.labels == label).sum() for truth in truths])
    good = np.cumsum(times * hits, axis=1)
    seen_so_far = np.cumsum(times, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = good / true_boxes[:, None]
        precision = np.where(seen_so_far > 0, good / seen_so_far, 0.0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    result = np.full(len(draws), np.nan)
    for row in np.flatnonzero(true_boxes > 0):
        at = np.searchsorted(recall[row], RECALLS, side="left")
        reached = at < precision.shape[1]
        result[row] = precision[row, at[reached]].sum() / len(RECALLS)
    return result


def branch_figures(found: Sequence[Detections], truths: Sequence[Truth], branch: str) -> BranchFigures:
    """How well one scoring branch judges the true boxes that were found (best IoU, at least 0.5) and are labelled."""
    classes = BRANCHES[branch]
    wanted: list[int] = []
    given: list[int] = []
    for seen, truth in zip(found, truths, strict=True):
        overlap = overlaps(truth.boxes_xyxy, seen.boxes_xyxy)
        if not overlap.size:
            continue
        nearest = overlap.argmax(axis=1)
        usable = (overlap.max(axis=1) >= MATCH_IOU) & (getattr(truth, branch) >= 0)
        wanted += getattr(truth, branch)[usable].tolist()
        given += getattr(seen, branch)[nearest[usable]].argmax(axis=1).tolist()
    true, said = np.array(wanted, int), np.array(given, int)
    recalls = {name: float((said[true == c] == c).mean()) for c, name in enumerate(classes) if (true == c).any()}
    return BranchFigures(_mean(np.array(list(recalls.values()))), recalls, len(true))


def overlaps(a: FloatArray, b: FloatArray, *, of_first: bool = False) -> NDArray[np.float64]:
    """IoU of every pair, (N, 4) and (M, 4) -> (N, M); ``of_first``: the shared area as a part of a's area.

    >>> overlaps(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]])).round(3)
    array([[0.333]])
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(axis=2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    whole = area_a[:, None] + (0 if of_first else area_b[None] - shared)
    result: NDArray[np.float64] = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return result


def _annotations(image: int, truth: Truth) -> list[dict[str, Any]]:
    boxes = [(box, int(label) + 1, 0) for box, label in zip(truth.boxes_xyxy, truth.labels, strict=True)]
    boxes += [(box, c + 1, 1) for box in truth.ignore_xyxy for c in range(len(COARSE_CLASSES))]
    return [
        {
            "image_id": image,
            "category_id": category,
            "bbox": _xywh(box),
            "area": float((box[2] - box[0]) * (box[3] - box[1])),
            "iscrowd": crowd,
        }
        for box, category, crowd in boxes
    ]


def _xywh(box: FloatArray) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean over classes, over the samples."""
    means = [mean for mean in (_mean(row) for row in samples) if not np.isnan(mean)]
    if not means:
        return float("nan"), float("nan")
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
