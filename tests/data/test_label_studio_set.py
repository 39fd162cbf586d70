"""Label Studio's own export as a data set: quality labels and identity come along, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dprnet.check import check
from dprnet.core.errors import BadDataset
from dprnet.data.coco import read_coco
from dprnet.data.coco_check import check_coco

SIZE = {"original_width": 200, "original_height": 100, "image_rotation": 0}


def region(key: str, label: str = "top", box: tuple[float, ...] = (10, 20, 30, 40), **more: Any) -> dict[str, Any]:
    place = dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"rotation": 0}
    value = {**place, "rectanglelabels": [label], **more}
    return {"id": key, "type": "rectanglelabels", "from_name": "garment", "to_name": "image", "value": value, **SIZE}


def said(key: str, name: str, value: Any, kind: str = "choices") -> dict[str, Any]:
    return {"id": key, "type": kind, "from_name": name, "to_name": "image", "value": {kind: value}, **SIZE}


def text(key: str, name: str, value: Any) -> dict[str, Any]:
    return {**said(key, name, None, "textarea"), "value": {"text": value}}


def task(*results: dict[str, Any], image: str = "/data/upload/1/a.png", **more: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": list(results)}], "predictions": [], **more}


def write(folder: Path, *tasks: Any, size: tuple[int, int] = (200, 100)) -> Path:
    Image.new("RGB", size, "teal").save(folder / "a.png")
    path = folder / "export.json"
    path.write_text(json.dumps(list(tasks)))
    return path


def test_boxes_quality_and_identity_by_hand(tmp_path: Path) -> None:
    look = task(
        region("r1"), said("r1", "viewpoint", ["frontal"]), said("r1", "occlusion", ["medium"]),
        said("r1", "crop", ["cropped"]), text("r1", "instance", ["4"]),
        region("r2", "Trousers", (0, 50, 100, 50)), said("r2", "viewpoint", ["side_or_back"]),
        region("r3", "ignore", (0, 0, 5, 5)), said("r4", "crop", ["whole"]),
    )  # fmt: skip
    path = write(tmp_path, look)
    (image,) = read_coco(path)
    truth = image.truth
    assert truth.boxes_xyxy.tolist() == [[20, 20, 80, 60], [0, 50, 200, 100]]  # percent of 200 x 100
    assert truth.ignore_xyxy.tolist() == [[0, 0, 10, 5]]
    assert truth.labels.tolist() == [0, 2]
    assert (truth.viewpoint.tolist(), truth.occlusion.tolist(), truth.crop.tolist()) == ([0, 1], [1, -1], [1, -1])
    assert truth.instance.tolist() == [0, -1]
    assert image.path == tmp_path / "a.png"
    assert check(path).told == "Label Studio, 1 images, 3 annotations"
    assert check(path).problems == ()


def test_the_newest_annotation_counts_and_a_task_without_one_is_left_out(tmp_path: Path) -> None:
    old = {"result": [region("r1", "dress")], "updated_at": "2026-01-02"}
    new = {"result": [region("r1", "skirt")], "updated_at": "2026-01-03"}
    cancelled = {"result": [region("r1", "top")], "updated_at": "2026-01-04", "was_cancelled": True}
    nobody = task(region("r1")) | {"annotations": [cancelled], "predictions": [{"result": [region("r1")]}]}
    empty = task()
    images = read_coco(write(tmp_path, task() | {"annotations": [new, old, cancelled]}, nobody, empty))
    assert [image.truth.labels.tolist() for image in images] == [[4], []]  # looked at, and nothing there


def test_a_polygon_stands_for_its_extent(tmp_path: Path) -> None:
    shape = region("r1")
    shape |= {"type": "polygonlabels", "value": {"points": [[10, 20], [40, 30], [20, 90]], "polygonlabels": ["dress"]}}
    (image,) = read_coco(write(tmp_path, task(shape)))
    assert image.truth.boxes_xyxy.tolist() == [[20, 20, 80, 90]]


@pytest.mark.parametrize(
    "address",
    ["/data/upload/3/0a1b2c3d-a.png", "/data/local-files/?d=set/a.png", "https://shop.example/media/a.png", "a.png"],
)
def test_the_image_is_found_whatever_stands_before_its_name(tmp_path: Path, address: str) -> None:
    assert read_coco(write(tmp_path, task(region("r1"), image=address)))[0].path == tmp_path / "a.png"


def test_an_address_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    path = write(tmp_path / "set", task(region("r1"), image=f"/data/local-files/?d={tmp_path}/secret.png"))
    assert check_coco(path)[1] == [f"image 1: '{tmp_path}/secret.png'".replace("'/", "'") + " is not beside the file"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (task(region("r9", rotation=5)), "task 7, region r9: is rotated by 5 degrees; draw it upright"),
        (task(region("r9", box=(5, 5, 0, 9))), "task 7, region r9: the box [10.0, 5.0, 10.0, 14.0] has no inside"),
        (task({**region("r9"), "type": "brushlabels"}), "task 7, region r9: is of type 'brushlabels'; wanted rect"),
        (task(region("r9"), data={}), "task 7: wrong or missing field (KeyError: 'image')"),
        (task({**region("r9"), "original_width": None}), "task 7: wrong or missing field (TypeError"),
        (
            task(region("r9"), said("r9", "viewpoint", ["above"])),
            "annotation 1: viewpoint 'above'; wanted one of front",
        ),
        (task(region("r9", box=(90, 0, 20, 50))), "leaves the image of 200 x 100 pixels"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, wrong: Any, sentence: str) -> None:
    path = write(tmp_path, wrong)
    problems = check_coco(path)[1]
    assert any(sentence in problem for problem in problems), problems
    if "leaves" not in sentence:
        with pytest.raises(BadDataset) as caught:
            read_coco(path)
        assert sentence in str(caught.value)


def test_another_size_and_the_short_form_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, task(region("r1")), size=(100, 100))
    assert "is listed with 200 x 100 pixels, the image has 100 x 100 (upright)" in check_coco(path)[1][0]
    path.write_text(json.dumps([{"id": 1, "image": "a.png", "garment": [{"x": 1}], "viewpoint": "frontal"}]))
    with pytest.raises(BadDataset, match="export JSON, not JSON-MIN"):
        read_coco(path)
