"""Readers of luma and clothing, the fixed splits, and the photos of a video-to-shop set."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data import clothing, luma
from dprnet.data.labelled import Photo, world_photos
from dprnet.data.shopset import ShopSetWriter
from dprnet.data.splits import luma_test_rule, sender_rule, split_of

TRAIN, VALIDATION, TEST = (
    next(key for key, split in split_of("luma").items() if split == wanted)
    for wanted in ("train", "validation", "test")
)


def write_luma(root: Path, *rows: tuple[str, str, str, str], pairs: str = "") -> Path:
    folder = root / "luma"
    (folder / "images").mkdir(parents=True)
    lines = []
    for product, category, colour, view in rows:
        file = f"images/{product}-{colour}_{view}.jpg"
        (folder / file).touch()
        lines.append(f"{file},{product},{category},{colour},{view}")
    (folder / "index.csv").write_text("file,product,category,colour,view\n" + "\n".join(lines) + "\n")
    header = "product,colour,main,back,ab_distance,likely_recoloured\n"
    (folder / "front_back_pairs.csv").write_text(header + pairs)
    return root


def pair(product: str, colour: str, recoloured: int) -> str:
    stem = f"images/{product}-{colour}"
    return f"{product},{colour},{stem}_main.jpg,{stem}_back.jpg,1.0,{recoloured}\n"


def test_luma_identity_is_product_and_colour(tmp_path: Path) -> None:
    root = write_luma(
        tmp_path,
        (TRAIN, "men jacket", "red", "main"),
        (TRAIN, "men jacket", "red", "back"),
        (TRAIN, "men jacket", "blue", "alt1"),
        (TEST, "women bra", "red", "main"),
    )
    photos = luma.photos(root, "train")
    assert [photo.instance for photo in photos] == [f"luma/{TRAIN}-red"] * 2 + [f"luma/{TRAIN}-blue"]
    assert [photo.viewpoint for photo in photos] == [0, 1, -1]
    assert [photo.label for photo in photos] == [1, 1, 1]
    assert {photo.item for photo in photos} == {f"luma/{TRAIN}"}
    assert [photo.label for photo in luma.photos(root, "test")] == [0]
    assert luma.photos(root, "validation") == []


def test_luma_leaves_out_views_of_another_colour_and_outfits(tmp_path: Path) -> None:
    rows = [(TRAIN, "men pants", colour, view) for colour in ("red", "blue") for view in ("alt1", "back", "main")]
    root = write_luma(
        tmp_path,
        *rows,
        (TRAIN, "men pants", "red", "outfit"),
        pairs=pair(TRAIN, "red", 0) + pair(TRAIN, "blue", 1),
    )
    assert [photo.path.stem.split("-")[1] for photo in luma.photos(root, "train")] == [
        "red_alt1",
        "red_back",
        "red_main",
        "blue_main",
    ]
    assert [(a.path.stem, b.path.stem) for a, b in luma.pairs(root, "train")] == [
        (f"{TRAIN}-red_main", f"{TRAIN}-red_back")
    ]


def test_luma_a_product_of_no_split_is_refused(tmp_path: Path) -> None:
    root = write_luma(tmp_path, ("zz99", "men jacket", "red", "main"))
    with pytest.raises(BadDataset, match=r"index\.csv: line 2: product 'zz99' is in no split"):
        luma.photos(root, "train")


def test_check_luma_names_line_and_value(tmp_path: Path) -> None:
    root = write_luma(tmp_path, (TRAIN, "men jacket", "red", "main"), (TRAIN, "hats", "red", "back"))
    (root / "luma" / "images" / f"{TRAIN}-red_main.jpg").unlink()
    with (root / "luma" / "front_back_pairs.csv").open("a") as file:
        file.write(pair(TRAIN, "green", 7))
    problems = luma.check_luma(root)
    assert problems[0] == f"index.csv line 2: 'images/{TRAIN}-red_main.jpg' does not exist"
    assert problems[1].startswith("index.csv line 3: category 'hats' is unknown; known are men hoodie")
    assert problems[2:] == [
        f"front_back_pairs.csv line 2: main 'images/{TRAIN}-green_main.jpg' is not in index.csv",
        f"front_back_pairs.csv line 2: back 'images/{TRAIN}-green_back.jpg' is not in index.csv",
        "front_back_pairs.csv line 2: likely_recoloured '7' is neither 0 nor 1",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file;product\n", "line 1: column 'file' is missing; wanted file, product, category, colour, view"),
        ("file,product,category,colour,view\na,b,c\n", "line 2: a row must have 5 fields"),
        ("file,product,category,colour,view\na,b,c,d,e,f\n", "line 2: a row must have 5 fields"),
    ],
)
def test_a_wrong_table_is_refused_by_name(tmp_path: Path, text: str, sentence: str) -> None:
    root = write_luma(tmp_path)
    (root / "luma" / "index.csv").write_text(text)
    with pytest.raises(BadDataset) as caught:
        luma.photos(root, "train")
    assert caught.value.sentence == sentence
    assert luma.check_luma(root) == [str(caught.value)]


def test_a_missing_table_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"images\.csv: no such table"):
        clothing.photos(tmp_path, "train")


def write_clothing(root: Path, *rows: tuple[str, str, str]) -> Path:
    folder = root / "clothing"
    folder.mkdir()
    text = "image,sender_id,label,kids\r\n" + "".join(f"{a},{b},{c},False\r\n" for a, b, c in rows)
    (folder / "images.csv").write_text(text, newline="")
    return root


def test_clothing_identity_is_the_photo(tmp_path: Path) -> None:
    sender = next(key for key, split in split_of("clothing").items() if split == "train")
    other = next(key for key, split in split_of("clothing").items() if split == "test")
    rows = [("a", sender, "Polo"), ("b", sender, "Shoes"), ("c", sender, "Not sure"), ("d", other, "Dress")]
    root = write_clothing(tmp_path, *rows)
    assert clothing.photos(root, "train") == [
        Photo(root / "clothing" / "images" / "a.jpg", None, "clothing/a", 0, "shop", viewpoint=2),
        Photo(root / "clothing" / "images" / "b.jpg", None, "clothing/b", -1, "shop", viewpoint=2),
    ]
    assert [photo.instance for photo in clothing.photos(root, "train", only_garments=True)] == ["clothing/a"]
    assert [photo.label for photo in clothing.photos(root, "test")] == [5]


def test_check_clothing_names_line_and_value(tmp_path: Path) -> None:
    root = write_clothing(tmp_path, ("a", "1", "Polo"), ("a", "1", "Trousers"))
    (root / "clothing" / "images").mkdir()
    (root / "clothing" / "images" / "a.jpg").touch()
    unknown, twice = clothing.check_clothing(root)
    assert unknown.startswith("images.csv line 3: label 'Trousers' is unknown; known are Blazer, Blouse")
    assert twice == "images.csv line 3: image 'a' again, first in line 2"


def test_split_files_are_whole() -> None:
    assert Counter(split_of("ccp").values()) == {"train": 640, "validation": 60, "test": 100}
    assert Counter(split_of("luma").values()) == {"train": 47, "validation": 20, "test": 40}
    for sender, split in split_of("clothing").items():
        assert sender_rule(sender) == split


@pytest.mark.data
def test_luma_test_split_of_the_real_data(data_root: Path) -> None:
    with (data_root / "luma" / "front_back_pairs.csv").open() as file:
        by_rule = luma_test_rule(csv.DictReader(file))
    assert by_rule == {key for key, split in split_of("luma").items() if split == "test"}
    test = luma.photos(data_root, "test")
    assert len({photo.item for photo in test}) == 40
    assert len(luma.pairs(data_root, "test")) == 42
    assert sum(photo.path.stem.endswith("_alt1") for photo in test) == 25
    for split in ("train", "validation"):
        assert not {photo.item for photo in test} & {photo.item for photo in luma.photos(data_root, split)}
    assert test[0].load(short_side=200).shape[2] == 3
    assert luma.check_luma(data_root) == []


@pytest.mark.data
def test_clothing_splits_of_the_real_data(data_root: Path) -> None:
    counts = {split: len(clothing.photos(data_root, split)) for split in ("train", "validation", "test")}
    assert counts == {"train": 2083, "validation": 531, "test": 405}
    assert clothing.check_clothing(data_root) == []
    assert clothing.photos(data_root, "test")[0].load().shape[2] == 3


def test_photos_of_a_set_share_identities_over_both_domains(tmp_path: Path) -> None:
    writer = ShopSetWriter(tmp_path, {"name": "mine", "split": "train"})
    writer.add_still("v", 0, np.zeros((60, 80, 3), np.uint8))
    writer.add_item("A", [np.full((50, 50, 3), 9, np.uint8)], category="dress")
    writer.add_item("B", [np.zeros((50, 50, 3), np.uint8)], category="skirt")
    writer.add_instance("v", 1, 0, item_id="A")
    writer.add_instance("v", 2, 1)
    writer.add_instance("v", 3, 2, attributes={"identity": "luma/x-red", "family": "luma/x"})
    for number, box, occlusion in ((1, (0, 0, 30, 40), 0), (2, (10, 10, 60, 50), 2), (3, (40, 0, 80, 60), -1)):
        writer.add_view("v", 0, number, box, occlusion=occlusion, viewpoint=0)
    shopset = writer.finish()
    photos = world_photos(shopset)
    assert [(photo.instance.split("/", 1)[1], photo.label, photo.domain) for photo in photos] == [
        ("A", 0, "video"),
        ("instance-2", 1, "video"),
        ("x-red", 2, "video"),
        ("A", 0, "shop"),  # as the garment that is worn, not as its category says
        ("B", 4, "shop"),
    ]
    assert photos[2].instance == "luma/x-red"
    assert photos[2].item == "luma/x"
    assert photos[0].load().shape == (40, 30, 3)
    assert len(world_photos(shopset, min_side=31)) == 4
    assert len(world_photos(shopset, heaviest_occlusion=1)) == 4
