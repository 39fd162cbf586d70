"""MovingFashion's tables as published, and every way in which they may be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.movingfashion import check_movingfashion, read_movingfashion

TABLE: dict[str, Any] = {
    "p1": {"img_path": "imgs/1.jpg", "video_paths": ["videos/a.mp4", "videos/b.mp4"], "source": 1,
           "tracklets": [{"10": [5, 6, 50, 60], "2": [1, 2, 30, 40]}, {"0": [0, 0, 9, 9]}]},
    "p2": {"img_path": "imgs/2.png", "video_paths": ["videos/a.mp4"], "source": 0, "tracklets": [{"3": [1, 1, 8, 8]}]},
    "p3": {"img_path": "imgs/3.jpg", "video_paths": ["videos/c.mp4"], "source": 1, "tracklets": [{"3": [1, 1, 8, 8]}]},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "imgs").mkdir()
    (tmp_path / "videos").mkdir()
    for name in ("imgs/1.jpg", "imgs/2.png", "videos/a.mp4", "videos/b.mp4", "videos/c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "test.json").write_text(json.dumps(TABLE), encoding="utf-8")
    return tmp_path


def test_queries_and_gallery(folder: Path) -> None:
    read = read_movingfashion(folder)
    assert [(one.product_id, one.source) for one in read.products] == [
        ("p1", "regular"),
        ("p2", "hard"),
        ("p3", "regular"),
    ]
    assert read.missing == ("imgs/3.jpg",)
    assert read.gallery == {"p1": "imgs/1.jpg", "p2": "imgs/2.png"}
    assert [(one.video, one.products) for one in read.queries] == [
        ("videos/a.mp4", ("p1", "p2")),
        ("videos/b.mp4", ("p1",)),
    ]
    assert list(read.queries[0].tracklet) == [2, 10]
    assert read.queries[0].tracklet[10] == (5, 6, 50, 60)
    (folder / "videos/b.mp4").unlink()
    again = read_movingfashion(folder)
    assert again.missing == ("imgs/3.jpg", "videos/b.mp4")
    assert [one.video for one in again.queries] == ["videos/a.mp4"]


def test_hard_and_regular(folder: Path) -> None:
    assert [one.product_id for one in read_movingfashion(folder, source="hard").products] == ["p2"]
    assert [one.product_id for one in read_movingfashion(folder, source="regular").products] == ["p1", "p3"]


def test_check_lists_all(folder: Path) -> None:
    problems = check_movingfashion(folder)
    assert problems[0] == "imgs/3.jpg: missing (product 'p3')"
    assert "test.json: 3 products, the published set has 1342" in problems
    assert "test.json: 1 hard products, the published set has 328" in problems
    assert len(problems) == 6
    table = {f"q{n}": {"img_path": "", "video_paths": [], "source": 0} for n in range(30)}
    (folder / "train.json").write_text(json.dumps(table), encoding="utf-8")
    told = check_movingfashion(folder, "train")
    assert "and 10 more like the last" in told[20]


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda one: one.pop("img_path"), "product 'p1': img_path is None"),
        (lambda one: one.update(video_paths="videos/a.mp4"), "video_paths is no list"),
        (lambda one: one.update(source=2), "source is 2, wanted 0"),
        (lambda one: one.update(source=True), "source is True"),
        (lambda one: one.update(img_path="../secret.jpg"), "leads out of the folder"),
        (lambda one: one.update(video_paths=["/etc/passwd", "b"]), "leads out of the folder"),
        (lambda one: one.update(tracklets=[{}]), "1 tracklets for 2 videos"),
        (lambda one: one.update(tracklets=[[], {}]), "wanted frame -> box, got list"),
        (lambda one: one["tracklets"][0].update({"2": [1, 2, 3]}), "wanted four numbers"),
        (lambda one: one["tracklets"][0].update({"x": [1, 2, 3, 4]}), "frame 'x'"),
        (lambda one: one["tracklets"][0].update({"-2": [1, 2, 3, 4]}), "no number of an image"),
        (lambda one: one["tracklets"][0].update({"2": [40, 50, 30, 20]}), "no x1, y1, x2, y2"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(folder: Path, change: Change, sentence: str) -> None:
    table = json.loads(json.dumps(TABLE))
    change(table["p1"])
    (folder / "test.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(BadDataset, match=sentence):
        read_movingfashion(folder)
    assert any(sentence in problem for problem in check_movingfashion(folder))


@pytest.mark.parametrize("text", ["", "[]", "{", "7", "[" * 100_000])
def test_no_table(folder: Path, text: str) -> None:
    (folder / "test.json").write_text(text, encoding="utf-8")
    for read in (read_movingfashion, check_movingfashion):
        with pytest.raises(BadDataset):
            read(folder)
    with pytest.raises(MissingFile):
        read_movingfashion(folder, "train")


def test_the_training_split_has_no_tracklets(folder: Path) -> None:
    table = {name: {key: value for key, value in one.items() if key != "tracklets"} for name, one in TABLE.items()}
    (folder / "train.json").write_text(json.dumps(table), encoding="utf-8")
    assert [dict(one.tracklet) for one in read_movingfashion(folder, "train").queries] == [{}, {}]
