"""How well "exact, similar or none" is said, on videos with truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.errors import MissingExtra
from dprnet.core.records import Decision
from dprnet.evaluate.bootstrap import Interval, ratio_interval
from dprnet.evaluate.match_cases import EXACT, NOTHING, MatchCase
from dprnet.evaluate.metrics import class_name
from dprnet.gallery.decision import MatchingConfig, probabilities

Values = NDArray[np.float64]

DECISIONS: tuple[Decision, ...] = ("none", "similar", "exact")  # in the order of the relations
BINS = 8  # ours: some twenty picks each on a validation set of thirty videos


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases of like probability."""

    probability: float
    """Weighted mean."""
    true: float
    """Weighted share of which it is true."""
    cases: int
    weight: float


@dataclass(frozen=True, slots=True)
class MatchFigures:
    """What "exact, similar or none" is worth; intervals by bootstrap over whole videos."""

    precision_of_exact: Interval
    """Share of the picks called exact whose first item is the garment; a pick that shows no garment is wrong."""
    exact_of_sold: Interval
    """Share of all garments with an item that are called exact and are it; those that were not picked are not."""
    exact_of_sold_picked: Interval
    """The same over the picked ones."""
    absent_not_exact: Interval
    """Share of the picked garments without an item that are not called exact."""
    precision_of_exact_same_class: Interval
    """As the first, but a pick of another coarse class than its garment's is wrong, as in R_pick."""
    said: Mapping[str, Mapping[str, int]]
    """Picks by what was said and what is true."""
    reliability: Mapping[str, tuple[ReliabilityBin, ...]]
    """Of exact, and of similar or better."""
    calibration_error: Mapping[str, float]
    """Mean distance of probability and truth over the bins."""
    picks: int
    exact_above: float
    own_curves: tuple[str, ...]
    """Classes with a curve of their own."""


def match_figures(
    cases: Sequence[MatchCase], config: MatchingConfig, missed_sold: Mapping[str, int], videos: Sequence[str]
) -> MatchFigures:
    """Measure decisions on cases of a set (none of them with its item hidden).

    Args:
        missed_sold: by video, garments with an item that were not picked at all.
        videos: the names of all videos, for the intervals.
    """
    found = _probabilities(cases, config)
    exact = found[:, 2] >= config.exact_above
    similar = ~exact & (1 - found[:, 0] >= config.similar_above)
    said = np.where(exact, 2, np.where(similar, 1, 0))
    relation = np.array([case.relation for case in cases], np.int64)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(videos, 0))
    for row, case in enumerate(cases):
        counts["exact"][case.video] += exact[row]
        counts["right"][case.video] += exact[row] and case.relation == EXACT
        counts["strict"][case.video] += exact[row] and case.relation == EXACT and case.same_class
    for row in speakers(cases):
        case, kind = cases[row], "sold" if cases[row].sold else "absent"
        counts[kind][case.video] += 1
        counts[f"{kind} exact"][case.video] += exact[row] and (case.relation == EXACT or not case.sold)
    whole = {name: counts["sold"][name] + missed_sold.get(name, 0) for name in videos}

    def share(part: Mapping[str, int], all_of: Mapping[str, int]) -> Interval:
        return ratio_interval(*(np.array([one[name] for name in videos], np.int64) for one in (part, all_of)))

    kept = {name: counts["absent"][name] - counts["absent exact"][name] for name in videos}
    bars = {
        "exact": reliability(found[:, 2], relation == EXACT),
        "similar or better": reliability(1 - found[:, 0], relation >= 1),
    }
    return MatchFigures(
        precision_of_exact=share(counts["right"], counts["exact"]),
        exact_of_sold=share(counts["sold exact"], whole),
        exact_of_sold_picked=share(counts["sold exact"], counts["sold"]),
        absent_not_exact=share(kept, counts["absent"]),
        precision_of_exact_same_class=share(counts["strict"], counts["exact"]),
        said={
            word: {truth: int(((said == s) & (relation == t)).sum()) for t, truth in enumerate(DECISIONS)}
            for s, word in enumerate(DECISIONS)
        },
        reliability=bars,
        calibration_error={name: calibration_error(one) for name, one in bars.items()},
        picks=len(cases),
        exact_above=config.exact_above,
        own_curves=tuple(config.classes),
    )


def speakers(cases: Sequence[MatchCase]) -> list[int]:
    """The rows that speak for a garment: of its picks the one of its own class, and of the highest quality."""
    best: dict[tuple[str, int], int] = {}
    for row, case in enumerate(cases):
        key = case.video, case.instance
        if case.instance != NOTHING and not case.hidden:
            old = cases[best[key]] if key in best else None
            if old is None or (case.same_class, case.overall) > (old.same_class, old.overall):
                best[key] = row
    return sorted(best.values())


