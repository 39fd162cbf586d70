"""The set on disk: what is written is read back, and every kind of problem is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.shopset import TABLES, ShopSet, ShopSetWriter, check


def write(folder: Path) -> ShopSet:
    writer = ShopSetWriter(folder, {"name": "hand", "split": "test"})
    writer.add_item(
        "A1",
        [np.full((50, 40, 3), 200, np.uint8)] * 2,
        category="top",
        title="Tee",
        price="9",
        print="dots",
    )
    writer.add_item("A2", [np.full((50, 40, 3), 20, np.uint8)], category="dress")
    writer.add_instance("street", 7, 0, "A1", attributes={"print": "dots"})
    writer.add_instance("street", 8, 5, None, lookalike=True)
    for frame in (3, 9):
        writer.add_still("street", frame, np.full((120, 80, 3), frame, np.uint8))
    view = {"viewpoint": 0, "occlusion": 1, "crop": 0, "occluded": 0.3, "cut_off": 0.0, "time_s": 0.25}
    writer.add_view("street", 3, 7, (10, 20, 30, 60), **view, landmarks=(12, 22, 2, 5, 6, 0))
    writer.add_view("street", 9, 7, (11, 20, 30, 60), time_s=0.75)
    writer.add_view("street", 9, 8, (40, 20, 80, 120), time_s=0.75, viewpoint=1, crop=1, cut_off=0.2)
    writer.add_ignored("street", 9, (0, 0, 5, 5))
    return writer.finish()


def test_round_trip(tmp_path: Path) -> None:
    opened = write(tmp_path)
    assert check(tmp_path) == []
    first, second = opened.stills()
    assert first.load().shape == (120, 80, 3)
    assert abs(int(second.load().mean()) - 9) <= 2
    assert first.truth.boxes_xyxy.tolist() == [[10, 20, 30, 60]]
    assert (first.truth.viewpoint.tolist(), first.truth.occlusion.tolist(), first.truth.crop.tolist()) == (
        [0],
        [1],
        [0],
    )
    assert second.truth.labels.tolist() == [0, 5]
    assert second.truth.instance.tolist() == [7, 8]
    assert second.truth.crop.tolist() == [-1, 1]
    assert second.truth.ignore_xyxy.tolist() == [[0, 0, 5, 5]]
    assert sorted(opened.truth("street")) == [3, 9]
    assert opened.frames["landmarks"].to_pylist()[0] == [12, 22, 2, 5, 6, 0]
    assert opened.instances["item_id"].to_pylist() == ["A1", None]
    lines = opened.catalogue_path.read_text().splitlines()
    assert lines[0] == "item_id,image,category,title,price,url,print"
    assert lines[1:3] == ["A1,gallery/A1_0.jpg,top,Tee,9,,dots", "A1,gallery/A1_1.jpg,top,Tee,9,,dots"]


def test_identity_follows_the_content_of_a_hand_made_set_and_the_settings_of_a_generated_one(tmp_path: Path) -> None:
    same = write(tmp_path / "a").id == write(tmp_path / "b").id
    meta = {"name": "n", "split": "test", "generator": "world", "version": "1", "seed": 1}
    empty = ShopSetWriter(tmp_path / "c", meta).finish()
    other = ShopSetWriter(tmp_path / "d", {**meta, "seed": 2}).finish()
    writer = ShopSetWriter(tmp_path / "e", meta)
    writer.add_instance("x", 1, 0)
    assert same
    assert empty.id != other.id
    assert writer.finish().id == empty.id
    assert write(tmp_path / "f").id != empty.id


def test_a_folder_without_a_set_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"set\.json is missing"):
        ShopSet.open(tmp_path)
    write(tmp_path)
    with pytest.raises(BadDataset, match="already holds a set"):
        ShopSetWriter(tmp_path, {})
    meta = json.loads((tmp_path / "set.json").read_text())
    (tmp_path / "set.json").write_text(json.dumps({**meta, "schema": 99}))
    with pytest.raises(BadDataset, match="upgrade dprnet"):
        ShopSet.open(tmp_path)
    assert "upgrade dprnet" in check(tmp_path)[0]
    (tmp_path / "set.json").write_text("{")
    with pytest.raises(BadDataset, match="JSON"):
        ShopSet.open(tmp_path)
    with pytest.raises(MissingFile, match="no video 'nope'"):
        ShopSet(tmp_path, meta).video_path("nope")
    (tmp_path / "frames.parquet").unlink()
    with pytest.raises(BadDataset, match="no table of frames"):
        ShopSet(tmp_path, meta).stills()


def change(table: str, column: str, row: int, value: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        rows = pq.read_table(folder / f"{table}.parquet").to_pylist()
        rows[row][column] = value
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[table]), folder / f"{table}.parquet")

    return apply


def drop(table: str, column: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / f"{table}.parquet"
        pq.write_table(pq.read_table(path).drop_columns([column]), path)

    return apply


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_text((folder / name).read_text().replace(old, new))

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


PROBLEMS = [
    (remove("frames.parquet"), "frames.parquet: missing"),
    (lambda folder: (folder / "frames.parquet").write_bytes(b"no"), "not a Parquet file"),
    (drop("frames", "viewpoint"), "column 'viewpoint' is missing"),
    (change("instances", "label", 0, 6), "label 6 is no coarse class"),
    (change("instances", "instance", 1, 7), "instance 7 is empty or used twice"),
    (change("instances", "item_id", 0, "Z9"), "'Z9' is not in catalogue.csv"),
    (change("instances", "attributes", 0, "{"), "attributes are not JSON"),
    (change("frames", "instance", 0, 99), "instance 99 is not in instances"),
    (change("frames", "frame_index", 0, 9), "again; one row each"),
    (change("frames", "frame_index", 0, -1), "frame_index -1 is negative"),
    (change("frames", "x1", 0, float("nan")), "is not finite"),
    (change("frames", "x2", 0, 8.0), "wanted corners x1 y1 x2 y2"),
    (change("frames", "x2", 2, 90.0), "leaves the image"),
    (change("frames", "x1", 0, -4.0), "leaves the image"),
    (change("frames", "viewpoint", 0, 3), "viewpoint 3; wanted -1 to 2"),
    (change("frames", "occluded", 0, 1.5), "no fraction in [0, 1]"),
    (change("frames", "occluded", 0, 0.6), "occlusion 1 does not fit occluded 0.600"),
    (change("frames", "cut_off", 2, 0.0), "crop 1 does not fit cut_off 0.000"),
    (change("frames", "frontal", 0, False), "frontal does not fit viewpoint"),
    (change("frames", "landmarks", 0, [1.0, 2.0]), "triplets"),
    (change("frames", "landmarks", 0, [1.0, 2.0, 3.0]), "triplets"),
    (change("frames", "time_s", 0, 5.0), "earlier than of a frame before it"),
    (change("frames", "video", 0, "gone"), "video 'gone' has neither"),
    (change("stills", "image", 0, "../secret.jpg"), "outside the set's folder"),
    (remove("stills/street_0003.jpg"), "'stills/street_0003.jpg' does not exist"),
    (remove("gallery/A2_0.jpg"), "catalogue.csv line 4: image 'gallery/A2_0.jpg' does not exist"),
    (replace("catalogue.csv", "item_id", "sku"), "column 'item_id' is missing"),
    (replace("catalogue.csv", "A2,", ","), "item_id is empty"),
]


@pytest.mark.parametrize(("damage", "sentence"), PROBLEMS, ids=[sentence for _, sentence in PROBLEMS])
def test_check_finds(tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    write(tmp_path)
    damage(tmp_path)
    problems = check(tmp_path)
    assert any(sentence in problem for problem in problems), problems


def test_check_counts_what_is_wrong_in_every_row(tmp_path: Path) -> None:
    writer = ShopSetWriter(tmp_path, {"name": "hand", "split": "test"})
    writer.add_instance("v", 1, 0)
    writer.add_video("v").write_bytes(b"")
    for frame in range(20):
        writer.add_view("v", frame, 1, (50, 50, 20, 30), time_s=frame / 12)
    writer.finish()
    problems = check(tmp_path)
    assert len(problems) == 6
    assert "and 15 more rows like row 5" in problems[-1]
