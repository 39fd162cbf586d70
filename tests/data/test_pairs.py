"""A table of your own pairs: CSV and Parquet say the same, wrong rows are named with their line."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dprnet.check import check
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.images import jpeg_bytes
from dprnet.data.pairs import check_pairs, photos, protocol, split_rule

ROWS = [
    {"image": "a1.jpg", "item_id": "a", "domain": "shop", "box": "", "category": "dress", "split": "test"},
    {"image": "a2.jpg", "item_id": "a", "domain": "Consumer", "box": "2 3 12 18", "category": "", "split": "test"},
    {"image": "b1.jpg", "item_id": "b", "domain": "shop", "box": "", "category": "hat", "split": "train"},
    {"image": "b2.jpg", "item_id": "b", "domain": "street", "box": "1,1,9,9", "category": "top", "split": "train"},
]


def write(folder, rows=ROWS, columns=None, kind="csv"):
    for row in ROWS:
        (folder / row["image"]).write_bytes(jpeg_bytes(np.zeros((20, 15, 3), np.uint8)))
    path = folder / f"mine.{kind}"
    names = columns or list(ROWS[0])
    if kind == "parquet":
        pq.write_table(pa.table({name: [row[name] for row in rows] for name in names}), path)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_become_photos(tmp_path, kind):
    path = write(tmp_path, kind=kind)
    shop, street = photos(path, "test")
    assert (shop.instance, shop.domain, shop.label, shop.box_xyxy) == ("mine/a", "shop", 5, None)
    assert (street.domain, street.label, street.load().shape) == ("video", -1, (15, 10, 3))
    assert [photo.label for photo in photos(path, "train")] == [-1, 0]
    assert photos(path, "validation") == []
    found = protocol(path)
    assert ([photo.path.name for photo in found.queries], len(found.gallery)) == (["a2.jpg"], 2)


def test_boxes_may_be_lists_in_parquet(tmp_path):
    table = {"image": ["a1.jpg", "a2.jpg"], "item_id": ["a", "a"], "domain": ["shop", "user"]}
    pq.write_table(pa.table(table | {"box": [None, [1.0, 2.0, 3.0, 4.0]]}), tmp_path / "p.parquet")
    found = photos(tmp_path / "p.parquet", split_rule("a"))
    assert [photo.box_xyxy for photo in found] == [None, (1, 2, 3, 4)]


def test_without_a_split_items_are_shared_out(tmp_path):
    rows = [row | {"item_id": f"i{number}", "image": "a1.jpg"} for number in range(200) for row in ROWS[:2]]
    path = write(tmp_path, rows, ["image", "item_id", "domain"])
    shares = {split: {p.instance for p in photos(path, split)} for split in ("train", "validation", "test")}
    assert sum(map(len, shares.values())) == len(set.union(*shares.values())) == 200
    assert 120 < len(shares["train"]) < 160
    assert len(shares["validation"]) > 5


def test_a_sound_table_has_no_problems(tmp_path):
    found = check(write(tmp_path))
    assert (found.kind, found.told, found.problems) == ("data set", "pairs, 4 photos of 2 items", ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": ""}, "line 2: image is empty"),
        ({"item_id": ""}, "line 2: item_id is empty"),
        ({"domain": "shelf"}, "line 2: domain 'shelf' is unknown; known are shop, street"),
        ({"split": "exam"}, "line 2: split 'exam' is unknown"),
        ({"box": "1 2 3"}, "line 2: box '1 2 3' is not x1 y1 x2 y2"),
        ({"box": "30 40 10 20"}, "is no pair of corners"),
        ({"box": "1 2 nan 4"}, "is no pair of corners"),
        ({"image": "../a1.jpg"}, "must lie beside the table"),
        ({"image": "gone.jpg"}, "line 2: gone.jpg does not exist"),
        ({"split": "train"}, "line 3: item a is in 'test' and in 'train'"),
        ({"domain": "user"}, "item a has no shop photo"),
    ],
)
def test_every_wrong_row_is_named(tmp_path, changes, message):
    path = write(tmp_path, [ROWS[0] | changes, *ROWS[1:]])
    _, problems = check_pairs(path)
    assert any(message in line for line in problems), problems
    if "line 2" in message and "exist" not in message:
        with pytest.raises(BadDataset, match="line 2"):
            photos(path, "test")


def test_missing_columns_and_files_are_named(tmp_path):
    with pytest.raises(BadDataset, match="column 'domain' is missing"):
        photos(write(tmp_path, columns=["image", "item_id"]), "test")
    with pytest.raises(BadDataset, match="column 'item_id' is missing"):
        photos(write(tmp_path, columns=["image"], kind="parquet"), "test")
    (tmp_path / "no.parquet").write_bytes(b"PAR")
    with pytest.raises(BadDataset, match="no Parquet file"):
        photos(tmp_path / "no.parquet", "test")
    with pytest.raises(MissingFile):
        photos(tmp_path / "gone.csv", "test")


def test_a_catalogue_is_still_a_catalogue(tmp_path):
    path = write(tmp_path, columns=["image", "item_id", "category"])
    assert check(path).kind == "catalogue"


def test_a_recipe_may_train_on_pairs(tmp_path):
    from dprnet.train.shots import PhotoSource, read_sources

    found = read_sources([PhotoSource(kind="pairs", path=str(write(tmp_path)))])
    assert [shot.photo.path.name for shot in found[0]] == ["b1.jpg", "b2.jpg"]
