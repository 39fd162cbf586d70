"""Picking while the frames still come: garments appear, improve and merge; at the end the answer is that of `pick`.

    N  detections so far      I  garments so far      D  numbers in an embedding

Every garment has a number that it keeps for as long as the stream lives, whatever becomes of the clusters behind it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dprnet.core.records import BoolArray, Detections, IntArray, Picks
from dprnet.pick.clustering import unit_vectors
from dprnet.pick.config import PickConfig
from dprnet.pick.enough import seen_enough
from dprnet.pick.picking import pick

Kind = Literal["new", "better", "merged"]

EXACT_UP_TO = 128  # ours: so many detections are clustered in a few milliseconds, at every frame
GROWTH = 1.25  # ours: clustering again after a quarter more costs, in all, some three times the last clustering


@dataclass(frozen=True, slots=True)
class PickEvent:
    """What became of one garment."""

    kind: Kind
    """new; better: another best view, or another answer to whether it passes (after a garment was split in two this
    may be a worse one); merged: it turned out to be the garment ``into``."""
    garment: int
    """Its number, kept for as long as the stream lives."""
    best: int
    """Detection that now shows it best (row of ``PickStream.picks.detections``); of a merged one, of ``into``."""
    picked: bool
    """Whether that view passes all limits and the garment is seen often enough; of a merged one, of ``into``."""
    into: int | None = None


class PickStream:
    """Picks of a video that is still being looked at.

    While there are few detections they are clustered anew at every update; later only when a quarter more have come,
    and those between join the nearest garment within the cut, or begin one. :meth:`finish` clusters them all, so the
    last state equals ``pick(all detections, config)``.

    Args:
        config: the settings of `pick`.
        exact_up_to: detections up to which every update is exact.
        growth: by what factor detections grow until they are clustered again.
    """

    def __init__(self, config: PickConfig, *, exact_up_to: int = EXACT_UP_TO, growth: float = GROWTH) -> None:
        if not growth > 1:
            raise ValueError(f"growth must be above 1, got {growth}")
        self._config = config
        self._exact_up_to, self._growth = exact_up_to, growth
        self._clustered = 0  # detections of the last exact state
        self._picks = pick(Detections.empty(), config)
        self._numbers: list[int] = []  # of each garment of self._picks
        self._next = 0

    @property
    def picks(self) -> Picks:
        """All garments so far; exact after :meth:`finish`, and wherever the last update clustered."""
        return self._picks

    @property
    def numbers(self) -> tuple[int, ...]:
        """(I,) the lasting number of each garment of :attr:`picks`."""
        return tuple(self._numbers)

    def update(self, detections: Detections) -> tuple[PickEvent, ...]:
        """Take in the detections of one more frame (or of several) and say what has changed.

        Raises:
            BadVector: an instance embedding that is zero, NaN or infinite, or a score that is NaN; the state is as
                before.
        """
        if not len(detections):
            return ()
        together = Detections.concatenate([self._picks.detections, detections])
        exact = len(together) <= self._exact_up_to or len(together) > self._growth * self._clustered
        events = self._move(pick(together, self._config) if exact else self._joined(together))
        self._clustered = len(together) if exact else self._clustered
        return events

    def finish(self) -> tuple[PickEvent, ...]:
        """Cluster everything; afterwards :attr:`picks` equals ``pick`` of all detections. More may still come."""
        together = self._picks.detections
        if self._clustered == len(together):
            return ()
        self._clustered = len(together)
        return self._move(pick(together, self._config))

    def _joined(self, together: Detections) -> Picks:
        """The garments so far, with the new detections at the nearest ones within the cut, or on their own."""
        before = len(self._picks.instance)
        pick(together[before:], self._config)  # refuses what is damaged, at the price of a frame
        good = _good(together, self._config)
        unit = unit_vectors(together.embeddings)
        instance = np.concatenate([self._picks.instance, np.full(len(together) - before, -1)]).astype(np.int64)
        garments = len(self._picks)
        for row in range(before, len(together)):
            nearest = self._nearest(together, unit, good, instance, row)
            instance[row] = garments if nearest is None else nearest
            garments += nearest is None
        return self._stated(together, instance, good, garments)

    def _nearest(
        self, together: Detections, unit: NDArray[np.float64], good: BoolArray, instance: IntArray, row: int
    ) -> int | None:
        """The garment of its class whose good views (any, where it has none) are nearest in the mean (Eq. 4)."""
        rivals = np.flatnonzero((instance >= 0) & (together.labels == together.labels[row]))
        if not len(rivals):
            return None
        similarity, owner = unit[rivals] @ unit[row], instance[rivals]
        size = int(owner.max()) + 1
        weight = np.where(good[rivals], 1.0, 1e-9)  # a garment's other views count only where it has no good one
        weights = np.bincount(owner, weight, minlength=size)
        means = np.bincount(owner, weight * similarity, minlength=size) / np.where(weights > 0, weights, 1)
        distances = np.where(weights > 0, 1 - means, np.inf)
        nearest = int(distances.argmin())
        return nearest if distances[nearest] <= self._config.cut_distance else None

    def _stated(self, together: Detections, instance: IntArray, good: BoolArray, garments: int) -> Picks:
        order = np.lexsort((np.arange(len(together)), -together.scores, -together.overall, ~good, instance))
        best = order[np.searchsorted(instance[order], np.arange(garments))]
        often = seen_enough(together, instance, garments, self._config)
        failing = ~(together.quality > np.array(self._config.limits, np.float32))
        return replace(
            self._picks, detections=together, instance=instance, failing=failing, best=best, picked=good[best] & often
        )

    def _move(self, after: Picks) -> tuple[PickEvent, ...]:
        """Take on a new state: hand the numbers on, and say what has changed."""
        before, old = self._picks, self._numbers
        # A garment goes where most of its views went (of equals, where the first of these did).
        earlier = after.instance[: len(before.instance)]
        heirs = [
            Counter(earlier[before.instance == garment].tolist()).most_common(1)[0][0] for garment in range(len(before))
        ]
        numbers: dict[int, int] = {}
        for garment in sorted(range(len(before)), key=lambda garment: old[garment]):
            numbers.setdefault(heirs[garment], old[garment])  # of two that became one, the elder gives the number
        for garment in range(len(after)):
            if garment not in numbers:
                numbers[garment], self._next = self._next, self._next + 1
        was = {old[garment]: (int(before.best[garment]), bool(before.picked[garment])) for garment in range(len(old))}
        events = []
        for garment in range(len(after)):
            number, now = numbers[garment], (int(after.best[garment]), bool(after.picked[garment]))
            if was.get(number) != now:
                events.append(PickEvent("better" if number in was else "new", number, *now))
        for garment, heir in enumerate(heirs):
            if numbers[heir] != old[garment]:
                now = (int(after.best[heir]), bool(after.picked[heir]))
                events.append(PickEvent("merged", old[garment], *now, into=numbers[heir]))
        self._picks, self._numbers = after, [numbers[garment] for garment in range(len(after))]
        return tuple(events)


def _good(detections: Detections, config: PickConfig) -> BoolArray:
    """(N,) whether each view passes, as in `pick`."""
    passing = detections.quality > np.array(config.limits, np.float32)
    good: BoolArray = passing.all(axis=1) & (detections.scores > np.float32(config.min_score))
    return good
