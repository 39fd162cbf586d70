"""``--address``: a cluster that is there already, started as its owner starts it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dprnet.batch import read_results
from dprnet.gallery import Gallery

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Address of a Ray head with 2 cores, a session of processes of its own that goes with the test.

    It asks for a token, which the environment then holds.
    """
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    here = ray.util.get_node_ip_address()  # Ray takes 127.0.0.1 for this one too
    with socket.create_server((here, 0)) as free:
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="ray")  # short: the names of its sockets may have 107 characters
    words = ["start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    words += ["--disable-usage-stats", f"--temp-dir={folder}"]
    command = [sys.executable, "-m", "ray.scripts.scripts", *words]
    told = tmp_path / "head.txt"
    with (
        told.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True) as head,
    ):
        try:
            until = time.monotonic() + 240
            while "Ray runtime started" not in told.read_text("utf-8"):
                assert head.poll() is None, told.read_text("utf-8")
                assert time.monotonic() < until, told.read_text("utf-8")
                time.sleep(0.2)
            yield f"{here}:{port}"
        finally:
            for end in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(head.pid, end)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    head.wait(15)
            shutil.rmtree(folder, ignore_errors=True)


def dprnet(*words: object) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own: Ray reads the environment once."""
    command = [sys.executable, "-m", "dprnet", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(1200)
def test_a_catalogue_and_videos_on_a_cluster(
    cluster: str, moving_square: Path, small_catalogue: Path, random_bundle: Path, tmp_path: Path
) -> None:
    gallery, out = tmp_path / "gallery", tmp_path / "out"
    on = ["--bundle", random_bundle, "--on", "ray", "--address", cluster]
    done = dprnet("index", small_catalogue, "--gallery", gallery, *on)
    assert done.returncode == 0, done.stderr
    assert "6 items, 7 photos" in done.stdout
    with Gallery.open(gallery) as opened:
        assert len(opened.texts()) == 7
    done = dprnet("batch", moving_square, "--out", out, "--gallery", gallery, "--every", "1s", *on)
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in read_results(out).to_pylist()] == ["complete"]
    done = dprnet("index", small_catalogue, "--gallery", tmp_path / "many", *on, "--workers", 16)
    assert done.returncode == 2
    assert "16 workers on a Ray cluster of 2 cores; give at most --workers 15" in done.stderr
    assert not (tmp_path / "many").exists()


@pytest.mark.timeout(600)
def test_no_cluster_at_an_address(small_catalogue: Path, random_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = ["index", small_catalogue, "--gallery", tmp_path / "gallery", "--bundle", random_bundle]
    done = dprnet(*words, "--on", "ray", "--address", address)
    assert done.returncode == 2
    assert f"no Ray on {address}" in done.stderr
    assert "RAY_AUTH_TOKEN" in done.stderr
    assert not (tmp_path / "gallery").exists()
