"""The page of measured figures: every figure from the files, aims said, what is missing or damaged named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dprnet.cli import run
from dprnet.core.errors import BadReport
from dprnet.evaluate.results import write_results


def branch(value: float | None, confusion: list[list[int]]) -> dict[str, Any]:
    recalls = {"frontal": 0.9, "side_or_back": 0.5} if value is not None else {}
    boxes = sum(map(sum, confusion))
    interval = [value and value - 0.05, value and value + 0.05]
    return {"balanced_accuracy": value, "interval": interval, "boxes": boxes, "recalls": recalls,
            "confusion": confusion}  # fmt: skip


def detection(**more: Any) -> dict[str, Any]:
    precision = dict.fromkeys(("ap", "ap50", "ap_large", "ap50_large"), 0.8)
    precision |= {f"{name}_interval": [0.7, 0.9] for name in list(precision)}
    branches = {
        "viewpoint": branch(0.91, [[90, 10], [20, 20]]),
        "occlusion": branch(0.6, [[9, 1], [5, 5]]),
        "crop": branch(None, []),
    }
    return {"images": 1200, "branches": branches, "front_back": None, "detector": "d@1", **precision, **more}


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


INSTANCES = {
    "views": 3000, "videos": 60, "every": "0.5s", "detector": "d@2",
    "methods": [
        {"name": "instance branch", "cut": 0.34, "f1": interval(0.95), "adjusted_rand": interval(0.9), "auc": 0.99,
         "behind_first": None},
        {"name": "IoU tracker", "cut": 0.05, "f1": interval(0.6), "adjusted_rand": interval(0.5), "auc": None,
         "behind_first": interval(0.35)},
    ],
}  # fmt: skip
COUNTS = {"instances": 2, "picked": 1, "duplicated": 0, "optimal": 1, "picks": 1, "right": 1}
CLIPS = {
    "clips": {"asl|one": COUNTS}, "garments": 2, "annotated_views": 9, "r_pick": 0.5, "r_duplication": 0.0,
    "r_optimal": 1.0, "precision": None, "missed": {"not detected": 0, "no good view": 1}, "with_good_view": 1,
    "picked_with_good_view": 1, "balanced_accuracy": {"viewpoint": 0.9}, "agreement": {"iou": 0.92}, "detector": "d@3",
}  # fmt: skip


def write(folder: Path, name: str, figures: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(figures))


def test_every_figure_and_aim(tmp_path: Path) -> None:
    write(tmp_path, "detection-videos", detection())
    front = branch(0.8, [[8, 2], [2, 8]])
    write(tmp_path, "detection", detection(front_back=front, ap50_large=0.7, images=100))
    write(tmp_path, "instances", INSTANCES)
    write(tmp_path, "clips", CLIPS)
    Image.fromarray(np.zeros((20, 1800, 3), np.uint8)).save(tmp_path / "clips.png")
    path = write_results(tmp_path, tmp_path / "docs", bundle="tiny", identity="tiny@9", machine="two", date="today")
    text = path.read_text()
    assert "Bundle tiny@9, two, today." in text
    assert "| 1,200 images | figure | aim |" in text
    assert "| viewpoint | 140 | 0.910 \\[0.860, 0.960] | 0.90: reached | 0.700 |" in text
    assert "| occlusion | 20 | 0.600 \\[0.550, 0.650] | 0.85: missed | 0.700 |" in text
    assert "| crop | 0 | no labels |  |  |  |" in text
    assert "| AP50, classes with 25 boxes or more | 0.700 \\[0.700, 0.900] | 0.75: missed |" in text
    assert "| AP, classes with 25 boxes or more | 0.800 \\[0.700, 0.900] | 0.45: reached |" in text
    assert "Front against back on 20 shop photos: 0.800" in text
    assert "| instance branch | 0.34 | 0.950 \\[0.940, 0.960] | 0.90: reached |" in text
    assert "| IoU tracker | 0.05 | 0.600 \\[0.590, 0.610] |  | 0.500 \\[0.490, 0.510] | - | +0.350 " in text
    assert "| garments with a good view that are picked | 1 of 1 |" in text
    assert "| precision of picks | - |" in text
    assert "| not picked, and why | no good view 1 |" in text
    assert "| asl\\|one | 2 | 1 | 0 | 1 | 1 | 1 |" in text
    assert f'dprnet evaluate clips "$DPRNET_DATA/videos" --sheet {tmp_path}/clips.png --bundle tiny' in text
    assert [line for line in text.splitlines() if line.startswith("Detector ")] == [
        "Detector d@1.", "Detector d@1.", "Detector d@2.", "Detector d@3."]  # fmt: skip
    assert "![Picking on real people](pictures/clips.png)" in text
    with Image.open(tmp_path / "docs" / "pictures" / "clips.png") as small:
        assert small.size == (900, 10)
    assert "branches.png)" not in text  # not drawn


def test_what_is_missing_or_damaged_is_said(
    tmp_path: Path, random_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--figures", str(tmp_path), "--out", str(tmp_path / "docs"), "--bundle", str(random_bundle)]
    assert run(["evaluate", "results", *out]) == 0
    text = Path(capsys.readouterr().out.strip()).read_text()
    assert text.count("Not measured.") == 4
    (tmp_path / "clips.json").write_text("{")
    with pytest.raises(BadReport, match="clips"):
        write_results(tmp_path, tmp_path / "docs")
    write(tmp_path, "clips", {key: value for key, value in CLIPS.items() if key != "r_pick"})
    with pytest.raises(BadReport, match="'r_pick'; write it again with `dprnet evaluate clips"):
        write_results(tmp_path, tmp_path / "docs")
