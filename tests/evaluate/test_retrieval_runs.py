"""What is asked of which gallery: sets of videos and stills, distractors, named models, published protocols, leaks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dprnet.cli import run
from dprnet.core.errors import BadVideo
from dprnet.core.images import jpeg_bytes
from dprnet.data.labelled import Photo
from dprnet.data.shopset import ShopSet
from dprnet.evaluate import retrieval_runs
from dprnet.evaluate.leaks import splits_of
from dprnet.evaluate.photo_protocols import protocols_of
from dprnet.evaluate.retrieval_runs import describe_shots, embedder_named, evaluate_task, measure_retrieval, set_tasks
from dprnet.train.shots import Shot


def mean_colour(images):
    means = np.stack([image.mean(axis=(0, 1)) for image in images]) - 120
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def test_the_best_view_of_a_video_is_asked_for_among_distractors(square_set, small_catalogue):
    (task,) = set_tasks(ShopSet.open(square_set), [small_catalogue])
    assert [shot.frame for shot in task.queries] == [7, 7]
    assert len(task.gallery) == 3 + 7  # the small catalogue has six items, one of them with two photos
    (found,) = evaluate_task([mean_colour], replace(task, gallery=task.gallery[:3]))
    assert (found.queries, found.gallery_items, found.recall[1].value) == (2, 3, 1.0)
    more, dark = evaluate_task([mean_colour, lambda images: -mean_colour(images)], task)
    assert dark.ranks == more.ranks  # the same angles
    assert more.gallery_items == 9
    assert more.recall[5].value <= found.recall[5].value == 1.0


def test_turned_views_are_asked_for_beside_the_best(square_set, tmp_path):
    from dprnet.data.shopset import FRAMES
    from dprnet.evaluate.photo_sets import turned_task

    folder = tmp_path / "turned"
    shutil.copytree(square_set, folder)
    rows = ShopSet.open(folder).frames.to_pylist()
    for row in rows:
        back = row["video"] == "first" and row["frame_index"] >= 15
        row |= {"viewpoint": int(back), "frontal": not back, "occluded": 0.1 if row["frame_index"] == 17 else 0.5}
    pq.write_table(pa.Table.from_pylist(rows, schema=FRAMES), folder / "frames.parquet")
    task = turned_task(ShopSet.open(folder))
    assert [(shot.photo.path.stem, shot.frame, shot.photo.viewpoint) for shot in task.queries] == [
        ("first", 0, 0), ("second", 17, 0), ("first", 17, 1),
    ]  # fmt: skip


def test_shots_are_described_in_their_order(square_set, small_catalogue, monkeypatch):
    video = ShopSet.open(square_set).video_path("first")
    red = (4.0 * 9, 30.0, 4.0 * 9 + 40, 90.0)
    ground = (100.0, 0.0, 160.0, 20.0)
    shots = [
        Shot(Photo(video, red, "a", 0, "video"), 9),
        Shot(Photo(small_catalogue.parent / "green.png", None, "b", 0, "shop")),
        Shot(Photo(video, ground, "c", 0, "video"), 0),
        Shot(Photo(video, red, "d", 0, "video"), 9),
    ]
    monkeypatch.setattr(retrieval_runs, "AT_ONCE", 3)
    (found,) = describe_shots([mean_colour], shots)
    np.testing.assert_array_equal(found[0], found[3])
    assert found[0].argmax() == 0
    assert found[1].argmax() == 1
    assert found[2].argmax() == 2
    with pytest.raises(BadVideo, match="frame 99 is not in the video"):
        describe_shots([mean_colour], [replace(shots[0], frame=99)])


def test_any_model_stands_in(square_set):
    embedder = embedder_named("timm:test_resnet", pretrained=False)
    (ours, *_) = measure_retrieval(embedder, square_set)
    assert ours.queries == 2
    assert ours.name == "square: best view to shop photo"


def test_a_model_that_is_none_is_one_sentence(square_set, capsys):
    assert run(["evaluate", "retrieval", str(square_set), "--embedder", "timm:no_such_network"]) == 2
    assert "no_such_network" in capsys.readouterr().err


def pairs_table(folder: Path) -> Path:
    colours = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 180)}
    rows = ["image,item_id,domain,split"]
    for name, colour in colours.items():
        for domain in ("shop", "street"):
            picture = np.full((24, 18, 3), colour, np.uint8)
            (folder / f"{name}_{domain}.jpg").write_bytes(jpeg_bytes(picture))
            rows.append(f"{name}_{domain}.jpg,{name},{domain},test")
    path = folder / "pairs.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_protocol_from_the_command_line(tmp_path, random_bundle, capsys):
    table = pairs_table(tmp_path)
    assert [one.name for one in protocols_of(table)] == ["pairs test"]
    assert run(["evaluate", "protocol", str(table), "--bundle", str(random_bundle)]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["queries"], found["gallery_photos"]) == (3, 3)
    assert found["top"]["5"]["value"] == 1.0
    assert run(["evaluate", "protocol", str(tmp_path), "--bundle", str(random_bundle)]) == 2
    assert "consumer-to-shop" in capsys.readouterr().err


def test_both_protocols_of_deepfashion_in_both_countings(tmp_path, random_bundle, capsys):
    (tmp_path / "Eval").mkdir()
    (tmp_path / "Img").mkdir()
    rows = [("u1", "s1", "id_1", "test"), ("u1", "s2", "id_1", "test"), ("u2", "s3", "id_2", "val")]
    for number, name in enumerate(sorted({part for row in rows for part in row[:2]})):
        picture = np.random.default_rng(number).integers(0, 256, (20, 16, 3), np.uint8)
        (tmp_path / "Img" / f"{name}.jpg").write_bytes(jpeg_bytes(picture))
    lines = [str(len(rows)), "image_pair_name_1 image_pair_name_2 item_id evaluation_status"]
    lines += [f"{user}.jpg {shop}.jpg {item} {split}" for user, shop, item, split in rows]
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    assert run(["evaluate", "protocol", str(tmp_path), "--bundle", str(random_bundle)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["queries"], one["gallery_photos"]) for one in found] == [(2, 2), (1, 2), (3, 3), (2, 3)]


def test_leaks_from_the_command_line(tmp_path, square_set, capsys):
    again = tmp_path / "again"
    shutil.copytree(square_set, again)
    assert set(splits_of([square_set, again])) == {str(square_set), str(again)}
    assert run(["evaluate", "leaks", str(square_set)]) == 0
    assert json.loads(capsys.readouterr().out)["leaks"] == 0
    assert run(["evaluate", "leaks", str(tmp_path / "none")]) == 2
    assert "holds no photos" in capsys.readouterr().err


def test_a_picture_in_two_splits_is_a_leak(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    for name in ("a", "b"):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg_bytes(noise))
    table = tmp_path / "pairs.csv"
    table.write_text("image,item_id,domain,split\na.jpg,1,shop,train\nb.jpg,2,shop,test\n", encoding="utf-8")
    assert run(["evaluate", "leaks", str(table)]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["leaks"], [twin["kind"] for twin in found["twins"]]) == (1, ["equal"])
    assert found["photos"] == {f"{table} train": 1, f"{table} test": 1}
