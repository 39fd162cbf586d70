"""COCO's average precision: by faster-coco-eval, and over bootstrap samples by our own copy of the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import MissingExtra
from dprnet.core.records import BoolArray, Detections, FloatArray, Truth
from dprnet.evaluate.detection.boxes import match_class

# Shape legend:  T IoU thresholds   C classes   B bootstrap samples   J images

IOUS = np.linspace(0.5, 0.95, 10).round(2)  # COCO
RECALLS = np.linspace(0, 1, 101)  # COCO
AT_ONCE = 20_000_000  # ours: numbers of a table held at a time


def coco_precision(found: Sequence[Detections], truths: Sequence[Truth]) -> NDArray[np.float64]:
    """COCO's precision at 10 IoU thresholds and 101 recalls, (10, 101, C), by faster-coco-eval; NaN: no true box.

    Ignore regions are crowds of every class: what lies in them is neither right nor wrong.

    Raises:
        MissingExtra: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise MissingExtra("faster-coco-eval", "average precision needs it: pip install 'dprnet[train]'") from None
    known = np.isin(np.arange(len(COARSE_CLASSES)), np.concatenate([t.labels for t in truths]))
    shape = (len(IOUS), len(RECALLS), len(COARSE_CLASSES))
    results = coco_results(found)
    if not results:
        return np.where(known, np.zeros(shape), np.nan)
    reference = COCO(coco_truth(truths))
    evaluation = COCOeval_faster(reference, reference.loadRes(results), "bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1].astype(np.float64)
    return np.where(known, precision, np.nan)


def coco_truth(truths: Sequence[Truth]) -> dict[str, Any]:
    """Truth in the form that COCO's evaluators load; images and categories are numbered from 1."""
    annotations = [entry for image, truth in enumerate(truths, 1) for entry in _annotations(image, truth)]
    for number, entry in enumerate(annotations, 1):
        entry["id"] = number
    categories = [{"id": c + 1, "name": name} for c, name in enumerate(COARSE_CLASSES)]
    listed = [{"id": image, "width": 1, "height": 1} for image in range(1, len(truths) + 1)]
    return {"images": listed, "annotations": annotations, "categories": categories, "info": {}}


def coco_results(found: Sequence[Detections]) -> list[dict[str, Any]]:
    """Detections in the form that COCO's evaluators load."""
    return [
        {"image_id": image, "category_id": int(label) + 1, "bbox": _xywh(box), "score": float(score)}
        for image, seen in enumerate(found, 1)
        for box, label, score in zip(seen.boxes_xyxy, seen.labels, seen.scores, strict=True)
    ]


def by_class(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average precision of each threshold and class, (T, 101, C) -> (T, C); NaN where a class has no true box."""
    average: NDArray[np.float64] = precision.mean(axis=1)  # a class is NaN in all of its recalls or in none
    return average


def bootstrap_ap(
    found: Sequence[Detections],
    truths: Sequence[Truth],
    samples: int,
    seed: int,
    ious: Sequence[float] | NDArray[np.float64] = IOUS,
) -> NDArray[np.float64]:
    """Average precisions in bootstrap samples of the images, (T, B, C); NaN: a sample has no true box of a class."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(truths), np.full(len(truths), 1 / len(truths)), size=samples)  # times an image is drawn
    classes = range(len(COARSE_CLASSES))
    return np.stack([average_precisions(found, truths, label, draws, ious) for label in classes], axis=2)


def average_precisions(
    found: Sequence[Detections],
    truths: Sequence[Truth],
    label: int,
    draws: NDArray[np.int64],
    ious: Sequence[float] | NDArray[np.float64] = IOUS,
) -> NDArray[np.float64]:
    """COCO's AP of one class with image j counted ``draws[b, j]`` times: (B, J) -> (T, B)."""
    true_boxes = draws @ np.array([(truth.labels == label).sum() for truth in truths])
    rows = []
    for iou in ious:
        image, hits = _ranked(found, truths, label, float(iou))
        step = max(1, AT_ONCE // max(len(image), 1))
        parts = [
            _interpolated(draws[start : start + step][:, image], hits, true_boxes[start : start + step])
            for start in range(0, len(draws), step)
        ]
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def ap50(
    found: Sequence[Detections], truths: Sequence[Truth], label: int, draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    """:func:`average_precisions` at IoU 0.5 alone: (B, J) -> (B,)."""
    first: NDArray[np.float64] = average_precisions(found, truths, label, draws, [0.5])[0]
    return first


def _ranked(
    found: Sequence[Detections], truths: Sequence[Truth], label: int, iou: float
) -> tuple[NDArray[np.int64], BoolArray]:
    """Image of each detection of a class, best score first, and whether it is right; what is set aside is left out."""
    image, score, right = [], [], []
    for number, (seen, truth) in enumerate(zip(found, truths, strict=True)):
        own = seen.labels == label
        true_boxes = truth.boxes_xyxy[truth.labels == label]
        hit, aside = match_class(seen.boxes_xyxy[own], seen.scores[own], true_boxes, truth.ignore_xyxy, iou)
        image.append(np.full(int((~aside).sum()), number))
        score.append(seen.scores[own][~aside])
        right.append(hit[~aside])
    order = np.argsort(-np.concatenate(score), kind="mergesort")
    return np.concatenate(image)[order].astype(np.int64), np.concatenate(right)[order].astype(bool)


def _interpolated(times: NDArray[np.int64], hits: BoolArray, true_boxes: NDArray[np.int64]) -> NDArray[np.float64]:
    """AP of ranked detections that each count ``times`` (B, N) -> (B,)."""
    good = np.cumsum(times * hits, axis=1)
    seen_so_far = np.cumsum(times, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = good / true_boxes[:, None]
        precision = np.where(seen_so_far > 0, good / seen_so_far, 0.0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    result = np.full(len(times), np.nan)
    for row in np.flatnonzero(true_boxes > 0):
        at = np.searchsorted(recall[row], RECALLS, side="left")
        reached = at < precision.shape[1]
        result[row] = precision[row, at[reached]].sum() / len(RECALLS)
    return result


def mean(values: NDArray[Any]) -> float:
    """Mean of what is a number; NaN where nothing is.

    >>> mean(np.array([1.0, np.nan, 2.0])), mean(np.array([np.nan]))
    (1.5, nan)
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean over all but the sample axis, over the samples: (..., B, C) with B the last but one axis."""
    means = [mean(samples[..., sample, :]) for sample in range(samples.shape[-2])]
    known = [value for value in means if not np.isnan(value)]
    if not known:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


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
