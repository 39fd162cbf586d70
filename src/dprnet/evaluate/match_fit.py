"""Fits what similarity and margin mean: an ordered logistic model of none, similar and exact, few numbers for few data.

N  cases      x = (1, similarity, margin), standardised while it is fitted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.config import Settings
from dprnet.evaluate.match_cases import EXACT, MatchCase
from dprnet.gallery.decision import Curve, shares

Values = NDArray[np.float64]

CLASS_CASES = 40  # ours: a class of fewer picks has no curve of its own ...
CLASS_EACH = 10  # ours: ... nor one with fewer that are exact, or that are not
SMALLEST = 1e-12


class MatchFitConfig(Settings):
    """How the curves are fitted."""

    precision: float = 0.95  # ours: of what is called exact
    without_item: float = 0.1  # ours: share of the garments that the shop does not have, as in the made-up world
    slope: float = 2.0  # ours: standard deviation of the slopes that are thought likely beforehand
    apart: float = 0.5  # ours: that of a class's numbers about those of all garments


@dataclass(frozen=True, slots=True, eq=False)
class CaseTable:
    """Cases as arrays."""

    features: Values
    """(N, 2) similarity and margin; no NaN."""
    relation: NDArray[np.int64]
    """(N,) NONE, SIMILAR or EXACT."""
    weight: Values
    """(N,)"""
    label: NDArray[np.int64]
    """(N,) index into COARSE_CLASSES."""
    group: NDArray[np.int64]
    """(N,) number of the video."""

    def __getitem__(self, rows: NDArray[np.bool_]) -> CaseTable:
        features, relation, weight = self.features[rows], self.relation[rows], self.weight[rows]
        return CaseTable(features, relation, weight, self.label[rows], self.group[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Fitted curves in raw units: logits ``[1, similarity, margin] @ weights.T``."""

    pooled: Values
    """(2, 3) of similar against none, and of exact against similar."""
    classes: Mapping[int, Values]
    """The same by index into COARSE_CLASSES."""

    def __call__(self, table: CaseTable) -> Values:
        """(N, 3) probability of none, similar and exact."""
        weights = np.array([self.classes.get(int(label), self.pooled) for label in table.label]).reshape(-1, 2, 3)
        return shares(np.einsum("nij,nj->ni", weights, _with_one(table.features)))

    def settings(self) -> tuple[Curve, dict[str, Curve]]:
        """As a bundle keeps them."""

        def curve(weights: Values) -> Curve:
            similar, exact = (tuple(round(float(value), 6) for value in row) for row in weights)
            return Curve.model_validate({"similar": similar, "exact": exact})

        return curve(self.pooled), {COARSE_CLASSES[label]: curve(one) for label, one in sorted(self.classes.items())}


def case_table(cases: Sequence[MatchCase], without_item: float) -> CaseTable:
    """Cases as arrays; those of garments that the shop does not have, really or because their item was left out, share
    among them the weight of ``without_item`` of all garments. A missing margin becomes the usual one.
    """
    group = np.unique([case.video for case in cases], return_inverse=True)[1]
    features = np.array([(case.similarity, case.margin) for case in cases], np.float64).reshape(-1, 2)
    features[:, 1] = np.where(np.isnan(features[:, 1]), usual_margin(features[:, 1]), features[:, 1])
    garment = np.array([case.instance >= 0 for case in cases], bool)
    sold = np.array([case.sold for case in cases], bool)
    absent = garment & ~sold
    weight = np.ones(len(cases))
    if absent.any() and sold.any():
        weight[absent] = without_item / (1 - without_item) * sold.sum() / absent.sum()
    return CaseTable(
        features,
        np.array([case.relation for case in cases], np.int64),
        weight,
        np.array([case.label for case in cases], np.int64),
        group.astype(np.int64),
    )


def usual_margin(margins: Values) -> float:
    """Mean of the margins that are known; 0 where none is."""
    known = margins[~np.isnan(margins)]
    return float(known.mean()) if len(known) else 0.0


def fit_curves(table: CaseTable, config: MatchFitConfig, classes: Sequence[int] = ()) -> Curves:
    """The most likely curves; those of a class are held near the pooled ones.

    Args:
        classes: labels that get a curve of their own.
    """
    centre, scale = table.features.mean(axis=0), np.maximum(table.features.std(axis=0), SMALLEST)
    flat = np.full((2, 3), [np.inf, config.slope, config.slope])  # the constant is free
    pooled = _most_likely(table, centre, scale, np.zeros((2, 3)), flat)
    near = np.full((2, 3), config.apart)
    own = {label: _most_likely(table[table.label == label], centre, scale, pooled, near) for label in classes}
    return Curves(_raw(pooled, centre, scale), {label: _raw(one, centre, scale) for label, one in own.items()})


