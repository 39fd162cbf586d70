"""Garments: all classes, own seeds, look-alikes that differ, fronts and backs that differ."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("skia")

from dprnet.core.classes import COARSE_CLASSES, DEEPFASHION2
from dprnet.data.world.fabric import make_fabric
from dprnet.data.world.garments import CLASSES, PRINTS, draw_garment, look_alike
from dprnet.data.world.shop import shop_photo


def test_all_classes_and_prints_are_drawn() -> None:
    garments = [draw_garment("many", k) for k in range(400)]
    assert {garment.name for garment in garments} == set(CLASSES) == set(DEEPFASHION2)
    assert {garment.coarse for garment in garments} == set(COARSE_CLASSES)
    assert {garment.print.kind for garment in garments} >= set(PRINTS)
    assert len({(garment.print.seed, garment.seed) for garment in garments}) == 400


def test_the_same_names_give_the_same_garment() -> None:
    assert draw_garment("test", 1, 2) == draw_garment("test", 1, 2)
    assert draw_garment("test", 1, 2) != draw_garment("train", 1, 2)


def test_a_look_alike_shares_the_print_or_the_colours_and_is_another_garment() -> None:
    kinds = Counter[str]()
    for k in range(100):
        garment = draw_garment("twin", k)
        other = look_alike(garment, k)
        assert other.coarse == garment.coarse
        if other.print == garment.print:
            kinds["cut"] += 1
            assert other.attributes() != garment.attributes() or other.length != garment.length
        else:
            kinds["colour"] += 1
            assert (other.print.kind, other.print.seed, other.print.scale) == (
                garment.print.kind,
                garment.print.seed,
                garment.print.scale,
            )
            assert other.print.names[0] != garment.print.names[0]
            assert (other.name, other.length) == (garment.name, garment.length)
    assert kinds["cut"] > 25
    assert kinds["colour"] > 25


def test_attributes_are_words() -> None:
    garment = draw_garment("words", kind="long sleeve dress")
    attributes = garment.attributes()
    assert attributes["class"] == "long sleeve dress"
    assert attributes["sleeve"] == "long"
    assert attributes["neckline"] == garment.neckline
    assert garment.name in garment.title()


def test_front_and_back_differ() -> None:
    for k in range(5):
        garment = draw_garment("sides", k, kind="short sleeve top")
        fabric = make_fabric(garment, 300, 1)
        assert fabric.trunk.width() > 100
        front, back = (shop_photo(garment, "A", kind) for kind in ("flat", "back"))
        rows, columns = min(front.shape[0], back.shape[0]), min(front.shape[1], back.shape[1])
        apart = np.abs(front[:rows, :columns].astype(int) - back[:rows, :columns]).max(axis=2)
        assert (apart > 20).mean() > 0.01


def test_shop_photos_show_the_garment_alone_and_worn() -> None:
    garment = draw_garment("photo", kind="skirt")
    flat, worn = shop_photo(garment, "B", "flat"), shop_photo(garment, "B", "worn")
    assert flat.dtype == worn.dtype == np.uint8
    assert (flat[:3] == 255).all()
    assert max(flat.shape) == max(worn.shape) == 384
    assert not np.array_equal(flat[:50, :50], worn[:50, :50])
