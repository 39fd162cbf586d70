"""A garment seen as two classes comes out once, where its views say that it is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.core.config import parse_settings
from dprnet.core.errors import BadRecipe
from dprnet.core.records import Detections
from dprnet.pick import PickConfig, pick

from .test_picking import BLUE, NEAR_RED, anything, configs, content, seen

TOP, OUTERWEAR, TROUSERS = 0, 1, 2
JACKETS = PickConfig(either=(("top", "outerwear"),))


def test_a_jacket_that_opens_and_closes_is_one_garment_of_its_likelier_class() -> None:
    detections = seen(
        {"time_s": 0.0, "label": TOP, "quality": (0.95, 0.95, 0.95)},  # the best view, but of the rarer class
        {"time_s": 1.0, "label": OUTERWEAR, "look": NEAR_RED},
        {"time_s": 2.0, "label": OUTERWEAR, "quality": (0.91, 0.9, 0.9)},
        {"time_s": 3.0, "label": OUTERWEAR, "quality": (0.3, 0.9, 0.9)},
    )
    apart = pick(detections, PickConfig())
    assert apart.instance.tolist() == [0, 1, 1, 1]
    together = pick(detections, JACKETS)
    assert together.instance.tolist() == [0, 0, 0, 0]
    assert together.best.tolist() == [2], "the best good view of the class that most views have"
    assert together.picked.tolist() == [True]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"label": OUTERWEAR, "look": BLUE}, "another look"),
        ({"label": TROUSERS}, "a class of no pair"),
        ({"label": OUTERWEAR, "quality": (0.2, 0.9, 0.9)}, "no good view"),
        ({"label": OUTERWEAR, "time_s": 0.0, "box": (200, 0, 300, 100)}, "another place in the same frame"),
    ],
)
def test_what_stays_apart(row: dict[str, object], why: str) -> None:
    picks = pick(seen({"time_s": 0.0}, {"time_s": 1.0} | row), JACKETS)
    assert len(picks) == 2, why


def test_one_odd_frame_is_a_mistake_and_not_a_second_class() -> None:
    rows = [{"time_s": float(second), "label": TOP} for second in range(3)]
    assert len(pick(seen(*rows, {"time_s": 3.0, "label": OUTERWEAR}), JACKETS)) == 2
    assert len(pick(seen(*rows[1:], {"time_s": 3.0, "label": OUTERWEAR}), JACKETS)) == 1


def test_two_boxes_on_one_garment_in_one_frame_are_one() -> None:
    assert len(pick(seen({"label": TOP}, {"label": OUTERWEAR, "box": (0, 0, 100, 110)}), JACKETS)) == 1


def test_two_garments_of_one_class_never_meet_by_way_of_a_third() -> None:
    def at(degrees: float) -> tuple[float, float, float]:
        return (np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.0)

    detections = seen(
        {"time_s": 0.0, "label": TOP, "look": at(0)},
        {"time_s": 1.0, "label": OUTERWEAR, "look": at(20)},
        {"time_s": 2.0, "label": TOP, "look": at(45)},
    )
    config = JACKETS.model_copy(update={"cut_distance": 0.1})  # 1 - cos 20 = 0.06, cos 25: 0.09, cos 45: 0.29
    assert pick(detections, config).instance.tolist() == [0, 0, 1]


@given(detections=anything, config=configs, seed=st.integers(0, 1000))
def test_a_partition_that_joins_only_whole_garments_in_any_order(
    detections: Detections, config: PickConfig, seed: int
) -> None:
    both = config.model_copy(update={"either": (("top", "outerwear"),)})
    plain, joined = pick(detections, config), pick(detections, both)
    pairs = {(int(a), int(b)) for a, b in zip(plain.instance, joined.instance, strict=True)}
    assert len(pairs) == len(plain), "no garment is split"
    assert sorted(set(joined.instance.tolist())) == list(range(len(joined)))
    assert max(np.bincount([b for _, b in pairs]), default=0) <= 2
    shuffled = detections[np.random.default_rng(seed).permutation(len(detections))]
    assert content(pick(shuffled, both)) == content(joined)


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(BadRecipe, match="either"):
        parse_settings({"either": [["top", "cape"]]}, PickConfig, "picking")
