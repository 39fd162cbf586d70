"""``check`` knows each data set by its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from dprnet.check import check
from dprnet.core.errors import BadImage, DprnetError
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


def test_a_photo_is_known_by_its_content(tmp_path: Path):
    frames = [Image.new("RGB", (40, 24), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "look.bin", "GIF", save_all=True, append_images=frames[1:])
    found = check(tmp_path / "look.bin")
    assert (found.kind, found.told) == ("photo", "GIF, 40x24 pixels, of which only the first frame is read")
    frames[0].save(tmp_path / "half.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "half.jpg").read_bytes()[:200])
    with pytest.raises(BadImage, match=r"half\.jpg"):
        check(tmp_path / "half.jpg")


@pytest.mark.data
@pytest.mark.parametrize("name", ["luma"])
def test_real_photos(data_root: Path, name: str):
    found = check(data_root / name)
    assert (found.kind, found.problems) == ("data set", ())
