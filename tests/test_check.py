"""``check`` knows each data set by its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dprnet.check import check
from dprnet.core.errors import DprnetError
from dprnet.data.coco import write_coco
from dprnet.data.deepfashion2 import DeepFashion2


def test_deepfashion2_whole_and_one_split(deepfashion2: Path):
    whole = check(deepfashion2)
    assert whole.kind == "data set"
    assert whole.told.startswith("DeepFashion2, train 8 images, 12 garments")
    assert "; validation 8 images" in whole.told
    assert whole.problems == ()
    assert check(deepfashion2 / "validation").told.startswith("DeepFashion2, 8 images")


def test_problems_name_split_file_and_value(deepfashion2: Path, tmp_path: Path):
    shutil.copytree(deepfashion2, tmp_path / "set")
    path = tmp_path / "set" / "validation" / "annos" / "000002.json"
    values = json.loads(path.read_text())
    values["item1"]["category_id"] = 0
    path.write_text(json.dumps(values))
    (problem, *_) = check(tmp_path / "set").problems
    assert problem == "validation: annos/000002.json: item1.category_id 0; wanted 1 to 13"


def test_coco_as_file_and_as_folder(deepfashion2: Path, tmp_path: Path):
    (tmp_path / "annotations").mkdir()
    write_coco(DeepFashion2(deepfashion2), tmp_path / "annotations" / "all.json")
    for path in (tmp_path, tmp_path / "annotations" / "all.json"):
        assert check(path).told == "COCO, 8 images, 12 annotations"
        assert check(path).problems == ()


def test_other_json_is_no_data_set(tmp_path: Path):
    for text in ("{}", "nothing", '{"images": 3, "annotations": [], "categories": []}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DprnetError):
            check(tmp_path / "x.json")


@pytest.mark.data
@pytest.mark.parametrize("name", ["luma"])
def test_real_photos(data_root: Path, name: str):
    found = check(data_root / name)
    assert (found.kind, found.problems) == ("data set", ())
