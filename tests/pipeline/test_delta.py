"""A catalogue indexed again costs what changed in it."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dprnet.cli import run
from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadCatalogue, BadGallery
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Gallery
from dprnet.pipeline import Indexed, index

Change = Callable[[list[dict[str, str]]], None]


@pytest.fixture(scope="module")
def embedder(random_bundle: Path) -> Embedder:
    return Embedder.from_bundle(Bundle.from_pretrained(random_bundle))


@pytest.fixture
def catalogue(small_catalogue: Path, tmp_path: Path) -> Path:
    """Six items, seven photos; ``red`` has two."""
    shutil.copytree(small_catalogue.parent, tmp_path / "shop")
    return tmp_path / "shop" / "catalogue.csv"


def rewrite(catalogue: Path, change: Change) -> None:
    with catalogue.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with catalogue.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def counts(done: Indexed) -> tuple[int, int, int, int, tuple[str, ...]]:
    return done.items, done.photos, done.unchanged, done.updated, done.retired


def test_nothing_changed_costs_nothing(catalogue: Path, embedder: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    assert counts(index(catalogue, folder, embedder)) == (6, 7, 0, 0, ())
    with Gallery.open(folder) as before:
        version = before.version
    assert counts(index(catalogue, folder, embedder)) == (6, 0, 6, 0, ())
    with Gallery.open(folder) as after:
        assert after.version == version
    assert counts(index(catalogue, folder, embedder, fresh=True)) == (6, 7, 0, 0, ())


def test_texts_alone_are_written_without_embedding(catalogue: Path, embedder: Embedder, tmp_path: Path) -> None:
    index(catalogue, tmp_path / "gallery", embedder)
    rewrite(catalogue, lambda rows: rows[-1].update(price="1.00"))
    assert counts(index(catalogue, tmp_path / "gallery", embedder)) == (6, 0, 5, 1, ())
    with Gallery.open(tmp_path / "gallery") as gallery:
        assert [item.item_id for item in gallery.items("price = 1")] == ["snow"]


def test_a_photo_that_changed_is_embedded_alone(catalogue: Path, embedder: Embedder, tmp_path: Path) -> None:
    index(catalogue, tmp_path / "gallery", embedder)
    with Gallery.open(tmp_path / "gallery") as gallery:
        before = {Path(str(row["photo"])).name: row for row in gallery.contents(["red"])}
    Image.new("RGB", (50, 50), (250, 120, 0)).save(catalogue.parent / "red_back.png")
    assert counts(index(catalogue, tmp_path / "gallery", embedder)) == (6, 1, 5, 0, ())
    with Gallery.open(tmp_path / "gallery") as gallery:
        after = {Path(str(row["photo"])).name: row for row in gallery.contents(["red"])}
    assert np.allclose(after["red.png"]["vector"], before["red.png"]["vector"], atol=1e-6)
    assert after["red.png"]["thumbnail"] == before["red.png"]["thumbnail"]
    assert after["red_back.png"]["content"] != before["red_back.png"]["content"]
    assert after["red_back.png"]["thumbnail"] != before["red_back.png"]["thumbnail"]


def test_a_photo_that_moved_is_not_embedded(catalogue: Path, embedder: Embedder, tmp_path: Path) -> None:
    index(catalogue, tmp_path / "gallery", embedder)
    (catalogue.parent / "green.png").rename(catalogue.parent / "verde.png")
    rewrite(catalogue, lambda rows: next(row for row in rows if row["item_id"] == "green").update(image="verde.png"))
    assert counts(index(catalogue, tmp_path / "gallery", embedder)) == (6, 0, 5, 0, ())
    with Gallery.open(tmp_path / "gallery") as gallery:
        assert [Path(str(row["photo"])).name for row in gallery.contents(["green"])] == ["verde.png"]


def test_missing_rows_are_retired_when_asked(catalogue: Path, embedder: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    index(catalogue, folder, embedder)
    rewrite(catalogue, lambda rows: rows.pop())
    assert counts(index(catalogue, folder, embedder)) == (6, 0, 5, 0, ())
    assert counts(index(catalogue, folder, embedder, retire=0.5)) == (5, 0, 5, 0, ("snow",))


def test_a_feed_that_was_cut_short_retires_nothing(catalogue: Path, embedder: Embedder, tmp_path: Path) -> None:
    index(catalogue, tmp_path / "gallery", embedder)
    rewrite(catalogue, lambda rows: rows.__delitem__(slice(3, None)))
    with pytest.raises(BadCatalogue, match=r"lacks 4 of the 6 items .*, more than 50% of them"):
        index(catalogue, tmp_path / "gallery", embedder, retire=0.5)
    with Gallery.open(tmp_path / "gallery") as gallery:
        assert len(gallery) == 6
    assert len(index(catalogue, tmp_path / "gallery", embedder, retire=1.0).retired) == 4


def test_a_row_that_is_wrong_is_not_gone(catalogue: Path, embedder: Embedder, tmp_path: Path) -> None:
    index(catalogue, tmp_path / "gallery", embedder)
    (catalogue.parent / "snow.png").unlink()
    (catalogue.parent / "ink.png").write_bytes(b"broken")
    done = index(catalogue, tmp_path / "gallery", embedder, retire=0.5)
    assert counts(done) == (6, 0, 4, 0, ())
    told = done.problems_path.read_text(encoding="utf-8")
    assert "no such file" in told
    assert "ink,left out" in told


def test_photos_cut_otherwise_are_refused(
    catalogue: Path, embedder: Embedder, random_bundle: Path, tmp_path: Path
) -> None:
    from dprnet.detect import Detector

    detector = Detector.from_bundle(Bundle.from_pretrained(random_bundle))
    assert index(catalogue, tmp_path / "gallery", embedder, detector=detector).photos == 7
    assert index(catalogue, tmp_path / "gallery", embedder, detector=detector).photos == 0
    with pytest.raises(BadGallery, match=r"made of photos cut to the garment .*, now given whole photos"):
        index(catalogue, tmp_path / "gallery", embedder)


def test_the_command_says_what_it_did(catalogue: Path, random_bundle: Path, tmp_path: Path, capsys) -> None:
    words = ["index", str(catalogue), "--gallery", str(tmp_path / "gallery"), "--bundle", str(random_bundle)]
    assert run(words) == 0
    assert "6 items, 7 photos\n" in capsys.readouterr().out
    rewrite(catalogue, lambda rows: rows.pop())
    assert run([*words, "--retire"]) == 0
    assert "5 items, 0 photos, 5 items unchanged, 0 with new texts, 1 retired" in capsys.readouterr().out


@pytest.mark.slow
def test_indexing_goes_on_after_a_kill(embedder: Embedder, random_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    rng = np.random.default_rng(0)
    for number in range(640):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "shop" / f"{number}.png")
    folder = tmp_path / "gallery"
    command = [
        sys.executable,
        "-m",
        "dprnet",
        "index",
        tmp_path / "shop",
        "--gallery",
        folder,
        "--bundle",
        random_bundle,
    ]
    with subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if Gallery.exists(folder):
                with Gallery.open(folder) as gallery:
                    if len(gallery.texts()) >= 64:
                        break
            time.sleep(0.05)
        process.kill()
    with Gallery.open(folder) as gallery:
        there = len(gallery.texts())
    assert there % 64 == 0, "a chunk is whole or absent"
    done = index(tmp_path / "shop", folder, embedder)
    assert (done.items, done.photos, done.unchanged) == (640, 640 - there, there)
