"""Things laid over garments: they lie where they are said to, and are of the kind that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pil

from dprnet.data.occluders import draw_shape, thing_over

IMAGE = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
BOX = np.array([20, 10, 50, 70], np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_a_thing_touches_its_box_and_hides_no_more_than_its_size(seed):
    thing, (left, top) = thing_over(BOX, IMAGE, np.random.default_rng(seed), ())
    assert thing.mode == "RGBA"
    # Its middle lies in the box, to the rounding.
    assert 19 <= left + thing.width / 2 <= 51
    assert 9 <= top + thing.height / 2 <= 71
    assert 4 <= thing.width <= 30 * 0.9 * np.exp(0.5)
    assert 4 <= thing.height <= 60 * 0.9 * np.exp(0.5)
    opaque = np.asarray(thing)[..., 3] > 0
    assert opaque.any()


def test_cut_outs_are_laid_over_half_of_the_time():
    cutout = np.zeros((8, 8, 4), np.uint8)
    cutout[..., 1] = 200
    cutout[..., 3] = 255
    rng = np.random.default_rng(3)
    things = [thing_over(BOX, IMAGE, rng, (cutout,))[0] for _ in range(200)]
    green = [thing for thing in things if thing.getextrema() == ((0, 0), (200, 200), (0, 0), (255, 255))]
    assert 70 <= len(green) <= 130


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (300, 3)])
def test_shapes_of_any_size_are_drawn(size):
    for seed in range(12):
        thing = draw_shape(*size, IMAGE, np.random.default_rng(seed))
        assert (thing.size, thing.mode) == (size, "RGBA")
        assert isinstance(thing, Pil.Image)
