"""MovingFashion becomes a set that everything else can measure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from dprnet.core.errors import BadDataset
from dprnet.data.movingfashion import read_movingfashion
from dprnet.data.shopset import check
from dprnet.evaluate.metrics import match_views
from dprnet.evaluate.movingfashion import as_shop_set
from dprnet.evaluate.truth import video_truth


def test_a_class_that_nobody_labelled_is_any() -> None:
    box, frame = np.array([[0, 0, 10, 10]], np.float32), np.array([3])
    for true, wanted in ((-1, 0), (2, 0), (1, -1)):
        assert match_views(frame, box, np.array([2]), frame, box, np.array([true])).tolist() == [wanted]


@pytest.fixture
def folder(tmp_path: Path, moving_square: Path) -> Path:
    base = tmp_path / "movingfashion"
    for name in ("imgs", "videos"):
        (base / name).mkdir(parents=True)
    (base / "videos/a.mp4").write_bytes(moving_square.read_bytes())
    (base / "videos/bad.mp4").write_bytes(b"no video")
    for name in ("1.jpg", "2.png"):
        Pil.new("RGB", (30, 30), (200, 30, 30)).save(base / "imgs" / name)
    tracklet = {str(frame): [4 * frame, 30, 4 * frame + 40, 90] for frame in range(30)}
    table = {
        "p1": {"img_path": "imgs/1.jpg", "video_paths": ["videos/a.mp4", "videos/gone.mp4"], "source": 1,
               "tracklets": [tracklet, {"0": [0, 0, 9, 9]}]},
        "p2": {"img_path": "imgs/2.png", "video_paths": ["videos/a.mp4", "videos/bad.mp4"], "source": 1,
               "tracklets": [tracklet, {"0": [0, 0, 9, 9]}]},
    }  # fmt: skip
    (base / "test.json").write_text(json.dumps(table), encoding="utf-8")
    return base


def test_as_a_set(folder: Path, tmp_path: Path) -> None:
    done = as_shop_set(read_movingfashion(folder), tmp_path / "set")
    assert done.queries == 1
    assert len(done.left_out) == 2
    assert done.left_out[0] == "videos/gone.mp4: missing"
    assert "bad.mp4" in done.left_out[1]
    assert check(tmp_path / "set") == []
    (name,) = done.shopset.videos
    assert name.endswith("_regular")
    truth = video_truth(done.shopset, name)
    assert truth.counted == (0,)
    assert truth.right_items(0) == ("p1", "p2")
    assert truth.time_s[:2].tolist() == pytest.approx([0, 0.1])
    assert truth.label.tolist() == [-1] * 30


def test_a_tracklet_beyond_the_video_is_said(folder: Path, tmp_path: Path) -> None:
    table = json.loads((folder / "test.json").read_text(encoding="utf-8"))
    for one in table.values():
        one["tracklets"][0]["99"] = [0, 0, 9, 9]
    (folder / "test.json").write_text(json.dumps(table), encoding="utf-8")
    done = as_shop_set(read_movingfashion(folder), tmp_path / "set")
    assert done.queries == 0
    assert any("names frame 99, the video has 30 frames" in sentence for sentence in done.left_out)


def test_without_tracklets_nobody_knows(folder: Path, tmp_path: Path) -> None:
    table = json.loads((folder / "test.json").read_text(encoding="utf-8"))
    for one in table.values():
        del one["tracklets"]
    (folder / "train.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(BadDataset, match="no tracklets"):
        as_shop_set(read_movingfashion(folder, "train"), tmp_path / "set")


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dprnet.cli import run

    assert run(["annotate", "movingfashion", str(folder), "--out", str(tmp_path / "set")]) == 3  # two files left out
    printed = capsys.readouterr()
    assert "1 videos" in printed.out
    assert "gone.mp4: missing" in printed.err
    assert run(["annotate", "movingfashion", str(folder), "--out", str(tmp_path / "x"), "--part", "soft"]) == 2
    assert run(["check", str(folder)]) == 2
    assert "videos/gone.mp4: missing (product 'p1')" in capsys.readouterr().out
