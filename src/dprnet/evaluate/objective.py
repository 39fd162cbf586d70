"""What a fit of picking makes large, and the values it tries."""

from __future__ import annotations

import math

from dprnet.core.config import Settings
from dprnet.evaluate.pick_counts import PickCounts
from dprnet.evaluate.picking import RATIOS
from dprnet.evaluate.stills import StillCounts

_LIMITS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


class Objective(Settings):
    """What calibration makes as large as it can: a weighted sum of the measures of videos and of photos (ours)."""

    pick: float = 1.0  # ours: the three measures of the paper count alike ...
    duplication: float = 1.0  # ours
    optimal: float = 1.0  # ours
    precision: float = 0.5  # ours: ... and a false pick costs half of that; the paper has no such measure
    stills: float = 1.0  # ours: what photos can tell of (found, right) counts as it does of videos

    def of(self, counts: PickCounts) -> float:
        """``pick x R_pick + optimal x R_optimal - duplication x R_duplication - precision x (1 - precision)``.

        Where nothing is picked R_optimal, R_duplication and precision count as 0.

        >>> Objective().of(PickCounts(instances=4, picked=2, duplicated=1, optimal=1, picks=4, right=3))
        0.375
        >>> Objective().of(PickCounts(instances=4))
        -0.5
        """
        known = {name: getattr(counts, name) for name in RATIOS}
        value = {name: 0.0 if math.isnan(figure) else figure for name, figure in known.items()}
        reward = self.pick * value["r_pick"] + self.optimal * value["r_optimal"]
        return reward - self.duplication * value["r_duplication"] - self.precision * (1 - value["precision"])

    def of_stills(self, counts: StillCounts) -> float:
        """``stills x (pick x recall - precision x (1 - precision of what passes))``; where nothing passes that is 0.

        >>> Objective().of_stills(StillCounts(garments=4, found=3, kept=8, right=6))
        0.625
        """
        right = 0.0 if math.isnan(counts.precision) else counts.precision
        return self.stills * (self.pick * counts.recall - self.precision * (1 - right))

    def of_both(self, counts: PickCounts, stills: StillCounts | None) -> float:
        """The sum of :meth:`of` and, where there are photos, :meth:`of_stills`."""
        return self.of(counts) + (0.0 if stills is None else self.of_stills(stills))


class Grid(Settings):
    """The values that are tried of each setting."""

    viewpoint: tuple[float, ...] = _LIMITS  # ours: all grids are
    occlusion: tuple[float, ...] = _LIMITS
    crop: tuple[float, ...] = _LIMITS
    min_score: tuple[float, ...] = (0.0, *(x / 20 for x in range(1, 20)))
    cut_distance: tuple[float, ...] = tuple(x / 40 for x in range(1, 41))
    min_views: tuple[int, ...] = (1, 2, 3, 4)
    same_frame_apart: tuple[bool, ...] = (False, True)
