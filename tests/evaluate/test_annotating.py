"""Out to a tool and back in: nothing is lost, and every mistake is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.cli import run
from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.annotation import Mark, MarkedFrame, Task, from_coco, read_task, to_coco, write_task
from dprnet.data.label_studio import from_label_studio, label_config, to_label_studio
from dprnet.data.shopset import ShopSet, ShopSetWriter, check
from dprnet.evaluate.annotated import import_marks
from dprnet.evaluate.annotating import FILES, export_set, export_videos
from dprnet.evaluate.truth import video_truth

FRAMES = (
    MarkedFrame("frames/a__000000.jpg", "a", 0, 0.0, 200, 100, (
        Mark((10.0, 20.0, 60.0, 90.0), 0, 3, "A1", 0, 1, 1),
        Mark((100.0, 0.0, 200.0, 50.0), None),
    )),
    MarkedFrame("frames/a__000012.jpg", "a", 12, 0.5, 200, 100, (Mark((5.5, 6.5, 70.25, 80.0), 0, 3, None, 1),)),
    MarkedFrame("frames/b__000000.jpg", "b", 0, 0.0, 320, 240),
)  # fmt: skip
TASK = Task(Path("task"), tuple(replace(one, marks=()) for one in FRAMES), {"a": "a.mp4", "b": "b.mp4"})


def corrected(frames: tuple[MarkedFrame, ...]) -> list[dict[str, Any]]:
    """Label Studio's export after somebody submitted every prediction as it was."""
    tasks = to_label_studio(frames, "/data/local-files/?d=", "tiny@1")
    return [
        {"id": number, "data": one["data"], "annotations": [{"result": one["predictions"][0]["result"]}]}
        for number, one in enumerate(tasks)
    ]


def test_coco_there_and_back() -> None:
    values = json.loads(json.dumps(to_coco(FRAMES)))
    assert values["annotations"][0]["bbox"] == [10.0, 20.0, 50.0, 70.0]  # x, y, width, height
    assert values["annotations"][0]["attributes"] == {"viewpoint": "frontal", "occlusion": "medium", "crop": "cropped",
                                                      "instance_id": 3, "track_id": 3, "item_id": "A1"}  # fmt: skip
    assert [one["name"] for one in values["categories"]][:2] == ["top", "outerwear"]
    assert tuple(from_coco(values, TASK, "x.json")) == FRAMES


def test_label_studio_there_and_back() -> None:
    found, skipped = from_label_studio(json.loads(json.dumps(corrected(FRAMES))), TASK, "x.json")
    assert skipped == 0
    for one, wanted in zip(found, FRAMES, strict=True):
        assert replace(one, marks=()) == replace(wanted, marks=())
        for mark, other in zip(one.marks, wanted.marks, strict=True):
            assert mark.box_xyxy == pytest.approx(other.box_xyxy)
            assert replace(mark, box_xyxy=other.box_xyxy) == other


def test_only_what_somebody_annotated_counts() -> None:
    tasks = corrected(FRAMES)
    tasks[0]["annotations"].append({"result": [], "updated_at": "2026-01-02", "was_cancelled": True})
    tasks[1]["annotations"] = [{"result": [], "updated_at": "2026-01-02"},
                               tasks[1]["annotations"][0] | {"updated_at": "2026-01-01"}]  # fmt: skip
    tasks[2]["annotations"] = []
    found, skipped = from_label_studio(tasks, TASK, "x.json")
    assert skipped == 1
    assert [len(one.marks) for one in found] == [2, 0]


def test_the_labelling_page_offers_what_is_exchanged() -> None:
    page = ElementTree.fromstring(label_config())
    assert [one.get("value") for one in page.findall("RectangleLabels/Label")][-1] == "ignore"
    assert {one.get("name") for one in page.iter("Choices")} == {"viewpoint", "occlusion", "crop"}
    assert {one.get("name") for one in page.iter("TextArea")} == {"instance", "item"}


corner = st.floats(0, 90, allow_nan=False)


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.tuples(corner, corner, st.floats(2, 100), st.floats(2, 9), st.integers(0, 5), st.integers(0, 99))))
def test_any_marks_survive_both_formats(rows: list[tuple[float, float, float, float, int, int]]) -> None:
    marks = tuple(Mark((x, y, x + width, y + height), label, number) for x, y, width, height, label, number in rows)
    frames = (replace(FRAMES[0], marks=marks),)
    for found in (from_coco(to_coco(frames), TASK, "x")[0], from_label_studio(corrected(frames), TASK, "x")[0][0]):
        assert [replace(mark, box_xyxy=(0, 0, 0, 0)) for mark in found.marks] == [
            replace(mark, box_xyxy=(0, 0, 0, 0)) for mark in marks
        ]
        for mark, other in zip(found.marks, marks, strict=True):
            assert mark.box_xyxy == pytest.approx(other.box_xyxy, abs=1e-9)


