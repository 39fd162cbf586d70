"""Row B2: the command is killed at half of two hundred clips, and called again."""

from __future__ import annotations

import collections
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dprnet.batch import read_results

Site = tuple[str, collections.Counter[str]]  # of the fixture `serve`: address, fetches of each file
CLIPS, WORKERS = 200, 1


@pytest.fixture
def site(moving_square: Path, tmp_path: Path, serve: Callable[[Path], Site]) -> Site:
    """Clips of different bytes on a web server, which counts how often each is fetched: once for each search."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(CLIPS):
        (folder / f"{number:03}.mp4").write_bytes(moving_square.read_bytes() + number.to_bytes(2, "big") + b"tail")
    return serve(folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_half_of_two_hundred_clips(site: Site, random_bundle: Path, tmp_path: Path) -> None:
    address, asked = site
    names = [f"{number:03}.mp4" for number in range(CLIPS)]
    (tmp_path / "list.txt").write_text("\n".join(f"{address}/{name}" for name in names), "utf-8")
    out = tmp_path / "out"
    words = ["batch", tmp_path / "list.txt", "--out", out, "--bundle", random_bundle, "--every", "2s"]
    words += ["--workers", WORKERS, "--private-addresses", "--block", "16"]
    command = [sys.executable, "-m", "dprnet", *map(str, words)]

    def kept() -> set[str]:
        journal = out / "journal.jsonl"
        lines = journal.read_text("utf-8").splitlines(keepends=True) if journal.is_file() else []
        whole = {json.loads(line)["sha256"] for line in lines if line.endswith("\n")}
        return whole | set(read_results(out)["sha256"].to_pylist())

    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as driver:
        while len(kept()) < CLIPS // 2 and driver.poll() is None:
            time.sleep(0.05)
        driver.kill()
    before = kept()
    assert CLIPS // 2 <= len(before) < CLIPS
    first = asked.copy()
    assert sum(first.values()) <= len(before) + WORKERS + 2 * WORKERS + 1, "one in work, a few fetched ahead"
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    rows = read_results(out).to_pylist()
    assert sorted(row["path"].rpartition("/")[2] for row in rows) == names, "none lost, none doubled"
    assert {row["status"] for row in rows} == {"complete"}
    assert before <= {row["sha256"] for row in rows}
    assert len(list(out.glob("results/part-*.parquet"))) >= CLIPS // 16
    assert not (out / "quarantine.csv").exists()
