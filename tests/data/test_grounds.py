"""Backgrounds fill the scene whatever the sizes of scene and street are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.data import grounds

SIDES = st.integers(min_value=40, max_value=400)


@given(SIDES, SIDES, SIDES, SIDES)
@settings(max_examples=60, deadline=None)
def test_a_street_is_fitted_to_a_scene_of_any_size(width: int, height: int, across: int, up: int) -> None:
    street = np.full((up, across, 3), (10, 120, 240), np.uint8)
    fitted = grounds.fitted(street, width, height, blur=3.0)
    assert fitted.shape == (height, width, 3)
    assert np.abs(fitted.astype(int) - (10, 120, 240)).max() <= 1


def test_a_window_that_rounding_pushes_over_the_edge_is_pulled_back() -> None:
    # The middle of the picture less half the window may come out a hair below 0.
    street = np.zeros((377, 251, 3), np.uint8)
    for width in range(300, 900, 7):
        for height in (480, 533, 640, 853):
            assert grounds.fitted(street, width, height, blur=2.0).shape == (height, width, 3)


@pytest.mark.parametrize("size", [(64, 48), (48, 64)])
def test_drawn_grounds_have_the_size_asked_for(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    assert grounds.plain(*size, rng).shape == (size[1], size[0], 3)
    assert grounds.room(*size, rng).shape == (size[1], size[0], 3)
