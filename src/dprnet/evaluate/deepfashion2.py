"""Consumer-to-shop retrieval on DeepFashion2 by its own protocol (Ge et al. 2019), with detected or with true boxes.

A query is a garment with an identity on a photo of a user; the gallery is what is seen on the photos of shops. With
detected boxes a query is answered by the detection with the highest score among those that show this garment (best IoU)
and agree with its class; without one it is a miss. What is found is right where it lies on the same garment with an IoU
of at least 0.5. All queries count, also the missed. Published (Match R-CNN, detected boxes, validation), top 1, 5, 10,
15, 20: by class .079 .198 .273 .329 .366; by class and key points .192 .345 .435 .488 .524.

Classes agree as coarse classes, since a detection record holds no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dprnet.core.errors import BadDataset
from dprnet.core.images import cut_out
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Detections, FloatArray, Frame, IntArray, Truth
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.evaluate.bootstrap import Interval, ratio_interval
from dprnet.evaluate.metrics import LEAST_IOU, iou
from dprnet.evaluate.views import Describe, of_views

TOP = (1, 5, 10, 15, 20)  # Ge et al. 2019
BLOCK = 256  # queries compared with the gallery at once

Detects = Callable[[Iterable[Frame]], Iterator[Detections]]


@dataclass(frozen=True)
class DeepFashion2Figures:
    """Recall at each of TOP; intervals by bootstrap over queries."""

    recall: dict[int, Interval]
    queries: int
    """All garments with an identity on photos of users."""
    answered: int
    """Queries for which a detection stands; all of them with true boxes."""
    gallery: int
    """Boxes on photos of shops."""
    boxes: str
    """``detected`` or ``true``."""


def evaluate_deepfashion2(
    images: DeepFashion2, embed: Describe, detector: Detects | None = None, *, progress: Progress = SILENT
) -> DeepFashion2Figures:
    """Run the protocol over a split.

    Args:
        images: of one split, usually validation.
        embed: crops -> (N, D) vectors of length 1.
        detector: frames -> detections; None takes the true boxes.

    Raises:
        BadDataset: no query, or an empty gallery.
    """
    wanted: list[int] = []
    queries: list[FloatArray] = []
    answered: list[int] = []
    found: list[FloatArray] = []
    shown: list[int] = []
    for row in progress.track(range(len(images)), "reading photos", len(images)):
        image, shop = images[row], bool(images.from_shop[row])
        frame = Frame(image.load(), index=row, time_s=0.0)
        boxes, instances = _boxes(frame, image.truth, shop, detector)
        describe = embed if shop else of_views(embed)
        vectors = describe([cut_out(frame.image, box) for box in boxes]) if len(boxes) else np.zeros((0, 1), np.float32)
        if shop:
            found += list(vectors)
            shown += instances.tolist()
            continue
        own = image.truth.instance[image.truth.instance >= 0].tolist()
        for instance, vector in zip(instances.tolist(), vectors, strict=True):
            # The first of the photo's open queries for this garment (a photo may show one garment twice).
            answered.append(len(wanted) + own.index(instance))
            queries.append(vector)
            own[own.index(instance)] = -1
        wanted += image.truth.instance[image.truth.instance >= 0].tolist()
    if not wanted or not found:
        raise BadDataset(images.folder, f"{len(wanted)} queries, {len(found)} boxes of shops; both are needed")
    rank = np.full(len(wanted), np.iinfo(np.int64).max)
    if queries:
        target = np.array(wanted)[answered]
        rank[answered] = ranks(np.stack(queries), target, np.stack(found), np.array(shown))
    ones = np.ones(len(wanted))
    recall = {k: ratio_interval((rank <= k).astype(float), ones) for k in TOP}
    kind = "true" if detector is None else "detected"
    return DeepFashion2Figures(recall, len(wanted), len(answered), len(found), kind)


def ranks(queries: FloatArray, wanted: IntArray, gallery: FloatArray, shown: IntArray) -> IntArray:
    """(Q,) place, from 1, of the most similar gallery box that shows the wanted garment; a huge one where none does.

    Args:
        queries: (Q, D) and gallery: (G, D), of length 1; wanted: (Q,) and shown: (G,), -1 shows no known garment.

    >>> ranks(np.eye(2), np.array([7, 7]), np.array([[1.0, 0], [0, 1]]), np.array([-1, 7]))
    array([2, 1])
    """
    found = np.full(len(queries), np.iinfo(np.int64).max)
    for start in range(0, len(queries), BLOCK):
        rows = slice(start, start + BLOCK)
        similarity = queries[rows] @ gallery.T
        right = np.where(wanted[rows, None] == shown[None], similarity, -np.inf)
        best = right.max(axis=1)
        before = (similarity > best[:, None]).sum(axis=1)
        found[rows] = np.where(np.isfinite(best), before + 1, found[rows])
    return found


def answers(seen: Detections, truth: Truth) -> IntArray:
    """(M,) the detection that answers for each true box, or -1.

    It has the highest score among those whose best true box (IoU, at least 0.5) is this one and whose class agrees.
    """
    answer = np.full(len(truth), -1, np.int64)
    shares = iou(seen.boxes_xyxy, truth.boxes_xyxy)
    for row in np.argsort(-seen.scores, kind="stable"):
        best = int(shares[row].argmax()) if len(truth) else -1
        agrees = best >= 0 and shares[row, best] >= LEAST_IOU and seen.labels[row] == truth.labels[best]
        if agrees and answer[best] < 0:
            answer[best] = row
    return answer


def _boxes(frame: Frame, truth: Truth, shop: bool, detector: Detects | None) -> tuple[FloatArray, IntArray]:
    """The boxes of a photo to embed, and the garment that each stands for or shows (-1: none)."""
    if detector is None:
        known = truth.instance >= 0
        return (truth.boxes_xyxy, truth.instance) if shop else (truth.boxes_xyxy[known], truth.instance[known])
    seen = next(iter(detector([frame])))
    if not shop:
        rows = answers(seen, truth)
        usable = (rows >= 0) & (truth.instance >= 0)
        return seen.boxes_xyxy[rows[usable]], truth.instance[usable]
    shares = iou(seen.boxes_xyxy, truth.boxes_xyxy)
    if not shares.size:
        return seen.boxes_xyxy, np.full(len(seen), -1, np.int64)
    best = shares.argmax(axis=1)
    shows = shares[np.arange(len(seen)), best] >= LEAST_IOU
    return seen.boxes_xyxy, np.where(shows, truth.instance[best], -1)
