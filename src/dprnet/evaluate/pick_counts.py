"""The measures of picking (paper, section 4.2, Eq. 9 to 11), made automatic; pure functions of arrays.

M  true views (a garment in a frame)      P  picks
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import astuple, dataclass

import numpy as np

from dprnet.core.records import BoolArray, FloatArray, IntArray
from dprnet.evaluate.metrics import Values, ratio

OPTIMAL_SHARE = 0.9  # of the best quality; ours: the paper judged "optimal" by hand


def true_quality(instance: IntArray, frontal: BoolArray, occluded: FloatArray, cut_off: FloatArray) -> Values:
    """(M,) true quality of each true view: [frontal] x (1 - occluded fraction) x (1 - cut-off fraction).

    For an instance whose best is 0 (never frontal), [frontal] is dropped. A fraction that nobody labelled (NaN)
    counts as 0.

    >>> instance = np.array([1, 1, 2])
    >>> true_quality(instance, np.array([True, False, False]), np.array([0.5, 0.0, 0.2]), np.array([0.0, 0.0, np.nan]))
    array([0.5, 0. , 0.8])
    """
    visible = (1 - np.nan_to_num(occluded.astype(np.float64))) * (1 - np.nan_to_num(cut_off.astype(np.float64)))
    quality = visible * frontal
    best = best_quality(instance, quality)
    never = np.array([best[number] == 0 for number in instance.tolist()], bool)
    return np.where(never, visible, quality)


def best_quality(instance: IntArray, quality: Values) -> dict[int, float]:
    """The best quality of each instance over all its views.

    >>> best_quality(np.array([4, 4, 7]), np.array([0.1, 0.6, 0.0]))
    {4: 0.6, 7: 0.0}
    """
    return {int(number): float(quality[instance == number].max()) for number in np.unique(instance)}


@dataclass(frozen=True, slots=True)
class PickCounts:
    """The counts behind Eq. 9 to 11; those of several videos add up."""

    instances: int = 0
    picked: int = 0
    duplicated: int = 0
    optimal: int = 0
    picks: int = 0
    right: int = 0

    def __add__(self, other: PickCounts) -> PickCounts:
        return PickCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def r_pick(self) -> float:
        """Eq. 9: share of all instances that are picked."""
        return ratio(self.picked, self.instances)

    @property
    def r_duplication(self) -> float:
        """Eq. 10: share of the picked instances that are picked twice or more."""
        return ratio(self.duplicated, self.picked)

    @property
    def r_optimal(self) -> float:
        """Eq. 11: share of the picked instances whose pick is of optimal quality."""
        return ratio(self.optimal, self.picked)

    @property
    def precision(self) -> float:
        """Share of the picks that show a true instance (ours; the paper has no such measure)."""
        return ratio(self.right, self.picks)


def pick_counts(
    views: IntArray, scores: FloatArray, instance: IntArray, quality: Values, counted: Collection[int]
) -> PickCounts:
    """Counts of one video's picks.

    Args:
        views: (P,) the true view each pick shows, or -1 for a false pick.
        scores: (P,) overall quality as the picker saw it: an instance picked twice is judged by its highest.
        instance: (M,) of each true view.
        quality: (M,) of each true view, as :func:`true_quality`.
        counted: the instances that Eq. 9 counts; picks of others are right, but are not counted further.

    >>> counts = pick_counts(np.array([0, 2, 1, -1]), np.array([0.9, 0.8, 0.7, 0.6]), np.array([5, 5, 6, 8]),
    ...                      np.array([0.5, 1.0, 0.9, 1.0]), {5, 6, 8})
    >>> counts
    PickCounts(instances=3, picked=2, duplicated=1, optimal=1, picks=4, right=3)
    >>> counts.r_pick.__round__(3), counts.r_duplication, counts.r_optimal, counts.precision
    (0.667, 0.5, 0.5, 0.75)
    """
    best = best_quality(instance, quality)
    right = views >= 0
    shown = np.where(right, instance[views] if len(instance) else -1, -1)
    picked = duplicated = optimal = 0
    for number in counted:
        mine = np.flatnonzero(right & (shown == number))
        picked += len(mine) > 0
        duplicated += len(mine) > 1
        if len(mine):
            view = views[mine[scores[mine].argmax()]]
            optimal += bool(quality[view] >= OPTIMAL_SHARE * best[number] - 1e-9)
    return PickCounts(len(counted), int(picked), int(duplicated), int(optimal), len(views), int(right.sum()))