Break = Callable[[Any], Any]


def annotation(**values: Any) -> Break:
    return lambda coco: coco["annotations"][0].update(values)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda coco: coco.pop("images"), "wanted lists images, categories, annotations"),
        (lambda coco: coco["images"][0].update(file_name="other.jpg"), "'other.jpg' is no image of the task"),
        (lambda coco: coco["categories"][0].update(name="hat"), "'hat' is no class"),
        (annotation(bbox=[1, 2, 3]), "annotation 1: wrong or missing field"),
        (annotation(bbox=[190, 20, 60, 0]), "no area inside its 200 x 100 image"),
        (annotation(bbox=[float("nan"), 2, 3, 4]), "no area inside"),
        (annotation(image_id=77), "image_id 77 is no image"),
        (annotation(category_id=77), "wrong or missing field"),
        (annotation(attributes={"instance_id": "x"}), "instance 'x' is no whole number"),
        (annotation(attributes={}), "has no instance"),
        (annotation(attributes={"instance_id": 1, "viewpoint": "up"}), "viewpoint 'up'; wanted frontal"),
    ],
)  # fmt: skip
def test_a_mistake_in_coco_is_named(change: Break, sentence: str) -> None:
    values = copy.deepcopy(to_coco(FRAMES))
    change(values)
    with pytest.raises(BadDataset, match=sentence):
        from_coco(values, TASK, "x.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tasks: tasks[0]["annotations"][0]["result"][0]["value"].update(rotation=3), "is rotated"),
        (lambda tasks: tasks[0]["annotations"][0]["result"][0]["value"].update(rectanglelabels=["hat"]), "no class"),
        (lambda tasks: tasks[0]["data"].update(image="/data/upload/1/z.jpg"), "is no image of the task"),
        (lambda tasks: tasks[0].pop("data"), "task 0: wrong or missing field"),
    ],
)
def test_a_mistake_in_label_studio_is_named(change: Break, sentence: str) -> None:
    tasks = corrected(FRAMES)
    change(tasks)
    with pytest.raises(BadDataset, match=sentence):
        from_label_studio(tasks, TASK, "x.json")
    with pytest.raises(BadDataset, match="list of tasks"):
        from_label_studio({}, TASK, "x.json")


def test_a_tool_may_move_the_images_and_widen_a_box() -> None:
    values = to_coco(FRAMES)
    values["images"][0]["file_name"] = "C:\\uploads\\7\\a__000000.jpg"
    values["annotations"][0]["bbox"] = [-3, -4, 500, 50]
    found = from_coco(values, TASK, "x.json")
    assert found[0].marks[0].box_xyxy == (0, 0, 200, 46)


def test_a_task_is_read_as_written(tmp_path: Path) -> None:
    task = replace(TASK, folder=tmp_path)
    write_task(task)
    assert read_task(tmp_path) == task
    (tmp_path / "task.json").write_text('{"schema": 9}', encoding="utf-8")
    with pytest.raises(BadDataset, match="schema 1"):
        read_task(tmp_path)
    with pytest.raises(MissingFile):
        read_task(tmp_path / "absent")


@pytest.fixture
def exported(tmp_path: Path, random_bundle: Path, moving_square: Path) -> Path:
    out = tmp_path / "task"
    export_videos([moving_square], out, Bundle.from_pretrained(random_bundle), every="1s")
    return out


