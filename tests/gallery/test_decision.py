"""Exact, similar or none: by hand, and that more alike is never less likely."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadRecipe
from dprnet.core.records import Match
from dprnet.gallery import MatchingConfig, decide, matching_of
from dprnet.gallery.decision import Curve, probabilities

LEVEL = Curve(similar=(0.0, 0.0, 0.0), exact=(-8.0, 10.0, 0.0))  # similar as likely as none; exact is even at 0.8


def config(**values: object) -> MatchingConfig:
    given_values = {"embedder": "e@1", "pooled": LEVEL, "exact_above": 0.6, "usual_margin": 0.1}
    return MatchingConfig.model_validate(given_values | values)


def items(*similarities: float) -> list[Match]:
    return [Match(str(place), value) for place, value in enumerate(similarities)]


def test_by_hand():
    found = probabilities(config(), np.array([0]), np.array([0.8]), np.array([0.0]))
    assert found[0] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    odds = np.exp(10 * 0.9 - 8)
    found = probabilities(config(), np.array([0]), np.array([0.9]), np.array([0.0]))
    assert found[0] == pytest.approx(np.array([1, 1, odds]) / (2 + odds))


def test_what_is_said():
    told = decide(config(), np.zeros(4, np.int64), [items(0.95, 0.9), items(0.7, 0.6), items(0.3), []])
    assert told[0] == ("exact", "similar", "similar", None)
    sure = np.exp(1.5) / (2 + np.exp(1.5))
    assert told[1][0] == pytest.approx(sure)
    assert told[1][1] == pytest.approx(1 - 1 / (2 + np.exp(-1)))  # similar, or better
    assert told[1][3] is None
    strict = config(similar_above=0.55)
    assert decide(strict, np.zeros(1, np.int64), [items(0.1)]) == (("none",), (pytest.approx(1 / (2 + np.exp(-7))),))


def test_a_class_of_its_own_and_a_lonely_item():
    eager = Curve(similar=(0.0, 0.0, 0.0), exact=(0.0, 0.0, 20.0))
    mine = config(classes={"dress": eager}, usual_margin=0.2)
    labels = np.array([5, 0, 5], np.int64)
    told = decide(mine, labels, [items(0.1, 0.0), items(0.1, 0.0), items(0.1)])[1]
    assert told[0] == pytest.approx(np.exp(2) / (2 + np.exp(2)))
    assert told[1] == pytest.approx(1 - 1 / (2 + np.exp(-7)))
    assert told[2] == pytest.approx(np.exp(4) / (2 + np.exp(4)))  # the usual margin stands in


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=2),
    st.lists(st.floats(0, 30), min_size=4, max_size=4),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(0, 1),
)
def test_more_alike_is_never_less_likely_to_be_exact(constants, slopes, one, other, margin):
    curve = Curve(similar=(constants[0], *slopes[:2]), exact=(constants[1], *slopes[2:]))
    low, high = sorted((one, other))
    found = probabilities(config(pooled=curve), np.zeros(2, np.int64), np.array([low, high]), np.full(2, margin))
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[1, 2] >= found[0, 2] - 1e-12
    assert found[1, 0] <= found[0, 0] + 1e-12


def test_of_a_bundle(random_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    bundle = Bundle.from_pretrained(random_bundle)
    assert matching_of(bundle) is None
    mine = config(embedder=bundle.embedder_identity)
    settings = {part: bundle.settings(part) for part in ("detector", "embedder")}
    weights = {part: bundle.weights(part) for part in ("detector", "embedder")}

    def saved(matching: dict[str, object]) -> Bundle:
        return save_pretrained(tmp_path / "bundle", bundle.name, {**settings, "matching": matching}, weights)

    assert matching_of(saved(mine.model_dump(mode="json"))) == mine
    with caplog.at_level(logging.WARNING):
        assert matching_of(saved(config().model_dump(mode="json"))) is None
    assert "calibrated for the embedder e@1" in caplog.text
    with pytest.raises(BadRecipe, match="did you mean 'exact_above'"):
        matching_of(saved({**mine.model_dump(mode="json"), "exact_abov": 0.5}))
