"""Figures 7 and 8 on plain colours: what is shown, what is marked, and that the pictures are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="figures need the extra 'train'")

from dprnet.core.images import read_image
from dprnet.data.labelled import Photo
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.evaluate.photo_sets import LoadedSets
from dprnet.evaluate.photo_sheets import chosen_rows, figure7, figure8, overlaid, search_with, without_ground
from dprnet.train.photos import PhotoCache
from dprnet.train.shots import Shot

SHADES = {"a": (250, 20, 20), "b": (20, 250, 20), "c": (20, 20, 250), "d": (230, 230, 20), "e": (20, 230, 230)}
ASKED = [("a", SHADES["a"], 0), ("b", SHADES["b"], 0), ("c", SHADES["a"], 1)]  # the last is dyed: it must be missed


@pytest.fixture(scope="module")
def searched():
    queries = [(Shot(Photo(Path(f"{name}9.jpg"), None, name, 0, "video", view)), shade) for name, shade, view in ASKED]
    shop = [(Shot(Photo(Path(f"{name}0.jpg"), None, name, 0, "shop", 0)), shade) for name, shade in SHADES.items()]
    shots, shades = zip(*queries, *shop, strict=True)
    images = np.broadcast_to(np.array(shades, np.uint8)[:, None, None], (len(shots), 32, 32, 3)).copy()
    images[:, :8] = 255
    cache = PhotoCache(images, tuple(shots), np.zeros(len(shots), np.int64))
    torch.manual_seed(0)
    network = EmbedderNetwork(EmbedderConfig(size=0, image_size=32, colour=4)).eval()
    return search_with(network, LoadedSets(cache, (("colours", np.arange(3), np.arange(3, 8)),)))


def test_colours_find_themselves_and_the_dyed_one_does_not(searched):
    assert [searched.right(row)[0] for row in range(3)] == [True, True, False]
    assert searched.found.shape == searched.similarity.shape == (3, 5)
    assert (np.diff(searched.similarity, axis=1) <= 0).all()
    assert chosen_rows(searched, 2) == [0, 2]
    assert chosen_rows(searched, 9) == [0, 1, 2]


def test_figure_7_marks_right_and_wrong(searched, tmp_path):
    made = figure7(searched, tmp_path)
    assert read_image(tmp_path / made.pictures[0]).image.std() > 10
    assert [row["query"] for row in made.figures["rows"]] == ["a9.jpg", "b9.jpg", "c9.jpg"]
    assert made.figures["rows"][0]["found"][0] == "a0.jpg"
    assert made.figures["rows"][0]["right"] == [True, False, False, False, False]
    assert made.figures["right_first"] == pytest.approx(2 / 3)
    assert made.claims[0].holds is True
    assert made.claims[0].ours == "right first: 1.000 of 2 frontal, 0.000 of 1 other queries"


def test_figure_8_shows_both_maps(searched, tmp_path):
    made = figure8(searched, tmp_path)
    assert read_image(tmp_path / made.pictures[0]).image.std() > 10
    for kind in ("features", "similarity"):
        maps = np.array(made.figures[kind])
        assert maps.shape == (3, 1, 1)
        assert ((maps >= 0) & (maps <= 1)).all()


def test_a_map_lies_over_its_image():
    image = np.full((4, 4, 3), 100, np.uint8)
    made = overlaid(image, np.array([[0.0, 1.0]], np.float32))
    np.testing.assert_array_equal(made[0, 0], (0.45 * 100 + 0.55 * np.array([13, 8, 135])).astype(np.uint8))
    np.testing.assert_array_equal(made[0, 3], (0.45 * 100 + 0.55 * np.array([240, 249, 33])).astype(np.uint8))


def test_a_map_is_stretched_over_the_photo_without_its_ground():
    square = np.full((8, 8, 3), 255, np.uint8)
    square[:, 2:6] = 100
    inside = without_ground(square)
    assert inside == (slice(0, 8), slice(2, 6))
    strength = np.tile(np.linspace(0.8, 1.0, 8, dtype=np.float32), (8, 1))
    made = overlaid(square, strength, inside)
    assert made.shape == (8, 4, 3)
    np.testing.assert_array_equal(made[0, 0], (0.45 * 100 + 0.55 * np.array([13, 8, 135])).astype(np.uint8))
    np.testing.assert_array_equal(made[0, -1], (0.45 * 100 + 0.55 * np.array([240, 249, 33])).astype(np.uint8))
    assert without_ground(np.full((4, 4, 3), 255, np.uint8)) == (slice(0, 4), slice(0, 4))