def test_from_a_video_to_a_set(exported: Path, tmp_path: Path, small_catalogue: Path) -> None:
    task = read_task(exported)
    assert [frame.frame_index for frame in task.frames] == [0, 10, 20]
    assert all((exported / frame.image).is_file() for frame in task.frames)
    file = exported / FILES["coco"]
    values = json.loads(file.read_text(encoding="utf-8"))
    images = [one["id"] for one in values["images"]]
    values["annotations"] = [
        {"image_id": image, "category_id": 1, "bbox": [10, 30, 40, 60],
         "attributes": {"instance_id": "7", "viewpoint": "frontal", "item_id": "red"}}
        for image in images[:2]
    ] + [{"image_id": images[2], "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1}]  # fmt: skip
    fixed = tmp_path / "fixed.json"
    fixed.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(BadDataset, match="item 'red' needs a catalogue"):
        import_marks(fixed, exported, tmp_path / "set")
    done = import_marks(fixed, exported, tmp_path / "set", catalogue=small_catalogue)
    assert (done.frames, done.garments, done.unannotated) == (3, 1, 0)
    assert check(tmp_path / "set") == []
    truth = done.shopset.truth(done.shopset.videos[0])
    assert truth[0].boxes_xyxy.tolist() == [[10, 30, 50, 90]]
    assert truth[0].viewpoint.tolist() == [0]
    assert truth[20].ignore_xyxy.tolist() == [[0, 0, 9, 9]]
    again = tmp_path / "again"
    export_set(ShopSet.open(tmp_path / "set"), again, every=1)
    back = import_marks(again / FILES["coco"], again, tmp_path / "copy", catalogue=small_catalogue)
    unknown = ["occluded", "cut_off"]  # not a number, which equals nothing
    assert back.shopset.frames.drop_columns(unknown).equals(done.shopset.frames.drop_columns(unknown))
    assert back.shopset.ignored.equals(done.shopset.ignored)  # of a frame that shows nothing else
    with pytest.raises(BadDataset, match="not empty"):
        import_marks(fixed, exported, tmp_path / "set", catalogue=small_catalogue)


def test_several_right_items_and_a_class_nobody_labelled_come_back(
    moving_square: Path, small_catalogue: Path, tmp_path: Path
) -> None:
    writer = ShopSetWriter(tmp_path / "set", {"name": "as MovingFashion", "split": "test"})
    writer.add_video("a").write_bytes(moving_square.read_bytes())
    for number, also in ((4, ["blue"]), (5, [])):
        writer.add_instance("a", number, -1, "red", attributes={"also": also})
        writer.add_view("a", 0, number, (10 * number, 10, 10 * number + 9, 90))
    made = writer.finish()
    export_set(made, tmp_path / "task", every=1)
    (task,) = json.loads((tmp_path / "task" / FILES["label-studio"]).read_text(encoding="utf-8"))
    task["annotations"] = [{"result": task["predictions"][0]["result"]}]
    (tmp_path / "fixed.json").write_text(json.dumps([task]), encoding="utf-8")
    coco = tmp_path / "task" / FILES["coco"]
    for form, fixed in (("coco", coco), ("label-studio", tmp_path / "fixed.json")):
        back = import_marks(fixed, tmp_path / "task", tmp_path / form, catalogue=small_catalogue).shopset
        assert check(back.folder) == []
        truth = video_truth(back, "a")
        assert truth.label.tolist() == [-1, -1]
        assert (truth.right_items(4), truth.right_items(5)) == (("red", "blue"), ("red",))
    values = json.loads(coco.read_text(encoding="utf-8"))
    values["annotations"][0]["attributes"]["item_id"] = "green"  # corrected: the other items were right for red
    coco.write_text(json.dumps(values), encoding="utf-8")
    back = import_marks(coco, tmp_path / "task", tmp_path / "green", catalogue=small_catalogue).shopset
    assert video_truth(back, "a").right_items(4) == ("green",)


def test_garments_that_contradict_themselves(exported: Path, tmp_path: Path) -> None:
    values = json.loads((exported / FILES["coco"]).read_text(encoding="utf-8"))
    attributes = {"instance_id": 1}
    values["annotations"] = [
        {"image_id": image, "category_id": image, "bbox": [10, 30, 40, 60], "attributes": attributes}
        for image in (1, 2)
    ]
    fixed = tmp_path / "fixed.json"
    fixed.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(BadDataset, match="one number is one garment"):
        import_marks(fixed, exported, tmp_path / "set")


def test_the_command_line(
    exported: Path, random_bundle: Path, moving_square: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert run(["annotate", "export", str(moving_square), "--out", out, "--bundle", str(random_bundle)]) == 0
    assert "3 frames" in capsys.readouterr().out
    assert run(["annotate", "export", str(moving_square), "--out", out, "--bundle", str(random_bundle)]) == 2
    capsys.readouterr()
    file = str(Path(out) / FILES["label-studio"])
    made = ["annotate", "import", file, "--task", out, "--out", str(tmp_path / "set"), "--no-media"]
    assert run(made) == 0
    assert "0 frames, 0 garments; 3 images that nobody annotated" in capsys.readouterr().out
