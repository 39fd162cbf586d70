"""Whole worlds, small: the same bytes each time, splits apart, tables that check."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("skia")

from dprnet.core.errors import BadDataset
from dprnet.core.records import FloatArray, Image
from dprnet.data.shopset import ShopSet, check
from dprnet.data.world.difficulty import difficulty, good_views
from dprnet.data.world.make import WorldSettings, make_world, plan_world
from dprnet.data.world.scene import Scene
from dprnet.data.world.screenplay import still_scenes, video_scene
from dprnet.data.world.truth import look

STILLS = WorldSettings(split="train", stills=8, seed=3)
VIDEOS = WorldSettings(split="test", videos=2, seconds=1.5, items=14, worn_photos=False)


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> ShopSet:
    return make_world(tmp_path_factory.mktemp("stills"), STILLS)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> ShopSet:
    return make_world(tmp_path_factory.mktemp("videos"), VIDEOS)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_world_of_stills_checks_and_reads(stills: ShopSet) -> None:
    assert check(stills.folder) == []
    images = stills.stills()
    assert len(images) == 8
    assert all(image.source == "world" for image in images)
    assert sum(len(image.truth) for image in images) == stills.frames.num_rows > 8
    first = images[0].load()
    row = stills.still_frames.to_pylist()[0]
    assert first.shape == (row["height"], row["width"], 3)
    # A garment of the first source is seen in several frames under one number.
    numbers = [set(image.truth.instance.tolist()) for image in images[:6]]
    assert any(len([s for s in numbers if k in s]) >= 3 for s in numbers for k in s)
    photos = {row["item_id"] for row in stills.instances.to_pylist()} - {None}
    shop = stills.catalogue_path.read_text()
    assert photos
    assert all(item in shop for item in photos)


@pytest.mark.slow
def test_the_same_settings_give_the_same_bytes_in_any_number_of_processes(stills: ShopSet, tmp_path: Path) -> None:
    again = make_world(tmp_path / "again", STILLS, processes=2)
    assert files(again.folder) == files(stills.folder)


def test_the_same_settings_give_the_same_bytes(videos: ShopSet, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    again = make_world(tmp_path, VIDEOS, progress=lambda done, total: seen.append((done, total)))
    assert files(again.folder) == files(videos.folder)
    assert seen[-1] == (16, 16)
    assert [done for done, _ in seen] == list(range(1, 17))


def test_another_seed_gives_another_set(videos: ShopSet) -> None:
    other = plan_world(VIDEOS.model_copy(update={"seed": 1}))
    plan = plan_world(VIDEOS)
    assert not {role.garment for role in plan.roles} & {role.garment for role in other.roles}
    meta = json.loads((videos.folder / "set.json").read_text())
    assert meta["version"]
    assert meta["settings"]["split"] == "test"
    assert len(meta["id"]) == 16


def test_videos_are_films_of_the_frames(videos: ShopSet) -> None:
    assert check(videos.folder) == []
    assert videos.videos == ("v00000", "v00001")
    frames = videos.frames.to_pylist()
    for number, name in enumerate(videos.videos):
        cast = plan_world(VIDEOS).casts[number]
        spec = video_scene(cast, "test", 0, 1.5)
        with av.open(str(videos.video_path(name))) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert stream.average_rate == 12
            decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(decoded) == int(spec.seconds * 12)
        drawn, views = look(Scene(spec), 5 / 12)  # any frame, without those before it
        assert np.abs(decoded[5].astype(int) - drawn).mean() < 12
        rows = [row for row in frames if row["video"] == name and row["frame_index"] == 5]
        seen = [view for view in views if not view.scant]
        assert [row["instance"] - cast.first for row in rows] == [view.owner for view in seen]
        for row, view in zip(rows, seen, strict=True):
            assert (row["x1"], row["y1"], row["x2"], row["y2"]) == view.box_xyxy
            assert row["time_s"] == pytest.approx(5 / 12)


def test_splits_share_no_garment() -> None:
    seen: dict[str, set[int]] = {}
    for split in ("train", "validation", "test", "demo"):
        plan = plan_world(WorldSettings(split=split, videos=12, items=120))
        garments = [role.garment for role in plan.roles] + [shelf.garment for shelf in plan.shelves]
        seen[split] = {garment.print.seed for garment in garments}
    names = list(seen)
    for k, first in enumerate(names):
        for second in names[k + 1 :]:
            assert not seen[first] & seen[second]


def test_one_in_five_has_a_look_alike_and_one_in_ten_no_item() -> None:
    plan = plan_world(WorldSettings(split="test", videos=60, items=500))
    n = len(plan.roles)
    assert abs(sum(role.lookalike for role in plan.roles) - n / 5) <= 1
    assert abs(sum(role.item_id is None for role in plan.roles) - n / 10) <= 1
    assert len(plan.shelves) == 500
    assert len({shelf.item_id for shelf in plan.shelves}) == 500
    by_item = {shelf.item_id: shelf.garment for shelf in plan.shelves}
    assert all(by_item[role.item_id] == role.garment for role in plan.roles if role.item_id is not None)


def test_crowds_wear_some_four_garments_a_video_and_change_no_other_id(videos: ShopSet) -> None:
    crowded = WorldSettings(split="test", seed=1, videos=100, seconds=10, items=2000, crowd=(3, 5, 2))
    plan = plan_world(crowded)
    assert 3.7 <= len(plan.roles) / 100 <= 4.3
    assert abs(sum(role.item_id is None for role in plan.roles) - len(plan.roles) / 10) <= 1
    assert len(plan.shelves) == 2000
    seen = {role.garment for role in plan.roles} | {shelf.garment for shelf in plan.shelves}
    other = plan_world(WorldSettings(split="test", videos=60, items=500))
    assert not seen & ({role.garment for role in other.roles} | {shelf.garment for shelf in other.shelves})
    assert {len(cast.bodies) for cast in plan_world(crowded.model_copy(update={"crowd": (0.0, 0.0, 1.0)})).casts} == {3}
    assert "crowd" not in json.loads((videos.folder / "set.json").read_text())["settings"]
    for weights in ((0, 0, 0), (-1, 1, 1)):
        with pytest.raises(ValueError, match="crowd"):
            WorldSettings(videos=1, crowd=weights)


def test_frames_of_a_source_differ_and_keep_their_garments() -> None:
    cast = plan_world(STILLS).casts[0]
    specs = still_scenes(cast, "train", 3)
    assert len({spec.backdrop for spec in specs}) == 6
    assert all(actor.outfit in cast.outfits for spec in specs for actor in spec.actors)


def test_neither_or_both_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="one of them"):
        make_world(tmp_path, WorldSettings())
    with pytest.raises(BadDataset, match="one of them"):
        make_world(tmp_path, WorldSettings(videos=1, stills=1))


def grey(images: list[Image] | tuple[Image, ...]) -> FloatArray:
    return np.array([[image.mean(), 255 - image.mean()] for image in images], np.float32)


def test_difficulty(videos: ShopSet) -> None:
    figures = difficulty(videos, describe=grey)
    rows = videos.frames.to_pylist()
    good = [row["frontal"] and row["occluded"] < 0.2 and row["cut_off"] <= 0.05 for row in rows]
    assert figures.good_views == pytest.approx(sum(good) / len(good))
    assert good_views(videos).tolist() == good
    assert figures.items == 14
    assert figures.floor_recall_at_1 is not None
    assert figures.floor_recall_at_5 is not None
    assert 0 <= figures.floor_recall_at_1 <= figures.floor_recall_at_5 <= 1
    assert 0 < figures.queries <= figures.garments
    assert any("look-alike" in line for line in figures.lines())
    assert difficulty(videos).floor_recall_at_1 is None


def mean_colour(images: list[Image] | tuple[Image, ...]) -> FloatArray:
    """(N, 3) how each image's mean colour lies from mid-grey, of length 1."""
    far = np.stack([image.reshape(-1, 3).mean(axis=0) - 127.5 for image in images])
    return (far / np.linalg.norm(far, axis=1, keepdims=True)).astype(np.float32)


def test_the_floor_finds_a_photo_that_is_in_the_shop(tmp_path: Path) -> None:
    from dprnet.data.shopset import ShopSetWriter

    rng = np.random.default_rng(0)
    writer = ShopSetWriter(tmp_path, {"name": "floor", "split": "test"})
    for k in range(4):
        image = np.full((80, 60, 3), rng.integers(0, 255, 3), np.uint8)
        writer.add_item(f"A{k}", [image], 100)
        writer.add_still("s", k, image, 100)
        writer.add_instance("s", k, 0, f"A{k}")
        writer.add_view("s", k, k, (0, 0, 60, 80), viewpoint=0, occlusion=0, crop=0, time_s=k)
    made = writer.finish()
    figures = difficulty(made, describe=mean_colour)
    assert (figures.floor_recall_at_1, figures.good_views, figures.no_item) == (1.0, 1.0, 0.0)
