"""How well garments are picked (paper, section 4.2), with why each missed garment was missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from dprnet.core.records import BoolArray, IntArray, Picks
from dprnet.evaluate.bootstrap import ROUNDS, SEED, Interval, difference_interval, ratio_interval
from dprnet.evaluate.metrics import adjusted_rand_index, class_name, pair_counts
from dprnet.evaluate.pick_counts import PickCounts, pick_counts
from dprnet.evaluate.seen import Seen
from dprnet.pick import PickConfig, pick

# Why an instance that counts was not picked, in the order of the flow.
NOT_DETECTED, NO_GOOD_VIEW, TOO_BRIEF, MERGED = (
    "not detected",
    "no good view",
    "seen too briefly",
    "merged with another",
)

RATIOS: Mapping[str, tuple[str, str]] = {
    "r_pick": ("picked", "instances"),
    "r_duplication": ("duplicated", "picked"),
    "r_optimal": ("optimal", "picked"),
    "precision": ("right", "picks"),
}


@dataclass(frozen=True, slots=True)
class PickingFigures:
    """R_pick, R_duplication and R_optimal are read together (the last two are over the picked instances only)."""

    r_pick: Interval
    r_duplication: Interval
    r_optimal: Interval
    precision: Interval
    clustering_f1: Interval
    """F1 over pairs of detections that show a true instance; pairs of all videos together."""
    adjusted_rand: Interval
    """Mean over videos."""
    counts: PickCounts
    missed: Mapping[str, int]
    """Instances not picked, by the stage at which they were lost."""
    videos: Mapping[str, PickCounts]
    by_class: Mapping[str, Mapping[str, Interval]]
    """The four ratios of each class that occurs; a false pick is of the class that was detected."""
    settings: Mapping[str, Any]
    set_id: str = ""
    detector: str = ""
    every: str = ""
    bootstrap_rounds: int = ROUNDS
    bootstrap_seed: int = SEED


def evaluate_picking(
    seen: Sequence[Seen], config: PickConfig, *, set_id: str = "", detector: str = "", every: str = ""
) -> PickingFigures:
    """Pick in every video and measure; intervals by bootstrap over whole videos.

    Args:
        seen: detections and truth of each video, as :func:`dprnet.evaluate.seen.see` gives them.
        config: how to pick.
        set_id, detector, every: what the figures are of; copied into them.
    """
    picks = [pick(video.detections, config) for video in seen]
    counts = [count_picks(video, found) for video, found in zip(seen, picks, strict=True)]
    pairs = np.array([_pairs(video, found) for video, found in zip(seen, picks, strict=True)]).reshape(-1, 2)
    rand = np.array([_rand(video, found) for video, found in zip(seen, picks, strict=True)], np.float64)
    known = rand[np.isfinite(rand)]
    missed: Counter[str] = Counter()
    for video, found in zip(seen, picks, strict=True):
        missed.update(why_missed(video, found).values())
    ratios = _ratios(counts)
    return PickingFigures(
        r_pick=ratios["r_pick"],
        r_duplication=ratios["r_duplication"],
        r_optimal=ratios["r_optimal"],
        precision=ratios["precision"],
        clustering_f1=ratio_interval(pairs[:, 0], pairs[:, 1]),
        adjusted_rand=ratio_interval(known, np.ones(len(known))),
        counts=reduce(add, counts, PickCounts()),
        missed={reason: missed[reason] for reason in (NOT_DETECTED, NO_GOOD_VIEW, TOO_BRIEF, MERGED)},
        videos={video.truth.name: count for video, count in zip(seen, counts, strict=True)},
        by_class=_by_class(seen, picks),
        settings=config.model_dump(),
        set_id=set_id,
        detector=detector,
        every=every,
    )


def compare_picking(a: PickingFigures, b: PickingFigures) -> dict[str, Interval]:
    """Each measure of a less that of b, paired over the same videos.

    Raises:
        ValueError: the two are not of the same videos.
    """
    if a.videos.keys() != b.videos.keys():
        raise ValueError(
            f"figures of {len(a.videos)} and {len(b.videos)} videos that are not the same cannot be paired"
        )
    names = sorted(a.videos)
    first, second = [a.videos[name] for name in names], [b.videos[name] for name in names]
    return {name: difference_interval(_columns(first, name), _columns(second, name)) for name in RATIOS}


def count_picks(seen: Seen, picks: Picks, label: int | None = None) -> PickCounts:
    """The counts of one video, or of one class in it; a false pick in an ignored region is left out."""
    rows = picks.best[picks.picked]
    rows = rows[(seen.views[rows] >= 0) | ~seen.ignored[rows]]
    truth, counted = seen.truth, seen.truth.counted
    if label is not None:
        of = labels_of(seen)
        counted = tuple(number for number in counted if of[number] == label)
        shown = shown_instances(seen)[rows]
        said = picks.detections.labels[rows]
        rows = rows[
            np.array(
                [of.get(int(number), int(seen_as)) == label for number, seen_as in zip(shown, said, strict=True)], bool
            )
        ]
    return pick_counts(seen.views[rows], picks.detections.overall[rows], truth.instance, truth.quality, counted)


def labels_of(seen: Seen) -> dict[int, int]:
    """The coarse class of each true instance of a video."""
    return dict(zip(seen.truth.instance.tolist(), seen.truth.label.tolist(), strict=True))


def _by_class(seen: Sequence[Seen], picks: Sequence[Picks]) -> dict[str, dict[str, Interval]]:
    labels = sorted({labels_of(video)[number] for video in seen for number in video.truth.counted})
    each = {}
    for label in labels:
        counts = [count_picks(video, found, label) for video, found in zip(seen, picks, strict=True)]
        each[class_name(label)] = _ratios(counts)
    return each


def _ratios(counts: Sequence[PickCounts]) -> dict[str, Interval]:
    return {name: ratio_interval(*_columns(counts, name)) for name in RATIOS}


def why_missed(seen: Seen, picks: Picks) -> dict[int, str]:
    """The reason for each counted instance that was not picked.

    ``not detected``: no detection shows it. ``no good view``: none of those that do passes the limits. ``seen too
    briefly``: its garment is seen in too few frames. ``merged with another``: its good views lie in a garment whose
    best view shows something else.
    """
    good = ~picks.failing.any(axis=1) & (picks.detections.scores > np.float32(picks.min_score))
    shown = shown_instances(seen)
    picked = set(shown[picks.best[picks.picked]].tolist())
    reasons = {}
    for number in seen.truth.counted:
        if number in picked:
            continue
        rows = np.flatnonzero(shown == number)
        best_of_its_own = shown[picks.best[picks.instance[rows[good[rows]]]]] == number
        if len(rows) == 0:
            reasons[number] = NOT_DETECTED
        elif not good[rows].any():
            reasons[number] = NO_GOOD_VIEW
        else:
            reasons[number] = TOO_BRIEF if best_of_its_own.any() else MERGED
    return reasons


def shown_instances(seen: Seen) -> IntArray:
    """(N,) the true instance that each detection shows, or -1."""
    if len(seen.truth.instance) == 0:
        return np.full(len(seen.views), -1, np.int64)
    shown: IntArray = np.where(seen.views >= 0, seen.truth.instance[seen.views], -1)
    return shown


def _columns(counts: Sequence[PickCounts], name: str) -> tuple[IntArray, IntArray]:
    part, whole = (np.array([getattr(count, key) for count in counts], np.int64) for key in RATIOS[name])
    return part, whole


def _pairs(seen: Seen, picks: Picks) -> tuple[int, int]:
    shown = shown_instances(seen)
    true: BoolArray = shown >= 0
    both, in_truth, in_clusters, _ = pair_counts(shown[true], picks.instance[true])
    return 2 * both, in_truth + in_clusters


def _rand(seen: Seen, picks: Picks) -> float:
    shown = shown_instances(seen)
    return adjusted_rand_index(shown[shown >= 0], picks.instance[shown >= 0])
