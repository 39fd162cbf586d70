"""What false detections are: twice the same, the wrong class, a poor box, or apart from all that is labelled.

Street photos label one person; bystanders are there, but nobody labelled them. A detection far from every labelled box
is therefore counted apart: it may show a bystander's garment, or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dprnet.core.records import BoolArray, Detections, Truth
from dprnet.evaluate.detection.boxes import MATCH_IOU, match_class, overlaps

SURE = 0.5  # ours: score from which a detection is counted here
NEAR = 0.1  # ours (as TIDE, Bolya et al. 2020): share of a detection that must lie in a labelled box to be near it
KINDS = ("right", "set_aside", "duplicate", "other_class", "poor_box", "apart")


@dataclass(frozen=True)
class Faults:
    """Detections with a score of at least 0.5, each in one kind."""

    right: int
    set_aside: int
    """In an ignore region."""
    duplicate: int
    """Overlaps a true box of its class that a better scored detection already has."""
    other_class: int
    """Overlaps a true box of another class by half."""
    poor_box: int
    """Near a labelled box, but overlaps none by half."""
    apart: int
    """Far from every labelled box: an unlabelled bystander, or nothing."""
    missed: int
    """True boxes that none of these detections shows."""


def faults(found: Sequence[Detections], truths: Sequence[Truth]) -> Faults:
    """Sort the sure detections of all images into their kinds."""
    counts: Counter[str] = Counter()
    for seen, truth in zip(found, truths, strict=True):
        sure = seen[seen.scores >= SURE]
        kinds = kinds_of(sure, truth)
        counts.update(kinds)
        counts["missed"] += len(truth) - kinds.count("right")
    return Faults(**{name: counts[name] for name in (*KINDS, "missed")})


def kinds_of(seen: Detections, truth: Truth) -> list[str]:
    """The kind of each detection of an image, of KINDS."""
    right, aside = np.zeros(len(seen), bool), np.zeros(len(seen), bool)
    for label in np.unique(seen.labels):
        own = np.flatnonzero(seen.labels == label)
        true_boxes = truth.boxes_xyxy[truth.labels == label]
        right[own], aside[own] = match_class(seen.boxes_xyxy[own], seen.scores[own], true_boxes, truth.ignore_xyxy)
    overlap = overlaps(seen.boxes_xyxy, truth.boxes_xyxy) >= MATCH_IOU
    same = seen.labels[:, None] == truth.labels[None]
    far = is_apart(seen, truth)
    kinds = []
    for row in range(len(seen)):
        if right[row] or aside[row]:
            kinds.append("right" if right[row] else "set_aside")
        elif (overlap[row] & same[row]).any():
            kinds.append("duplicate")
        elif overlap[row].any():
            kinds.append("other_class")
        else:
            kinds.append("apart" if far[row] else "poor_box")
    return kinds


def is_apart(seen: Detections, truth: Truth) -> BoolArray:
    """(N,) True where less than a tenth of a detection lies in any labelled box or ignore region."""
    labelled = np.concatenate([truth.boxes_xyxy, truth.ignore_xyxy])
    shares = overlaps(seen.boxes_xyxy, labelled, of_first=True)
    return np.asarray((shares < NEAR).all(axis=1), bool)


def without_apart(found: Sequence[Detections], truths: Sequence[Truth]) -> list[Detections]:
    """The detections of each image without those that are apart from all that is labelled."""
    return [seen[~is_apart(seen, truth)] for seen, truth in zip(found, truths, strict=True)]
