"""Intervals by resampling whole videos (or whole items): what is seen in one video is not independent.

Every function states its seed, so that a figure can be had again to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000  # ours: the ends of a 95 % interval then move by under a tenth of its width
SEED = 20261123


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the interval that holds it."""

    value: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ratio_interval(
    part: NDArray[Any], whole: NDArray[Any], *, rounds: int = ROUNDS, seed: int = SEED, level: float = 0.95
) -> Interval:
    """Sum of parts over sum of wholes, with the percentile interval over videos.

    Args:
        part: (V,) such as the picked instances of each video.
        whole: (V,) such as all instances of each video.
        rounds: resamples, each of V videos drawn with replacement.
        seed: of the draws.
        level: share of the resamples inside the interval.

    >>> print(ratio_interval(np.array([1, 1, 1]), np.array([2, 2, 2])))
    0.500 [0.500, 0.500]
    """
    draws = _draws(len(part), rounds, seed)
    return _interval(_ratio(part.sum(), whole.sum()), _ratio(draws @ part, draws @ whole), level)


def difference_interval(
    a: tuple[NDArray[Any], NDArray[Any]],
    b: tuple[NDArray[Any], NDArray[Any]],
    *,
    rounds: int = ROUNDS,
    seed: int = SEED,
    level: float = 0.95,
) -> Interval:
    """Ratio of a less ratio of b, paired: both are resampled with the same videos.

    Args:
        a: parts (V,) and wholes (V,) of one method.
        b: of the other, over the same videos in the same order.
        rounds, seed, level: as :func:`ratio_interval`.

    Raises:
        ValueError: the two are not over the same number of videos.

    >>> one = (np.array([1, 2]), np.array([2, 4]))
    >>> print(difference_interval(one, (np.array([0, 1]), np.array([2, 4]))).value.__round__(4))
    0.3333
    """
    if len(a[0]) != len(b[0]):
        raise ValueError(f"a paired difference needs the same videos, got {len(a[0])} and {len(b[0])}")
    draws = _draws(len(a[0]), rounds, seed)
    value = _ratio(a[0].sum(), a[1].sum()) - _ratio(b[0].sum(), b[1].sum())
    return _interval(value, _ratio(draws @ a[0], draws @ a[1]) - _ratio(draws @ b[0], draws @ b[1]), level)


def _draws(videos: int, rounds: int, seed: int) -> NDArray[np.float64]:
    """(R, V) how often each video is drawn in each round."""
    if videos == 0:
        return np.zeros((rounds, 0))
    return np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=rounds).astype(np.float64)


def _ratio(part: Any, whole: Any) -> Any:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


def _interval(value: Any, resampled: NDArray[np.float64], level: float) -> Interval:
    known = resampled[np.isfinite(resampled)]
    if len(known) == 0:
        return Interval(float(value), float("nan"), float("nan"), level)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), level)
