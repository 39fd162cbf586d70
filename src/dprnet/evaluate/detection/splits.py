"""Average precision split by occlusion, viewpoint and crop, as DeepFashion2 does (Ge et al. 2019, table 3).

In a row only the true boxes of its label count. All other true boxes, and those without the label, are ignore regions:
finding them is neither right nor wrong. A detection that shows no garment at all is wrong in every row, so a row of few
boxes is lower than the whole for that reason alone: rows are compared with one another between detectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dprnet.core.records import BoolArray, Detections, Truth
from dprnet.evaluate.detection.branches import BRANCHES
from dprnet.evaluate.detection.precision import by_class, coco_precision, mean


@dataclass(frozen=True)
class SplitFigures:
    """Average precisions over the true boxes of one label; mean over the classes that have any."""

    boxes: int
    ap: float
    ap50: float
    ap75: float


def split_figures(found: Sequence[Detections], truths: Sequence[Truth]) -> dict[str, SplitFigures]:
    """A row for each label that occurs, by names such as ``occlusion heavy``.

    Raises:
        MissingExtra: faster-coco-eval is not installed.
    """
    rows = {}
    for name, only in splits(truths):
        each = by_class(coco_precision(found, only))
        boxes = sum(len(truth) for truth in only)
        rows[name] = SplitFigures(boxes, mean(each), mean(each[0]), mean(each[5]))
    return rows


def splits(truths: Sequence[Truth]) -> Iterator[tuple[str, list[Truth]]]:
    """The truth in which only boxes of one label count, for each label that occurs."""
    for branch, classes in BRANCHES.items():
        for index, name in enumerate(classes):
            only = [keep(truth, getattr(truth, branch) == index) for truth in truths]
            if any(len(truth) for truth in only):
                yield f"{branch} {name}", only


def keep(truth: Truth, rows: BoolArray) -> Truth:
    """The truth with some boxes; the others become ignore regions."""
    columns = ("boxes_xyxy", "labels", "viewpoint", "occlusion", "crop", "instance")
    kept = {name: getattr(truth, name)[rows] for name in columns}
    return replace(truth, **kept, ignore_xyxy=np.concatenate([truth.ignore_xyxy, truth.boxes_xyxy[~rows]]))
