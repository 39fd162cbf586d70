"""The same videos on Ray Data: a real Ray on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from dprnet.batch import BatchConfig, find_videos, on_ray, ray_cluster, read_results, run_batch
from dprnet.core.errors import BadRecipe, MissingExtra
from dprnet.pipeline import index_catalogue

from .conftest import RAY_WARNS, Site

pytestmark = RAY_WARNS


@pytest.mark.parametrize(
    ("cpus", "workers", "share"), [(2.0, 1, 1.0), (2.0, 2, 0.75), (2.0, 15, 0.1), (1.0, 1, 0.5), (1024, 1024, 0.999)]
)
def test_workers_leave_room_for_ray(cpus: float, workers: int, share: float) -> None:
    assert ray_cluster.cpus_each(cpus, workers) == share
    assert share * workers <= max(cpus - 0.5, cpus / 2)


@pytest.mark.parametrize(
    ("cpus", "workers", "way"), [(2.0, 16, "at most --workers 15"), (0.0, 1, "a cluster with at least one core")]
)
def test_too_few_cores_are_told(cpus: float, workers: int, way: str) -> None:
    with pytest.raises(BadRecipe, match=way):
        ray_cluster.cpus_each(cpus, workers)


def test_contents_are_found_again() -> None:
    contents = [f"{n:064x}" for n in (0, 256, 5, 2**255)]
    known = on_ray.digests([*contents, "path:gone.mp4"])
    assert known.nbytes == 4 * 32
    assert all(on_ray._among(content, known) for content in contents)
    assert not any(on_ray._among(f"{n:064x}", known) for n in (1, 2**256 - 1, 255))
    assert not on_ray._among(contents[0], on_ray.digests([]))


@pytest.mark.parametrize(
    "wrong", [{"on": "ray", "workers": 0}, {"address": "ray://head:10001"}, {"gpus": 1.0}, {"on": "ray", "gpus": -1}]
)
def test_settings_that_do_not_go_together(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BatchConfig(**wrong)


def test_gpus_of_a_worker() -> None:
    assert [BatchConfig(on="ray", device=device).gpus_each() for device in ("cpu", "cuda", "cuda:0")] == [0, 1, 1]
    assert BatchConfig(on="ray", device="cuda", gpus=0.25).gpus_each() == 0.25


def test_gpus_that_are_not_there() -> None:
    cluster = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 1.0})
    with pytest.raises(BadRecipe, match="4 workers want 2 GPUs, the Ray cluster has 1"):
        ray_cluster.make_room(cluster, BatchConfig(on="ray", workers=4, device="cuda", gpus=0.5), 1.0)


def test_without_ray(monkeypatch: pytest.MonkeyPatch, random_bundle: Path, moving_square: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"dprnet\[ray\]"):
        run_batch([moving_square], tmp_path / "out", BatchConfig(bundle=str(random_bundle), on="ray"))


@pytest.fixture
def videos(moving_square: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.mp4").write_bytes(moving_square.read_bytes() + bytes(number))
    (folder / "copy.mp4").write_bytes((folder / "0.mp4").read_bytes())
    (folder / "poor.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def site(videos: Path, serve: Callable[[Path], Site]) -> Site:
    """The videos on a web server, which counts how often each is fetched."""
    return serve(videos)


def facts(out: Path) -> dict[str, dict[str, object]]:
    """What the rows say, without what it cost."""
    costs = ("seconds", "attempts", "path", "version", "again")
    rows = read_results(out).to_pylist()
    return {row["sha256"]: {name: value for name, value in row.items() if name not in costs} for row in rows}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ray_finds_what_this_process_finds(
    videos: Path, random_bundle: Path, small_catalogue: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    gallery = tmp_path / "gallery"
    index_catalogue(small_catalogue, gallery, bundle=random_bundle)
    config = BatchConfig(bundle=str(random_bundle), gallery=str(gallery), every="1s", workers=2, block=3, on="ray")
    done = run_batch(find_videos([videos]), tmp_path / "ray", config)
    assert (done.searched, done.already) == (9, 1)
    assert [Path(path).name for path, _ in done.bad] == ["poor.mp4"]
    here = config.model_copy(update={"on": "here", "workers": 0})
    assert run_batch(find_videos([videos]), tmp_path / "out", here).searched == 9
    assert np.all(
        np.array([row["frames"] for row in facts(tmp_path / "ray").values() if row["status"] != "failed"]) > 0
    )
    mine, theirs = facts(tmp_path / "out"), facts(tmp_path / "ray")
    for row in (*mine.values(), *theirs.values()):
        row["found"] = [
            {name: round(value, 4) if isinstance(value, float) else value for name, value in match.items()}
            for match in row["found"]
        ]
    assert mine == theirs
    assert run_batch(find_videos([videos]), tmp_path / "ray", here).searched == 0  # either goes on where the other was


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_on_ray_that_is_killed_redoes_one_video_a_worker(
    site: Site, videos: Path, random_bundle: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    address, asked = site
    names = [f"{number}.mp4" for number in range(8)]
    (tmp_path / "list.txt").write_text("\n".join(f"{address}/{name}" for name in names), "utf-8")
    out, workers = tmp_path / "out", 2
    words = ["batch", tmp_path / "list.txt", "--out", out, "--bundle", random_bundle, "--every", "1f", "--on", "ray"]
    words += ["--workers", workers, "--private-addresses", "--block", 3]
    command = [sys.executable, "-m", "dprnet", *map(str, words)]

    def kept() -> int:
        journal = out / "journal.jsonl"
        text = journal.read_text("utf-8") if journal.is_file() else ""
        return text.count("\n") + read_results(out).num_rows

    with (tmp_path / "stderr.txt").open("w") as told, subprocess.Popen(command, stderr=told) as driver:
        while kept() < 3 and driver.poll() is None:
            time.sleep(0.02)
        assert driver.poll() is None, (tmp_path / "stderr.txt").read_text("utf-8")[-2000:]
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    before = kept()
    time.sleep(10)  # what Ray still had of it goes
    searched = asked.copy()
    assert 3 <= before < 8
    assert sum(searched.values()) <= before + 2 * workers, "a video in work, and one fetched, a worker"
    assert subprocess.run(command, stderr=subprocess.PIPE, check=False).returncode == 0
    rows = read_results(out).to_pylist()
    assert sorted(row["path"].rpartition("/")[2] for row in rows) == names
    assert {row["status"] for row in rows} == {"complete"}
    assert json.loads((out / "run.json").read_text("utf-8"))["every"] == "1f"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_more_than_the_cluster_has_is_refused(videos: Path, random_bundle: Path, tmp_path: Path) -> None:
    """Not by waiting for ever: the number of cores is known, and room is asked for with a limit of time."""
    pytest.importorskip("ray")
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=40)
    try:
        config = BatchConfig(bundle=str(random_bundle), on="ray", workers=6)
        with pytest.raises(BadRecipe, match="at most --workers 5"):
            run_batch([videos / "0.mp4"], tmp_path / "many", config)

        @ray.remote(num_cpus=1)
        class Other:
            def there(self) -> bool:
                return True

        other = Other.remote()
        assert ray.get(other.there.remote())
        small = config.model_copy(update={"workers": 1, "start_s": 3.0})
        with pytest.raises(BadRecipe, match=r"no room for 1 workers of 0\.5 cores within 3 s: 0 of 1 cores are free"):
            run_batch([videos / "0.mp4"], tmp_path / "full", small)
        assert ray.is_initialized()  # who started it stops it
    finally:
        ray.shutdown()
