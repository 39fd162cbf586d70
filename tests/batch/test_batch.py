"""Many videos: every one once, whatever dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dprnet.batch import BatchConfig, find_videos, read_results, run_batch
from dprnet.cli import run
from dprnet.core.errors import BadGallery, BadRecipe, MissingFile
from dprnet.gallery import Gallery
from dprnet.pipeline import index_catalogue


@pytest.fixture(scope="module")
def gallery(random_bundle: Path, small_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("batch") / "gallery"
    index_catalogue(small_catalogue, folder, bundle=random_bundle)
    return str(folder)


@pytest.fixture
def videos(moving_square: Path, tmp_path: Path) -> Path:
    """Three videos of different bytes, a copy of one, and one that is none."""
    folder = tmp_path / "videos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.mp4", "b.mp4", "more/c.mov")):
        (folder / name).write_bytes(moving_square.read_bytes() + bytes(number))  # a tail that players pass over
    shutil.copy(folder / "a.mp4", folder / "copy.mp4")
    (folder / "poor.mp4").write_bytes(b"no video")
    (folder / "notes.md").write_text("no video", encoding="utf-8")
    return folder


@pytest.fixture
def config(random_bundle: Path, gallery: str) -> BatchConfig:
    return BatchConfig(bundle=str(random_bundle), gallery=gallery, every="1s", workers=0, block=2)


def by_name(out: Path) -> dict[str, dict[str, object]]:
    return {Path(row["path"]).name: row for row in read_results(out).to_pylist()}


def test_which_videos(videos: Path, tmp_path: Path) -> None:
    names = ["a.mp4", "b.mp4", "copy.mp4", "c.mov", "poor.mp4"]
    assert [path.name for path in find_videos([videos, videos / "a.mp4"])] == names
    (tmp_path / "list.txt").write_text("videos/b.mp4\n\nabsent.mp4\n", encoding="utf-8")
    assert find_videos([tmp_path / "list.txt"]) == [videos / "b.mp4", tmp_path / "absent.mp4"]
    with pytest.raises(MissingFile, match="no such video"):
        find_videos([tmp_path / "absent.mp4"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match="no video there"):
        find_videos([tmp_path / "empty"])


def test_every_video_once(videos: Path, config: BatchConfig, tmp_path: Path) -> None:
    done = run_batch(find_videos([videos]), tmp_path / "out", config)
    assert (done.searched, done.already) == (4, 1)
    assert [(Path(path).name, reason) for path, reason in done.bad] == [
        ("poor.mp4", by_name(done.folder)["poor.mp4"]["reason"])
    ]
    rows = by_name(done.folder)
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.mp4": "complete", "b.mp4": "complete", "c.mov": "complete", "poor.mp4": "failed",
    }  # fmt: skip
    found = rows["a.mp4"]["found"]
    assert found
    assert {match["item_id"] for match in found} <= {"red", "green", "blue", "sand", "ink", "snow", None}
    with Gallery.open(config.gallery) as opened:
        assert str(rows["a.mp4"]["gallery"]).startswith(f"gallery@{opened.version} ")
    again = run_batch(find_videos([videos]), tmp_path / "out", config)
    assert (again.searched, again.already) == (0, 5)
    assert by_name(done.folder) == rows


def test_a_gallery_of_another_embedder_is_refused_at_once(config: BatchConfig, videos: Path, tmp_path: Path) -> None:
    Gallery.create(tmp_path / "other", embedder="other@1", size=3).close()
    with pytest.raises(BadGallery, match="built by the embedder other@1"):
        run_batch([videos / "a.mp4"], tmp_path / "out", config.model_copy(update={"gallery": str(tmp_path / "other")}))
    assert not (tmp_path / "out").exists()


def test_a_part_of_a_long_video_is_a_result_of_its_own(
    long_video: Path, moving_square: Path, config: BatchConfig, tmp_path: Path
) -> None:
    videos = [long_video, moving_square]
    refused = run_batch([long_video], tmp_path / "whole", config)
    assert [reason for _, reason in refused.bad] == ["limit:duration_s"]
    clip = config.model_copy(update={"clip": True})
    assert run_batch(videos, tmp_path / "parts", clip).bad == ()
    rows = by_name(tmp_path / "parts")
    assert {name: row["status"] for name, row in rows.items()} == {"long.mp4": "partial", "square.mp4": "complete"}
    assert "clipped after" in str(rows["long.mp4"]["note"])
    with pytest.raises(BadRecipe, match="clip not set, now True"):
        run_batch(videos, tmp_path / "whole", clip)
    with pytest.raises(BadRecipe, match="clip True, now not set"):
        run_batch(videos, tmp_path / "parts", config)


def test_a_gallery_that_its_store_cannot_search_is_refused_at_once(
    config: BatchConfig, moving_square: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadGallery, match="LanceDB keeps it, which answers no search"):
        run_batch([moving_square], tmp_path / "out", config.model_copy(update={"kind": "store"}))
    assert not (tmp_path / "out").exists()


def test_the_command(videos: Path, config: BatchConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["batch", str(videos / "poor.mp4"), str(videos / "a.mp4"), "--gallery", config.gallery, "--every", "1s"]
    words += [
        "--out",
        str(tmp_path / "out"),
        "--bundle",
        config.bundle,
        "--workers",
        "0",
        "--full",
        "--clip",
        "--kind",
        "exact",
    ]
    assert run(words) == 3
    printed = capsys.readouterr()
    assert "2 videos searched, 0 were done, 1 failed" in printed.out
    assert "poor.mp4" in printed.err
    report = json.loads(str(by_name(tmp_path / "out")["a.mp4"]["report"]))
    assert (report["schema"], report["settings"]["clip"], report["settings"]["kind"]) == (1, True, "exact")
    assert run([*words, "--every", "2s"]) == 2
    assert "another run (every 1s, now 2s)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("limit", "reason"), [({"item_s": 0.001}, "limit:seconds"), ({"item_mb": 64}, "limit:memory")])
def test_a_video_that_costs_too_much_is_put_aside(
    limit: dict[str, float], reason: str, videos: Path, config: BatchConfig, tmp_path: Path
) -> None:
    costly = config.model_copy(update={"workers": 1, **limit})
    done = run_batch([videos / "a.mp4"], tmp_path / "out", costly)
    assert done.bad == ((str(videos / "a.mp4"), reason),)
    row = by_name(tmp_path / "out")["a.mp4"]
    assert (row["status"], row["attempts"]) == ("quarantined", 2)
    assert reason in (tmp_path / "out" / "quarantine.csv").read_text("utf-8")
    assert run_batch([videos / "a.mp4"], tmp_path / "out", costly).already == 1
    better = config.model_copy(update={"workers": 1})
    assert run_batch([videos / "a.mp4"], tmp_path / "out", better, again=True).bad == ()
    assert by_name(tmp_path / "out")["a.mp4"]["status"] == "complete"


def children() -> list[int]:
    """Processes of workers that this process started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = status.read_text("utf-8").partition(" ")
            words = (status.parent / "cmdline").read_bytes().split(b"\0")
            if int(rest.rpartition(")")[2].split()[1]) == os.getpid() and b"--multiprocessing-fork" in words:
                found.append(int(pid))
        except (OSError, IndexError):
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_worker_that_is_killed_costs_one_more_try(videos: Path, config: BatchConfig, tmp_path: Path) -> None:
    long = config.model_copy(update={"workers": 1, "every": "1f", "attempts": 3})
    killed: list[int] = []

    def kill() -> None:
        journal = tmp_path / "out" / "journal.jsonl"
        while not (journal.is_file() and journal.stat().st_size):
            time.sleep(0.01)  # the first video is done: a worker is at the second, or about to get it
        for pid in children():
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    done = run_batch([videos / "a.mp4", videos / "b.mp4", videos / "more" / "c.mov"], tmp_path / "out", long)
    killer.join()
    assert killed
    assert (done.searched, done.bad) == (3, ())
    rows = by_name(tmp_path / "out")
    assert {row["status"] for row in rows.values()} == {"complete"}
    assert children() == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_that_is_killed_goes_on(moving_square: Path, config: BatchConfig, tmp_path: Path) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.mp4").write_bytes(moving_square.read_bytes() + bytes(number))
    words = ["batch", folder, "--out", out, "--gallery", config.gallery, "--bundle", config.bundle, "--workers", 1]
    command = [sys.executable, "-m", "dprnet", *map(str, words), "--block", "3", "--every", "1s"]

    def kept() -> set[str]:
        journal = out / "journal.jsonl"
        lines = journal.read_text("utf-8").splitlines(keepends=True) if journal.is_file() else []
        whole = {json.loads(line)["sha256"] for line in lines if line.endswith("\n")}
        return whole | set(read_results(out)["sha256"].to_pylist())

    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as driver:
        while len(kept()) < 5 and driver.poll() is None:
            time.sleep(0.05)
        driver.kill()
    before = kept()
    same = config.model_copy(update={"workers": 1, "block": 3})
    done = run_batch(find_videos([folder]), out, same)
    assert (done.already, done.searched) == (len(before), 12 - len(before)), (
        "what was being searched is redone, no more"
    )
    paths = read_results(out)["path"].to_pylist()
    assert sorted(paths) == sorted(map(str, folder.iterdir()))
    assert len(list(out.glob("results/part-*.parquet"))) >= 4