def reliability(
    probability: Values, true: NDArray[np.bool_], weight: Values | None = None
) -> tuple[ReliabilityBin, ...]:
    """Cases in bins of equal weight, by probability.

    >>> bins = reliability(np.array([0.1, 0.9] * 8), np.array([False, True] * 8))
    >>> len(bins), bins[0], bins[-1].true
    (8, ReliabilityBin(probability=0.1, true=0.0, cases=2, weight=2.0), 1.0)
    """
    weight = np.ones(len(probability)) if weight is None else weight
    order = np.argsort(probability, kind="stable")
    middle = np.cumsum(weight[order]) - weight[order] / 2
    number = np.minimum((BINS * middle / max(weight.sum(), 1e-12)).astype(int), BINS - 1)
    parts = [order[number == one] for one in range(BINS) if (number == one).any()]
    return tuple(
        ReliabilityBin(
            round(float(np.average(probability[part], weights=weight[part])), 6),
            float(np.average(true[part], weights=weight[part])),
            len(part),
            float(weight[part].sum()),
        )
        for part in parts
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean distance of probability and truth, by weight; NaN of none.

    >>> calibration_error([ReliabilityBin(0.5, 0.75, 3, 3.0), ReliabilityBin(0.5, 0.5, 1, 1.0)])
    0.1875
    """
    whole = sum(one.weight for one in bins)
    return sum(abs(one.probability - one.true) * one.weight for one in bins) / whole if whole else float("nan")


def plot_reliability(
    bars: Mapping[str, Sequence[ReliabilityBin]], curve: Sequence[tuple[float, float, float]], mark: float, path: Path,
    title: str = "",
) -> None:  # fmt: skip
    """Draw how often what was said with a probability is true, and what each threshold of exact gives.

    Args:
        bars: bins by name.
        curve: threshold, precision of exact, share of the picked garments with an item that are called exact.
        mark: the threshold that is used.
        path: PNG, SVG or PDF.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "the plot needs it; install dprnet[train]") from None
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    axes = figure.subplots(1, len(bars) + 1)
    for axis, (name, bins) in zip(axes, bars.items(), strict=False):
        _draw_bins(axis, name, bins)
    last = axes[-1]
    if curve:
        thresholds, precision, coverage = zip(*curve, strict=True)
        last.step(thresholds, precision, "-", where="pre", label="precision of exact")
        last.step(thresholds, coverage, "--", where="pre", label="garments with an item called exact")
    last.axvline(mark, color="0.5", linewidth=1)
    last.annotate(f"used: {mark:.2f}", (mark, 0.02), fontsize=8, ha="right", xytext=(-3, 0), textcoords="offset points")
    last.set(xlabel="called exact from this probability on", xlim=(0, 1), ylim=(0, 1.02))
    last.legend(loc="lower left", fontsize="small", bbox_to_anchor=(0, 0.06))
    last.grid(alpha=0.3)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=110)


def threshold_curve(
    probability: Values, relation: NDArray[np.int64], sold: NDArray[np.bool_], weight: Values
) -> list[tuple[float, float, float]]:
    """What each threshold would give: threshold, precision of exact, share of those with an item called exact.

    >>> threshold_curve(np.array([0.9, 0.4]), np.array([2, 0]), np.array([True, True]), np.ones(2))
    [(0.4, 0.5, 0.5), (0.9, 1.0, 0.5)]
    """
    rows = []
    for threshold in np.unique(probability).tolist():
        said = probability >= threshold
        right = said & (relation == EXACT)
        rows.append((
            threshold,
            float(weight[right].sum() / weight[said].sum()),
            float((right & sold).sum() / max(int(sold.sum()), 1)),
        ))  # fmt: skip
    return rows


def _draw_bins(axis: Any, name: str, bins: Sequence[ReliabilityBin]) -> None:
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
    axis.plot([one.probability for one in bins], [one.true for one in bins], "o-", markersize=5)
    for one in bins:
        axis.annotate(
            str(one.cases), (one.probability, one.true), fontsize=7, xytext=(4, -9), textcoords="offset points"
        )
    axis.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel=f"probability of {name}", ylabel="share that is true")
    axis.set_title(f"{name}: calibration error {calibration_error(bins):.3f}", fontsize=10)
    axis.grid(alpha=0.3)


def _probabilities(cases: Sequence[MatchCase], config: MatchingConfig) -> Values:
    columns = np.array([(case.similarity, case.margin) for case in cases], np.float64).reshape(-1, 2)
    return probabilities(config, np.array([case.label for case in cases], np.int64), columns[:, 0], columns[:, 1])


def class_counts(cases: Sequence[MatchCase]) -> dict[str, dict[str, int]]:
    """Cases by class as the detector says, and by what is true: shows which classes have data enough."""
    counts: dict[str, dict[str, int]] = {}
    for case in cases:
        row = counts.setdefault(class_name(case.label), dict.fromkeys(DECISIONS, 0))
        row[DECISIONS[case.relation]] += 1
    return dict(sorted(counts.items()))
