"""The instance branch against what else could tell garments apart, on the same boxes (paper, sections 3.1 and 3.2).

Only detections that show a true garment count, in pools of one video and coarse class, as picking compares them. Every
method has one cut (a distance, or the overlap of a tracker), fitted on the same validation videos; it is judged on the
test videos at that cut, and its whole curve is reported beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dprnet.core.errors import BadDataset
from dprnet.evaluate.bootstrap import Interval, difference_interval, ratio_interval
from dprnet.evaluate.detection.methods import Method, showing
from dprnet.evaluate.metrics import adjusted_rand_index, pair_counts, ratio
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.seen import Seen

# Shape legend:  K cuts   V videos   P pairs

ROC_POINTS = 101  # of the curve that is kept


@dataclass(frozen=True)
class CutFigures:
    """What one cut gives."""

    cut: float
    f1: float
    """Over pairs of all videos."""
    adjusted_rand: float
    """Mean over videos."""


@dataclass(frozen=True)
class MethodFigures:
    """One method on the test videos."""

    name: str
    cut: float
    """Fitted on the validation videos: the middle of the values with the highest F1 there."""
    f1: Interval
    adjusted_rand: Interval
    auc: float
    """Chance that a pair of views of one garment is nearer than a pair of two; NaN for a method without distances."""
    roc: tuple[tuple[float, float], ...]
    """(share of pairs of two garments, share of pairs of one) that lie below a distance, both ascending."""
    curve: tuple[CutFigures, ...]
    """On the test videos at every cut (not what the cut is chosen by)."""
    fitted_on: tuple[CutFigures, ...]
    """On the validation videos at every cut."""
    behind_first: Interval | None = None
    """F1 of the first method less that of this one, paired over videos; None for the first."""


@dataclass(frozen=True)
class InstanceFigures:
    """Every method, the instance branch first."""

    videos: int
    views: int
    """Detections that show a garment."""
    pairs: int
    methods: tuple[MethodFigures, ...]
    set_id: str = ""
    validation_id: str = ""
    detector: str = ""
    every: str = ""


def evaluate_instances(
    test: Sequence[Seen],
    validation: Sequence[Seen],
    methods: Sequence[Method],
    *,
    set_id: str = "",
    validation_id: str = "",
    detector: str = "",
    every: str = "",
) -> InstanceFigures:
    """Fit every method's cut on the validation videos and judge it on the test videos.

    Args:
        test, validation: detections and truth of each video, as :func:`dprnet.evaluate.seen.see` gives them.
        methods: the first is what the others are compared with.
        set_id, validation_id, detector, every: what the figures are of; copied into them.

    Raises:
        BadDataset: no two detections of a video show garments, in either set.
    """
    counts = [[len(showing(video)) for video in videos] for videos in (test, validation)]
    for name, views in zip(("test", "validation"), counts, strict=True):
        if max(views, default=0) < 2:
            raise BadDataset(f"{name} videos", f"no two detections show garments in any of {len(views)} videos")
    figures: list[MethodFigures] = []
    first: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    for method in methods:
        fitted_on = _curve(method, validation)[0]
        best = _middle_of_best([point.f1 for point in fitted_on])
        curve, pairs, rands = _curve(method, test)
        own = pairs[:, best, 0], pairs[:, best, 1]
        known = rands[np.isfinite(rands[:, best]), best]
        auc, roc = _roc(method, test)
        behind = None if first is None else difference_interval(first, own)
        first = first or own
        f1, rand = ratio_interval(*own), ratio_interval(known, np.ones(len(known)))
        figures.append(MethodFigures(method.name, method.cuts[best], f1, rand, auc, roc, curve, fitted_on, behind))
    pairs_of = sum(int(n * (n - 1) // 2) for n in counts[0])
    told = {"set_id": set_id, "validation_id": validation_id, "detector": detector, "every": every}
    return InstanceFigures(len(test), sum(counts[0]), pairs_of, tuple(figures), **told)


def _curve(
    method: Method, videos: Sequence[Seen]
) -> tuple[tuple[CutFigures, ...], NDArray[np.int64], NDArray[np.float64]]:
    """Figures at every cut; (V, K, 2) twice the right pairs and the pairs of both; (V, K) adjusted Rand index."""
    pairs = np.zeros((len(videos), len(method.cuts), 2), np.int64)
    rands = np.full((len(videos), len(method.cuts)), np.nan)
    for number, video in enumerate(videos):
        rows = showing(video)
        if not len(rows):
            continue
        truth = shown_instances(video)[rows]
        for step, clusters in enumerate(method.clusters(video)):
            both, in_truth, in_clusters, _ = pair_counts(truth, clusters)
            pairs[number, step] = 2 * both, in_truth + in_clusters
            rands[number, step] = adjusted_rand_index(truth, clusters)
    sums = pairs.sum(axis=0)
    f1 = [ratio(int(right), int(whole)) for right, whole in sums]
    mean = [float(column[np.isfinite(column)].mean()) if np.isfinite(column).any() else float("nan")
            for column in rands.T]  # fmt: skip
    return tuple(map(CutFigures, method.cuts, f1, mean)), pairs, rands


def _roc(method: Method, videos: Sequence[Seen]) -> tuple[float, tuple[tuple[float, float], ...]]:
    if method.distances is None:
        return float("nan"), ()
    parts = [part for video in videos for part in method.distances(video)]
    distance = np.concatenate([part[0] for part in parts])
    same = np.concatenate([part[1] for part in parts])
    return roc(distance, same)


def roc(
    distance: NDArray[np.float64], same: NDArray[np.bool_], points: int = ROC_POINTS
) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Area under the same/different curve, ties counted half, and the curve at evenly spaced places; (P,) each.

    >>> roc(np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, False, True, False]))[0]
    0.75
    """
    if same.all() or not same.any():
        return float("nan"), ()
    order = np.argsort(distance, kind="stable")
    last = np.append(np.flatnonzero(np.diff(distance[order])), len(order) - 1)  # of each group of equal distances
    true = np.append(0, np.cumsum(same[order])[last] / same.sum())
    false = np.append(0, np.cumsum(~same[order])[last] / (~same).sum())
    places = np.unique(np.linspace(0, len(true) - 1, points).round().astype(int))
    kept = tuple((float(false[place]), float(true[place])) for place in places)
    return float(np.trapezoid(true, false)), kept


def _middle_of_best(values: Sequence[float]) -> int:
    """The middle of the longest run of the highest value.

    >>> _middle_of_best([0.1, 0.9, 0.9, 0.9, 0.2, 0.9])
    2
    """
    top = np.array(values) == np.nanmax(values)
    starts = np.flatnonzero(np.diff(np.append(False, top).astype(int)) == 1)
    lengths = [int(np.argmin(np.append(top[start:], False))) for start in starts]
    longest = int(np.argmax(lengths))
    return int(starts[longest] + (lengths[longest] - 1) // 2)
