"""Every verb that measures, from the command line to the figures, on a set of one video."""

from __future__ import annotations

import json
import shutil

import pytest

from dprnet.cli import run
from dprnet.core.bundle import Bundle
from dprnet.data.shopset import ShopSetWriter
from dprnet.detect import Detector
from dprnet.evaluate.seen import video_detector


def figures(capsys, arguments):
    assert run(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_picking(square_set, random_bundle, tmp_path, capsys):
    arguments = ["evaluate", "picking", str(square_set), "--bundle", str(random_bundle), "--cache", str(tmp_path)]
    found = figures(capsys, arguments)
    assert found["counts"]["instances"] == 1
    assert 0 <= found["r_pick"]["value"] <= 1
    kept = list(tmp_path.rglob("square.npz"))
    assert len(kept) == 1
    assert figures(capsys, arguments) == found  # now from what was kept


def test_video_to_shop(square_set, random_bundle, tmp_path, capsys):
    gallery = str(tmp_path / "gallery")
    arguments = ["evaluate", "video-to-shop", str(square_set), "--bundle", str(random_bundle), "--gallery", gallery]
    found = figures(capsys, arguments)
    assert (found["garments"], found["videos"]) == (1, 1)
    assert set(found["recall"]) >= {"1", "5"}


def test_retrieval_and_detection_to_a_file(square_set, random_bundle, tmp_path, capsys):
    for verb in ("retrieval", "detection"):
        out = tmp_path / f"{verb}.json"
        assert run(["evaluate", verb, str(square_set), "--bundle", str(random_bundle), "--out", str(out)]) == 0
        assert capsys.readouterr().out.strip() == str(out)
        assert json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_calibration_goes_into_the_bundle(square_set, random_bundle, tmp_path, capsys):
    folder = tmp_path / "bundle"
    shutil.copytree(random_bundle, folder)
    before = Bundle.from_pretrained(folder)
    table = tmp_path / "table.csv"
    assert run(["calibrate", "picking", str(square_set), "--bundle", str(folder), "--table", str(table)]) == 0
    fitted = json.loads(capsys.readouterr().out)
    after = Bundle.from_pretrained(folder)
    assert dict(after.settings("picking")) == fitted
    assert after.identity != before.identity
    assert after.embedder_identity == before.embedder_identity  # galleries stay valid
    assert table.read_text(encoding="utf-8").count("\n") > 10


@pytest.mark.slow
@pytest.mark.data
def test_the_limits_are_fitted_on_real_photos_too(square_set, data_root, tmp_path, capsys):
    folder, table = tmp_path / "bundle", tmp_path / "table.csv"
    shutil.copytree(Bundle.from_pretrained("tiny").folder, folder)
    photos = ["--photos", str(data_root), "--either", "top,outerwear", "--table", str(table)]
    assert run(["calibrate", "picking", str(square_set), "--bundle", str(folder), *photos]) == 0
    capsys.readouterr()
    passed = Bundle.from_pretrained(folder).manifest["origin"]["picking"]["stills"]
    assert 0 < passed["found"] <= passed["garments"]
    assert passed["garments"] > 20
    assert 0 < passed["right"] <= passed["kept"]
    assert "photos_recall" in table.read_text(encoding="utf-8").splitlines()[0]


def test_a_folder_without_data_is_one_sentence(random_bundle, tmp_path, capsys):
    for verb in ("detection", "retrieval", "picking", "video-to-shop"):
        assert run(["evaluate", verb, str(tmp_path), "--bundle", str(random_bundle)]) == 2
        error = capsys.readouterr().err
        assert sum(line.startswith("dprnet: ") for line in error.splitlines()) == 1


def test_detection_on_deepfashion2_and_coco(deepfashion2, random_bundle, tmp_path, capsys):
    from dprnet.data.coco import write_coco
    from dprnet.data.deepfashion2 import DeepFashion2

    coco = write_coco(DeepFashion2(deepfashion2, "validation"), tmp_path / "set.json")
    arguments = ["--bundle", str(random_bundle), "--split", "validation"]
    found = figures(capsys, ["evaluate", "detection", str(deepfashion2), *arguments])
    assert found.pop("data") == deepfashion2.name
    assert (found["images"], sum(found["boxes"].values())) == (8, 12)
    assert set(found["splits"]) >= {"occlusion slight", "occlusion heavy", "viewpoint frontal", "crop cropped"}
    again = figures(capsys, ["evaluate", "detection", str(coco), *arguments])
    assert again.pop("data") == coco.name
    assert again == found


def test_instances_beside_their_rivals(moving_square, random_bundle, tmp_path, capsys):
    """The truth of the set is what the detector finds, two garments of each class: left and right."""
    detections = video_detector(Detector.from_bundle(Bundle.from_pretrained(random_bundle)), "0.5s")(moving_square)
    writer = ShopSetWriter(tmp_path / "set", {"name": "found", "split": "test"})
    shutil.copy(moving_square, writer.add_video("square"))
    known = set()
    for box, label, frame in zip(
        detections.boxes_xyxy.tolist(), detections.labels.tolist(), detections.frame_index.tolist(), strict=True
    ):
        instance = 2 * label + (box[0] + box[2] > 160)
        if (frame, instance) in known:
            continue
        if not any(instance == other for _, other in known):
            writer.add_instance("square", instance, label)
        known.add((frame, instance))
        writer.add_view("square", frame, instance, box, time_s=frame / 10)
    writer.finish()
    arguments = ["evaluate", "instances", str(tmp_path / "set"), "--validation", str(tmp_path / "set"), "--bundle"]
    found = figures(capsys, [*arguments, str(random_bundle), "--plot", str(tmp_path / "curves.png")])
    assert [method["name"] for method in found["methods"]] == ["instance branch", "IoU tracker", "retrieval embedder"]
    assert (found["videos"], found["methods"][0]["behind_first"]) == (1, None)
    assert found["views"] >= len(known)
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_retrieval_on_deepfashion2(deepfashion2, random_bundle, capsys):
    arguments = ["evaluate", "retrieval", str(deepfashion2), "--split", "validation", "--bundle", str(random_bundle)]
    detected, true = figures(capsys, arguments)
    assert (detected["boxes"], true["boxes"]) == ("detected", "true")
    assert detected["queries"] == true["queries"] == true["answered"] == true["gallery"] == 4
    assert set(true["recall"]) == {"1", "5", "10", "15", "20"}
    assert true["recall"]["5"]["value"] == 1.0  # four boxes in the gallery


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "setting"), [("input", "short_side"), ("proposals", "proposals")])
def test_what_a_detectors_time_buys_goes_into_the_bundle(square_set, random_bundle, tmp_path, capsys, verb, setting):
    pytest.importorskip("matplotlib", reason="the plot needs it")
    folder, table, plot = tmp_path / "bundle", tmp_path / "out" / "table.csv", tmp_path / "out" / "plot.png"
    shutil.copytree(random_bundle, folder)
    kept = ["--table", str(table), "--plot", str(plot)]
    assert run(["calibrate", verb, str(square_set), "--bundle", str(folder), *kept]) == 0
    chosen = int(capsys.readouterr().out.split()[0])
    found = Bundle.from_pretrained(folder).settings("detector")[setting]
    assert (found if verb == "input" else found["kept"]) == chosen
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()]
    assert rows[0][0] == verb
    assert [row[0] for row in rows[1:] if row[-1] == "1"] == [str(chosen)]
    assert plot.stat().st_size > 5_000
