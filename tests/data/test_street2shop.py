"""Street2Shop, on a small set written in its format: boxes become corners, a query stays in its category."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dprnet.check import check
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.images import jpeg_bytes
from dprnet.data.street2shop import CATEGORIES, META, Street2Shop, photos
from dprnet.data.street2shop_check import check_street2shop


def entry(photo, product, box=None):
    made = {"photo": photo, "product": product}
    return made | {"bbox": dict(zip(("left", "top", "width", "height"), box, strict=True))} if box else made


LISTS = {
    "train_pairs_dresses": [entry(1, 100 + number, (2, 3, 10, 20)) for number in range(30)],
    "test_pairs_dresses": [entry(2, 500, (1, 1, 5, 6)), entry(2, 500, (1, 1, 5, 6)), entry(2, 501, (0, 0, 4, 4))],
    "retrieval_dresses": [entry(3, 500), entry(4, 500), entry(5, 501), *(entry(10 + n, 100 + n) for n in range(30))],
    "test_pairs_bags": [entry(7, 900, (1, 1, 2, 2))],
    "retrieval_bags": [entry(8, 900)],
}


def write(root, **changes):
    (root / META).mkdir(parents=True)
    (root / "photos").mkdir()
    for category in CATEGORIES:
        for kind in ("train_pairs", "test_pairs", "retrieval"):
            name = f"{kind}_{category}"
            (root / META / f"{name}.json").write_text(json.dumps(changes.get(name, LISTS.get(name, []))))
    for photo in range(1, 40):
        ending = "jpeg" if photo == 3 else "jpg"
        (root / "photos" / f"{photo:09d}.{ending}").write_bytes(jpeg_bytes(np.zeros((40, 30, 3), np.uint8)))
    return root


def test_boxes_become_corners_and_a_query_stays_in_its_category(tmp_path):
    made = Street2Shop(write(tmp_path))
    found = made.protocol("dresses")
    assert [photo.box_xyxy for photo in found.queries] == [(1, 1, 6, 7), (1, 1, 6, 7), (0, 0, 4, 4)]
    assert found.queries[0].load().shape == (6, 5, 3)
    assert found.queries[0].path.name == "000000002.jpg"
    assert found.gallery[0].path.name == "000000003.jpeg"
    assert len(found.gallery) == 33
    assert {photo.label for photo in found.gallery} == {5}
    bags = made.protocol("bags")
    assert (len(bags.queries), len(bags.gallery), bags.gallery[0].label) == (1, 1, -1)


def test_a_tenth_of_the_products_validates_and_no_product_is_in_two_splits(tmp_path):
    root = write(tmp_path)
    products = {split: {photo.instance for photo in photos(root, split)} for split in ("train", "validation", "test")}
    assert products["test"] == {"street2shop/500", "street2shop/501"}
    assert not products["train"] & products["validation"]
    assert len(products["train"] | products["validation"]) == 30
    assert products["validation"]
    test = photos(root, "test")
    assert len(test) == len(set(test)) == 2 + 3


def test_a_sound_copy_has_no_problems(tmp_path):
    found = check(write(tmp_path))
    assert (found.told, found.problems) == ("Street2Shop, 4 queries, 34 shop photos", ())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("test_pairs_tops", [entry(2, 1)], "entry 0: bbox wants left, top, width, height"),
        ("test_pairs_tops", [entry(2, 1, (1, 1, 0, 5))], "has no inside"),
        ("retrieval_tops", {"photo": 1}, "holds no list"),
        ("retrieval_tops", [{"photo": "1", "product": 2}], "entry 0: wanted numbers"),
        ("test_pairs_tops", [entry(2, 77, (1, 1, 2, 2))], "product 77 has no photo in the shop"),
        ("train_pairs_dresses", [entry(1, 500, (1, 1, 2, 2))], "product 500 is in the test pairs too"),
        ("retrieval_tops", [entry(99, 1)], "photos/000000099.jpg does not exist; photos/photos.txt line 2 has its"),
        ("retrieval_tops", [entry(98, 1)], "photos/photos.txt line 3: wanted nine digits, a comma and an address: '98"),
        (
            "test_pairs_dresses",  # corners 5 6 20 38, which are no width and height
            [entry(2, 500, (5, 6, 20, 38))],
            "entry 0: the box left 5, top 6, width 20, height 38 leaves photo 2 of 30 x 40 pixels; are these corners?",
        ),
        ("retrieval_bags", [entry(8, 900), entry(8, 901)], "entry 1: photo 8 shows product 901 and product 900"),
    ],
)
def test_every_trap_is_listed(tmp_path, name, value, message):
    root = write(tmp_path, **{name: value})
    lines = ("000000001,https://shop.example/1", "000000099,https://shop.example/99", "98,https://shop.example/98")
    (root / "photos" / "photos.txt").write_text("\n".join(lines))
    _, problems = check_street2shop(root)
    assert any(message in line for line in problems), problems


def test_a_damaged_photo_is_named(tmp_path):
    root = write(tmp_path)
    (root / "photos" / "000000002.jpg").write_bytes(b"no photo")
    assert "photos/000000002.jpg: no image" in "\n".join(check_street2shop(root)[1])


def test_broken_files_and_a_wrong_folder_are_named(tmp_path):
    root = write(tmp_path)
    (root / META / "retrieval_dresses.json").write_text("[{")
    with pytest.raises(BadDataset, match="cannot be read as JSON"):
        photos(root, "test")
    (root / META / "retrieval_dresses.json").unlink()
    with pytest.raises(MissingFile, match="no such list"):
        photos(root, "test")
    with pytest.raises(MissingFile, match="holds meta and photos"):
        Street2Shop(root / "photos")
