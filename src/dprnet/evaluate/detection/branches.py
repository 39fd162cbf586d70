"""How well a scoring branch judges: balanced accuracy, confusion, and whether its scores can be taken at their word.

Measured on true boxes that were found (best IoU, at least 0.5) and are labelled. What picking compares with its limits
is the score of the first class (frontal, slight, whole), so that is what reliability is measured of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import CROPS, OCCLUSIONS, VIEWPOINTS
from dprnet.core.records import Detections, FloatArray, IntArray, Truth
from dprnet.evaluate.detection.boxes import MATCH_IOU, overlaps
from dprnet.evaluate.detection.precision import mean

BRANCHES: Mapping[str, Sequence[str]] = {"viewpoint": VIEWPOINTS, "occlusion": OCCLUSIONS, "crop": CROPS}
BINS = 10  # Guo et al. 2017 take 15; ours, because sets here are small
SAMPLES = 1000  # of the bootstrap over images


@dataclass(frozen=True)
class Bin:
    """One bar of the reliability diagram."""

    low: float
    high: float
    boxes: int
    score: float
    """Mean score of the boxes whose score lies in [low, high); NaN without boxes."""
    good: float
    """Share of these boxes that are truly of the first class; equal to the score where it can be taken at its word."""


@dataclass(frozen=True)
class BranchFigures:
    """One scoring branch, on true boxes that were found and are labelled."""

    balanced_accuracy: float
    """Mean over the true classes of the share judged right; chance is 1 / number of classes. NaN without labels."""
    recalls: dict[str, float]
    """Share judged right, a true class (only those that occur)."""
    boxes: int
    interval: tuple[float, float] = (float("nan"), float("nan"))
    """Of the balanced accuracy, 95 %, bootstrap over images."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Boxes by true class (rows) and judged class (columns)."""
    reliability: tuple[Bin, ...] = ()
    calibration_error: float = float("nan")
    """Mean gap of score and share over the bins, weighted by boxes (Naeini et al. 2015)."""
    brier: float = float("nan")
    """Mean squared gap of the score and the truth (1 of the first class, else 0)."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a branch said of the true boxes that were found and are labelled; B boxes."""

    image: IntArray
    """(B,)"""
    truth: IntArray
    """(B,) index of the true class."""
    chances: FloatArray
    """(B, classes)"""


def branch_figures(
    found: Sequence[Detections], truths: Sequence[Truth], branch: str, *, samples: int = SAMPLES, seed: int = 0
) -> BranchFigures:
    """Measure one scoring branch; detections and truth an image each."""
    return judged_figures(judge(found, truths, branch), BRANCHES[branch], len(truths), samples=samples, seed=seed)


def judge(found: Sequence[Detections], truths: Sequence[Truth], branch: str) -> Judged:
    """What the branch said of each labelled true box, by the detection that overlaps it most (at least by half)."""
    image, true, said = [], [], []
    for number, (seen, truth) in enumerate(zip(found, truths, strict=True)):
        overlap = overlaps(truth.boxes_xyxy, seen.boxes_xyxy)
        if not overlap.size:
            continue
        nearest = overlap.argmax(axis=1)
        usable = (overlap.max(axis=1) >= MATCH_IOU) & (getattr(truth, branch) >= 0)
        image.append(np.full(int(usable.sum()), number))
        true.append(getattr(truth, branch)[usable])
        said.append(getattr(seen, branch)[nearest[usable]])
    empty = np.zeros(0, np.int64)
    return Judged(
        np.concatenate(image or [empty]).astype(np.int64),
        np.concatenate(true or [empty]).astype(np.int64),
        np.concatenate(said or [np.zeros((0, len(BRANCHES[branch])))]).astype(np.float32),
    )


def judged_figures(
    judged: Judged, classes: Sequence[str], images: int, *, samples: int = SAMPLES, seed: int = 0
) -> BranchFigures:
    """The figures of what was judged, over so many images."""
    said = judged.chances.argmax(axis=1) if len(judged.chances) else np.zeros(0, np.int64)
    table = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(table, (judged.truth, said), 1)
    recalls = {name: float(table[c, c] / table[c].sum()) for c, name in enumerate(classes) if table[c].sum()}
    score, good = judged.chances[:, 0].astype(np.float64).round(6), judged.truth == 0  # 0.9 of 32 bits is 0.89999998
    bars = reliability(score, good.astype(np.float64))
    return BranchFigures(
        balanced_accuracy=mean(np.array(list(recalls.values()))),
        recalls=recalls,
        boxes=len(judged.truth),
        interval=_interval(judged, said, len(classes), images, samples, seed),
        confusion=tuple(tuple(row) for row in table.tolist()),
        reliability=bars,
        calibration_error=calibration_error(bars),
        brier=mean((score - good) ** 2),
    )


def reliability(score: NDArray[np.float64], good: NDArray[np.float64], bins: int = BINS) -> tuple[Bin, ...]:
    """Scores (N,) and truth (N,) in equally wide bins.

    >>> [(b.boxes, b.score, b.good) for b in reliability(np.array([0.1, 0.9, 1.0]), np.array([0.0, 1.0, 0.0]), 2)]
    [(1, 0.1, 0.0), (2, 0.95, 0.5)]
    """
    place = np.minimum((score * bins).astype(int), bins - 1)
    rows = [place == number for number in range(bins)]
    return tuple(
        Bin(number / bins, (number + 1) / bins, int(row.sum()), mean(score[row]), mean(good[row]))
        for number, row in enumerate(rows)
    )


def calibration_error(bars: Sequence[Bin]) -> float:
    """Mean of |score - share| over the bins, weighted by their boxes.

    >>> round(calibration_error(reliability(np.array([0.1, 0.9, 1.0]), np.array([0.0, 1.0, 0.0]), 2)), 4)
    0.3333
    """
    full = [bar for bar in bars if bar.boxes]
    total = sum(bar.boxes for bar in full)
    return sum(bar.boxes * abs(bar.score - bar.good) for bar in full) / total if total else float("nan")


def _interval(
    judged: Judged, said: IntArray, classes: int, images: int, samples: int, seed: int
) -> tuple[float, float]:
    if not len(judged.truth):
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=samples)
    right, of_class = np.zeros((images, classes)), np.zeros((images, classes))
    np.add.at(of_class, (judged.image, judged.truth), 1)
    np.add.at(right, (judged.image, judged.truth), said == judged.truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (draws @ right) / (draws @ of_class)  # (samples, classes); NaN where a sample lacks a class
    known = [value for value in (mean(row) for row in shares) if not np.isnan(value)]
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
