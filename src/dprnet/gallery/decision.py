"""Exact, similar or none: what the similarity of the first item, and its margin to the next one, mean.

The numbers are fitted on validation videos by ``dprnet calibrate matching`` and kept in the bundle (ours; the paper
ranks items and leaves the decision to the reader).

    exact    the first item is the garment
    similar  the first item is at least of its coarse class, and of its print or its cut
    none     neither
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dprnet.core.bundle import Bundle
from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.config import Settings, parse_settings
from dprnet.core.records import Decision, Match

Values = NDArray[np.float64]

log = logging.getLogger(__name__)


class Curve(Settings):
    """Odds of one group of garments, as logits ``a + b x similarity + c x margin``; b and c are never negative.

    So what is more alike, or further ahead of the next item, is never less likely to be exact.
    """

    similar: tuple[float, float, float]
    """Of similar against none."""
    exact: tuple[float, float, float]
    """Of exact against similar."""


class MatchingConfig(Settings):
    """What a similarity means, for one embedder."""

    embedder: str
    """Identity of the embedder that it was fitted for; of any other it says nothing."""
    pooled: Curve
    classes: dict[str, Curve] = Field(default_factory=dict)
    """By coarse class, where a curve of its own explains garments it has not seen better than the pooled one."""
    exact_above: float = Field(ge=0, le=1)
    """Called exact from this probability on."""
    similar_above: float = Field(default=0.5, ge=0, le=1)  # ours: more likely than not
    usual_margin: float = Field(ge=0)
    """Stands in where there is no next item."""


def matching_of(bundle: Bundle) -> MatchingConfig | None:
    """What a bundle says of similarities; None where it was not calibrated, or for another embedder than it now holds.

    Raises:
        BadRecipe: the settings are damaged.
    """
    held = dict(bundle.settings("matching"))
    if not held:
        return None
    config = parse_settings(held, MatchingConfig, f"{bundle.name}.matching")
    if config.embedder != bundle.embedder_identity:
        log.warning(
            "%s: its matching was calibrated for the embedder %s, it now holds %s: nothing is said to be exact or"
            " similar; run dprnet calibrate matching",
            bundle.name,
            config.embedder,
            bundle.embedder_identity,
        )
        return None
    return config


def probabilities(config: MatchingConfig, labels: NDArray[np.int64], similarity: Values, margin: Values) -> Values:
    """Probability of none, similar and exact, (N,) three times -> (N, 3); each row adds up to 1.

    Args:
        labels: index into COARSE_CLASSES.
        similarity: cosine of the first item.
        margin: by how much the next item is less alike; NaN where there is none.

    >>> curve = Curve(similar=(0.0, 0.0, 0.0), exact=(0.0, 0.0, 0.0))
    >>> config = MatchingConfig(embedder="e", pooled=curve, exact_above=0.5, usual_margin=0.1)
    >>> probabilities(config, np.array([0]), np.array([0.9]), np.array([np.nan])).round(3)
    array([[0.333, 0.333, 0.333]])
    """
    curves = [config.classes.get(name, config.pooled) for name in COARSE_CLASSES]
    weights = np.array([(curve.similar, curve.exact) for curve in curves], np.float64)[labels]  # (N, 2, 3)
    known = np.where(np.isnan(margin), config.usual_margin, margin)
    features = np.stack([np.ones(len(labels)), similarity, known], axis=1)
    return shares(np.einsum("nij,nj->ni", weights, features))


def shares(steps: Values) -> Values:
    """Logits of similar against none and of exact against similar, (N, 2) -> probabilities (N, 3).

    >>> shares(np.log(np.array([[2.0, 3.0]]))).round(4)
    array([[0.1111, 0.2222, 0.6667]])
    """
    logits = np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Values = odds / odds.sum(axis=1, keepdims=True)
    return found


def likeness(items: Sequence[Match]) -> tuple[float, float]:
    """Similarity of the first item, and its margin to the next one; NaN for what is not there.

    >>> likeness([Match("a", 0.75), Match("b", 0.5)]), likeness([Match("a", 0.75)])
    ((0.75, 0.25), (0.75, nan))
    """
    first = items[0].similarity if items else float("nan")
    return first, first - items[1].similarity if len(items) > 1 else float("nan")


def decide(
    config: MatchingConfig, labels: NDArray[np.int64], items: Sequence[Sequence[Match]]
) -> tuple[tuple[Decision | None, ...], tuple[float | None, ...]]:
    """What is said of each garment, and how probable it is; None of one that no item was found for.

    The probability of ``similar`` is that of similar or better.

    Args:
        labels: (I,) index into COARSE_CLASSES.
        items: (I,) the items of each garment, best first; at least two, where there are two.
    """
    decisions: list[Decision | None] = [None] * len(items)
    certain: list[float | None] = [None] * len(items)
    rows = [row for row, found in enumerate(items) if found]
    pairs = np.array([likeness(items[row]) for row in rows], np.float64).reshape(-1, 2)
    for row, (none, _, exact) in zip(rows, probabilities(config, labels[rows], *pairs.T).tolist(), strict=True):
        if exact >= config.exact_above:
            decisions[row], certain[row] = "exact", exact
        elif 1 - none >= config.similar_above:
            decisions[row], certain[row] = "similar", 1 - none
        else:
            decisions[row], certain[row] = "none", none
    return tuple(decisions), tuple(certain)
