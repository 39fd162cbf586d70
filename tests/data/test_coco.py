"""COCO JSON: there and back, exports of annotation tools, and wrong entries by name and value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.records import Truth
from dprnet.data.coco import label_of, read_coco, write_coco
from dprnet.data.coco_check import check_coco
from dprnet.data.coco_files import looks_like_coco
from dprnet.data.labelled import LabelledImage

CATEGORIES = [{"id": 0, "name": "top"}, {"id": 1, "name": "Trousers"}, {"id": 2, "name": "shoe"}]


def write(path: Path, annotations: list[dict[str, Any]], categories: Any = CATEGORIES, name: str = "a.jpg") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": 1, "file_name": name, "width": 64, "height": 48}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def picture(path: Path, size: tuple[int, int] = (64, 48), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path, **options)
    return path


def note(category: int = 0, bbox: Any = (4, 6, 20, 30), **columns: Any) -> dict[str, Any]:
    return {"id": 5, "image_id": 1, "category_id": category, "bbox": list(bbox), **columns}


label = st.integers(-1, 1)
garment = st.tuples(
    st.integers(0, 30), st.integers(0, 20), st.integers(1, 30), st.integers(1, 25),
    st.integers(0, 5), st.integers(-1, 2), st.integers(-1, 2), label, st.sampled_from([-1, 3, 8]),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(garment, max_size=4), st.integers(0, 2)), min_size=1, max_size=3))
def test_truth_comes_back_as_it_went(tmp_path: Path, drawn):
    path = picture(tmp_path / "images" / "a.png")
    images = []
    for garments, ignored in drawn:
        table = np.array(garments, np.int64).reshape(-1, 9)
        boxes = np.stack([table[:, 0], table[:, 1], table[:, 0] + table[:, 2], table[:, 1] + table[:, 3]], axis=1)
        regions = np.array([[1, 2, 9, 9.5]] * ignored, np.float32).reshape(-1, 4)
        truth = Truth(boxes.astype(np.float32), *(table[:, column] for column in range(4, 9)), regions)
        images.append(LabelledImage(path, truth, "hand"))
    read = read_coco(write_coco(images, tmp_path / "set.json"))
    assert check_coco(tmp_path / "set.json")[1] == []
    assert [image.path for image in read] == [path] * len(images)
    before, after = (np.concatenate([i.truth.instance for i in every] or [[]]) for every in (images, read))
    # Numbers may change, but what was one garment stays one, and what had none has none.
    assert len(set(zip(before, after, strict=True))) == len(set(before)) == len(set(after))
    assert ((before < 0) == (after < 0)).all()
    for one, other in zip(images, read, strict=True):
        for name in ("boxes_xyxy", "labels", "viewpoint", "occlusion", "crop", "ignore_xyxy"):
            np.testing.assert_array_equal(getattr(one.truth, name), getattr(other.truth, name), err_msg=name)


def test_an_export_of_cvat(tmp_path: Path):
    attributes = {"occluded": True, "rotation": 0.0, "viewpoint": "side or back", "occlusion": "__undefined__"}
    attributes |= {"crop": False, "track_id": 7, "keyframe": True}
    picture(tmp_path / "images" / "default" / "frame_000000.jpg")
    write(
        tmp_path / "annotations" / "instances_default.json",
        [note(1, segmentation=[], area=600.0, iscrowd=0, attributes=attributes)],
        name="frame_000000.jpg",
    )
    truth = read_coco(tmp_path)[0].truth
    assert truth.boxes_xyxy.tolist() == [[4, 6, 24, 36]]
    assert [int(getattr(truth, n)[0]) for n in ("labels", "viewpoint", "occlusion", "crop")] == [2, 1, -1, 0]
    assert truth.instance.tolist() == [-1]  # a track is an identity only when it is said to be
    assert read_coco(tmp_path, identity="track_id")[0].truth.instance.tolist() == [0]


def test_an_export_of_label_studio(tmp_path: Path):
    picture(tmp_path / "images" / "1f2e-look.jpg")
    write(
        tmp_path / "result.json",
        [note(0, ignore=0, iscrowd=0, area=600, segmentation=[]), note(1, ignore=1)],
        name="..\\..\\media\\upload\\1\\1f2e-look.jpg",
    )
    truth = read_coco(tmp_path / "result.json")[0].truth
    assert (truth.labels.tolist(), truth.ignore_xyxy.tolist()) == ([0], [[4, 6, 24, 36]])
    assert (truth.viewpoint.tolist(), truth.instance.tolist()) == ([-1], [-1])


def test_tracks_of_two_videos_are_not_one_garment(tmp_path: Path):
    for name in ("a/1.png", "b/1.png"):
        picture(tmp_path / name)
    values = json.loads(write(tmp_path / "set.json", []).read_text())
    values["images"] = [
        {"id": k, "file_name": n, "width": 64, "height": 48} for k, n in ((1, "a/1.png"), (2, "b/1.png"))
    ]
    values["annotations"] = [{**note(attributes={"track_id": 0}), "image_id": k} for k in (1, 2)]
    (tmp_path / "set.json").write_text(json.dumps(values))
    read = read_coco(tmp_path / "set.json", identity="track_id")
    assert [image.truth.instance.tolist() for image in read] == [[0], [1]]


def test_other_categories_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    picture(tmp_path / "a.jpg")
    path = write(tmp_path / "set.json", [note(0), note(2)])
    assert read_coco(path)[0].truth.labels.tolist() == [0]
    assert "category 'shoe' is no garment of ours" in caplog.text
    assert check_coco(path) == (
        "1 images, 2 annotations",
        ["category 'shoe' is no garment of ours; its boxes are left out"],
    )


@pytest.mark.parametrize(
    ("branch", "value", "wanted"),
    [
        ("viewpoint", "Frontal", 0), ("viewpoint", "Side-or-back", 1), ("viewpoint", "back", 1), ("viewpoint", 2, 2),
        ("viewpoint", "not worn", 2), ("viewpoint", None, -1), ("viewpoint", " ", -1), ("viewpoint", -1, -1),
        ("occlusion", "HEAVY", 2), ("occlusion", "slight or none", 0), ("occlusion", "1", 1),
        ("crop", True, 1), ("crop", "false", 0), ("crop", "cropped", 1), ("crop", 0, 0),
    ],
)  # fmt: skip
def test_words_of_a_label(branch, value, wanted):
    assert label_of(branch, value) == wanted


@pytest.mark.parametrize(
    ("branch", "value"), [("viewpoint", "oblique"), ("occlusion", 3), ("crop", 2), ("viewpoint", True)]
)
def test_words_that_are_no_label(branch, value):
    with pytest.raises(ValueError, match=f"{branch} {value!r}; wanted one of"):
        label_of(branch, value)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (note(bbox=(4, 6, 20)), r"annotation 5: bbox \[4, 6, 20\]; wanted four numbers x y width height"),
        (note(bbox=(4, 6, 0, 30)), r"annotation 5: bbox \[4, 6, 0, 30\] is empty"),
        (note(bbox=(4, 6, "20", 30)), "wanted four numbers"),
        (note(9), "annotation 5: category_id 9 is not in categories"),
        ({**note(), "image_id": 3}, "annotation 5: image_id 3 is not in images"),
        ({"id": 5, "image_id": 1}, r"annotations\[0\] .*wanted image_id, category_id and bbox"),
        (note(attributes={"viewpoint": "up"}), "annotation 5: viewpoint 'up'; wanted one of frontal, side_or_back"),
        (note(attributes=[1]), r"annotation 5: attributes \[1\]; wanted an object"),
    ],
)
def test_wrong_entries_are_named_with_their_value(tmp_path: Path, entry, sentence):
    picture(tmp_path / "a.jpg")
    path = write(tmp_path / "set.json", [entry], CATEGORIES[:2])
    with pytest.raises(BadDataset, match=sentence):
        read_coco(path)
    _, problems = check_coco(path)
    assert len(problems) == 1


def test_all_problems_of_a_file_are_listed(tmp_path: Path):
    picture(tmp_path / "a.jpg", (48, 64))
    entries = [note(bbox=(30, 6, 40, 30)), {**note(9), "id": 6}, {**note(attributes={"crop": "half"}), "id": 7}]
    _, problems = check_coco(write(tmp_path / "set.json", entries, CATEGORIES[:2]))
    assert [problem.split(";")[0] for problem in problems] == [
        "annotation 6: category_id 9 is not in categories",
        "image 1: 'a.jpg' is listed with 64 x 48 pixels, the image has 48 x 64 (upright)",
        "annotation 5: bbox [30.0, 6.0, 40.0, 30.0] leaves the image of 48 x 64 pixels",
        "annotation 7: crop 'half'",
    ]


def test_a_turned_photo_has_its_upright_size(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "a.jpg", (48, 64), exif=exif)
    assert check_coco(write(tmp_path / "set.json", [note()], CATEGORIES[:2]))[1] == []
    assert read_coco(tmp_path / "set.json")[0].load().shape == (48, 64, 3)


def test_names_that_lead_elsewhere_are_not_followed(tmp_path: Path):
    picture(tmp_path / "secret.jpg")
    path = write(tmp_path / "set" / "set.json", [note()], name="../secret.jpg")
    with pytest.raises(MissingFile, match=r"image '\.\./secret.jpg' is not beside it"):
        read_coco(path)
    picture(tmp_path / "set" / "images" / "secret.jpg")
    assert read_coco(path)[0].path.parent.name == "images"
    assert read_coco(path, tmp_path)[0].path == tmp_path / "secret.jpg"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [], "annotations": {}, "categories": []}', "[" * 100_000])
def test_what_is_no_coco_file(tmp_path: Path, text: str):
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(BadDataset):
        read_coco(tmp_path / "set.json")


def test_paths(tmp_path: Path):
    with pytest.raises(MissingFile, match="no such COCO file"):
        read_coco(tmp_path / "none.json")
    with pytest.raises(MissingFile, match="holds no COCO file"):
        read_coco(tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadDataset, match="holds 2 JSON files"):
        read_coco(tmp_path)
    assert not looks_like_coco([])


def test_a_half_written_file_never_replaces_the_old(tmp_path: Path):
    path = tmp_path / "set.json"
    path.write_text("old")
    with pytest.raises(MissingFile, match="no such image"):
        write_coco(
            [
                LabelledImage(
                    tmp_path / "gone.jpg", Truth(*[np.zeros((0, 4))], *[np.zeros(0)] * 5, np.zeros((0, 4))), "x"
                )
            ],
            path,
        )
    assert path.read_text() == "old"
