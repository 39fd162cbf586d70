"""A catalogue embedded by workers that may die, and on Ray: the same gallery as one process makes."""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from dprnet.batch import CatalogueConfig, catalogues, embed_catalogue
from dprnet.cli import run
from dprnet.core.errors import BadRecipe
from dprnet.core.fetching import FetchLimits
from dprnet.gallery import Gallery, Item, Problem
from dprnet.pipeline import index_catalogue
from dprnet.pipeline.photos import Answer, Asked, Photo

from .conftest import RAY_WARNS

pytestmark = RAY_WARNS


@pytest.mark.parametrize(
    "wrong",
    [{"workers": 2}, {"address": "head:6379"}, {"gpus": 1.0}, {"on": "ray", "workers": 0}, {"portion": 0}],
)
def test_settings_that_do_not_go_together(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CatalogueConfig(**wrong)


def test_what_travels_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of a catalogue are called as it calls them, wherever their worker stands."""
    monkeypatch.chdir(tmp_path)
    item = Item("A 1", (Path("a.jpg"), "https://shop.example/b.jpg", Path("/photos/c.jpg")), "top", title="left here")
    there = catalogues._asked(json.loads(json.dumps(catalogues._entry(Asked(item, {"known"})))))
    assert there.item.images == (tmp_path / "a.jpg", "https://shop.example/b.jpg", Path("/photos/c.jpg"))
    assert (there.item.item_id, there.item.category, set(there.known)) == ("A 1", "top", {"known"})
    vector = np.array([0.6, 0.8], np.float32)
    photos = (Photo(there.item.images[1], "one", vector, b"\xff\xd8"), Photo(there.item.images[2], "two"))
    answer = Answer(there.item, photos, (Problem(str(tmp_path / "a.jpg"), "no such file"),))
    back = catalogues._answer(json.loads(json.dumps(catalogues._told(answer))), item)
    assert back.item == item
    assert [(photo.path, photo.content, photo.thumbnail) for photo in back.photos] == [
        ("https://shop.example/b.jpg", "one", b"\xff\xd8"), (Path("/photos/c.jpg"), "two", b""),
    ]  # fmt: skip
    assert back.photos[0].vector is not None
    assert np.array_equal(back.photos[0].vector, vector)
    assert back.photos[1].vector is None
    assert back.problems == (Problem("a.jpg", "no such file"),)


def test_the_command_without_ray(
    small_catalogue: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["index", str(small_catalogue), "--gallery", str(tmp_path / "gallery"), "--on", "ray"]
    assert run(words) == 2
    assert "dprnet[ray]" in capsys.readouterr().err
    assert run([*words[:-2], "--workers", "2"]) == 2
    assert "give --on ray" in capsys.readouterr().err
    assert not (tmp_path / "gallery").exists()


@pytest.fixture
def deadly(web_server: Callable[..., AbstractContextManager[str]], tmp_path: Path) -> Iterator[str]:
    """A web server whose photo kills whoever asks for it: as one that a codec falls over."""
    Image.new("RGB", (40, 60), (200, 30, 30)).save(tmp_path / "good.png")
    good = (tmp_path / "good.png").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "poison" in self.path:
                for child in multiprocessing.active_children():
                    os.kill(child.pid or 0, signal.SIGKILL)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(good)))
            self.end_headers()
            self.wfile.write(good)

    with web_server(Handler) as address:
        yield address


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_photo_that_kills_its_worker_is_a_problem_alone(deadly: str, random_bundle: Path) -> None:
    items = [Item(str(number), (f"{deadly}/{'poison' if number == 1 else number}.png",)) for number in range(3)]
    config = CatalogueConfig(on="ray", workers=1, bundle=str(random_bundle), attempts=1)
    worker = catalogues.RayPhotos(config, FetchLimits(private=True, attempts=1), threads=1)
    try:
        told = worker({"items": json.dumps([catalogues._entry(Asked(item)) for item in items])})
    finally:
        worker.dismiss()
    assert told["refused"] == ""
    answers = [catalogues._answer(one, item) for one, item in zip(json.loads(told["answers"]), items, strict=True)]
    assert [len(answer.photos) for answer in answers] == [1, 0, 1]
    assert [answer.problems for answer in answers if answer.problems] == [
        (Problem("1", "left out: its worker died (signal SIGKILL)"),)
    ]


def rows(gallery: Path) -> dict[tuple[str, str], dict[str, object]]:
    with Gallery.open(gallery) as opened:
        held = opened.contents([row["item_id"] for row in opened.texts()])
    assert len({(row["item_id"], row["photo"]) for row in held}) == len(held), "none doubled"
    return {(row["item_id"], row["photo"]): row for row in held}


def same(one: Path, other: Path) -> None:
    mine, theirs = rows(one), rows(other)
    assert mine.keys() == theirs.keys()
    for key, row in mine.items():
        assert np.allclose(row.pop("vector"), theirs[key].pop("vector"), atol=1e-5)
        assert row == theirs[key]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ray_makes_the_gallery_that_this_process_makes(
    small_catalogue: Path, random_bundle: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    shutil.copytree(small_catalogue.parent, tmp_path / "shop")
    catalogue = tmp_path / "shop" / small_catalogue.name
    with catalogue.open("a", encoding="utf-8") as table:
        table.write("poor,poor.png,top,,,\n")
    (catalogue.parent / "poor.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken" + bytes(40))
    here = index_catalogue(catalogue, tmp_path / "here", bundle=random_bundle)
    config = CatalogueConfig(on="ray", workers=2, bundle=str(random_bundle), portion=2)
    there = embed_catalogue(catalogue, tmp_path / "ray", config)
    assert (there.items, there.photos, there.unchanged) == (6, 7, 0)
    same(tmp_path / "here", tmp_path / "ray")
    assert there.problems_path.read_text("utf-8") == here.problems_path.read_text("utf-8")
    again = index_catalogue(catalogue, tmp_path / "ray", bundle=random_bundle)  # either goes on where the other was
    assert (again.items, again.photos, again.unchanged) == (6, 0, 6)


def descendants(pid: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                yield int(entry.name)
                yield from descendants(int(entry.name))


def a_worker_of(driver: int) -> int | None:
    for pid in descendants(driver):
        try:
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except OSError:
            continue
    return None


def until(true: Callable[[], bool], driver: subprocess.Popen[bytes], told: Path) -> None:
    while not true():
        assert driver.poll() is None, told.read_text("utf-8")[-2000:]
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_neither_a_worker_nor_the_driver_that_is_killed_loses_an_item(random_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    shop, gallery, told = tmp_path / "shop", tmp_path / "gallery", tmp_path / "stderr.txt"
    shop.mkdir()
    rng = np.random.default_rng(0)
    photos = 1280
    for number in range(photos):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(shop / f"{number}.png")
    words = ["index", shop, "--gallery", gallery, "--bundle", random_bundle, "--on", "ray", "--workers", 1]
    command = [sys.executable, "-m", "dprnet", *map(str, words)]

    def stored() -> int:
        if not Gallery.exists(gallery):
            return 0
        with Gallery.open(gallery) as opened:
            return len(opened.texts())

    with told.open("wb") as log, subprocess.Popen(command, stderr=log) as driver:
        until(lambda: stored() >= 64, driver, told)
        worker = a_worker_of(driver.pid)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        before = stored()
        until(lambda: stored() > before + 64, driver, told)  # it went on
        driver.kill()
    there = stored()
    assert 128 <= there < photos
    assert there % 64 == 0, "a commit is whole or absent"
    done = index_catalogue(shop, gallery, bundle=random_bundle)
    assert (done.items, done.photos, done.unchanged) == (photos, photos - there, there)
    assert len(rows(gallery)) == photos


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_too_few_cores_make_no_gallery(small_catalogue: Path, random_bundle: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=40)
    try:
        config = CatalogueConfig(bundle=str(random_bundle), on="ray", workers=6)
        with pytest.raises(BadRecipe, match=r"index: 6 workers on a Ray cluster of 1 cores; give at most --workers 5"):
            embed_catalogue(small_catalogue, tmp_path / "gallery", config)
        assert not (tmp_path / "gallery").exists()
        gpu = config.model_copy(update={"workers": 1, "gpus": 1.0})
        with pytest.raises(BadRecipe, match="1 workers want 1 GPUs, the Ray cluster has 0"):
            embed_catalogue(small_catalogue, tmp_path / "gallery", gpu)
    finally:
        ray.shutdown()