def unseen_probabilities(table: CaseTable, config: MatchFitConfig, classes: Sequence[int] = ()) -> Values:
    """(N, 3) probability of each case by curves that were fitted without its video."""
    found = np.zeros((len(table.relation), 3))
    for video in np.unique(table.group):
        out = table.group == video
        found[out] = fit_curves(table[~out], config, classes)(table[out])
    return found


def worthy_classes(table: CaseTable, config: MatchFitConfig) -> tuple[int, ...]:
    """Labels of classes with enough cases, whose own curve explains videos it has not seen better than the pooled."""
    exact = table.relation == EXACT
    enough = [
        label
        for label in range(len(COARSE_CLASSES))
        if (table.label == label).sum() >= CLASS_CASES
        and min((exact & (table.label == label)).sum(), (~exact & (table.label == label)).sum()) >= CLASS_EACH
    ]
    if not enough:
        return ()
    before, after = unseen_probabilities(table, config), unseen_probabilities(table, config, enough)
    return tuple(
        label
        for label in enough
        if log_loss(after, table, table.label == label) < log_loss(before, table, table.label == label)
    )


def log_loss(probabilities: Values, table: CaseTable, rows: NDArray[np.bool_] | None = None) -> float:
    """Weighted mean of ``-log P(what is true)``; NaN of no cases.

    >>> table = CaseTable(np.zeros((2, 2)), np.array([0, 2]), np.array([1.0, 3.0]), np.zeros(2, int), np.zeros(2, int))
    >>> round(log_loss(np.array([[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]]), table), 4)
    0.5199
    """
    chosen = np.ones(len(table.relation), bool) if rows is None else rows
    if not chosen.any():
        return float("nan")
    right = probabilities[np.arange(len(table.relation)), table.relation][chosen]
    return float(np.average(-np.log(np.maximum(right, SMALLEST)), weights=table.weight[chosen]))


def exact_threshold(probability: Values, table: CaseTable, precision: float) -> float:
    """The lowest probability from which on both what is expected and what is seen to be exact reach a precision.

    Where no threshold does, the precision itself: only what is that probable on its own is then called exact.

    Args:
        probability: (N,) of exact, from curves that have not seen the case.

    >>> table = CaseTable(np.zeros((4, 2)), np.array([2, 2, 0, 2]), np.ones(4), np.zeros(4, int), np.zeros(4, int))
    >>> exact_threshold(np.array([0.95, 0.9, 0.5, 0.3]), table, 0.9), exact_threshold(np.full(4, 0.5), table, 0.9)
    (0.9, 0.9)
    """
    order = np.argsort(-probability, kind="stable")
    weight = np.cumsum(table.weight[order])
    expected = np.cumsum(table.weight[order] * probability[order]) / weight
    seen = np.cumsum(table.weight[order] * (table.relation[order] == EXACT)) / weight
    last = np.append(np.diff(probability[order]) < 0, True)  # of equal probabilities all or none are called exact
    fits = np.flatnonzero((expected >= precision) & (seen >= precision) & last)
    return float(probability[order][fits[-1]]) if len(fits) else precision


def _most_likely(table: CaseTable, centre: Values, scale: Values, prior: Values, spread: Values) -> Values:
    """(2, 3) standardised weights of highest posterior; slopes are not negative."""
    features = _with_one((table.features - centre) / scale)
    wanted = np.stack([table.relation >= 1, table.relation == EXACT], axis=1).astype(np.float64)

    def loss(flat: Values) -> tuple[float, Values]:
        weights = flat.reshape(2, 3)
        found = shares(features @ weights.T)
        right = found[np.arange(len(found)), table.relation]
        cost = -(table.weight * np.log(np.maximum(right, SMALLEST))).sum()
        # Of the cumulated logits: what lies at or above each step, less what should.
        above = np.stack([found[:, 1] + found[:, 2], found[:, 2]], axis=1)
        slope = (table.weight[:, None] * (above - wanted)).T @ features
        away = (weights - prior) / spread
        return float(cost + (away**2).sum() / 2), (slope + away / spread).ravel()

    bounds = [(None, None), (0, None), (0, None)] * 2
    done = minimize(loss, np.maximum(prior, [-np.inf, 0, 0]).ravel(), jac=True, method="L-BFGS-B", bounds=bounds)
    best: Values = done.x.reshape(2, 3)
    return best


def _raw(weights: Values, centre: Values, scale: Values) -> Values:
    slopes = weights[:, 1:] / scale
    return np.concatenate([weights[:, :1] - (slopes * centre).sum(axis=1, keepdims=True), slopes], axis=1)


def _with_one(features: Values) -> Values:
    return np.concatenate([np.ones((len(features), 1)), features], axis=1)
