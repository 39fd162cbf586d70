"""Workers and services are killed while they work: every job ends, each with one result, and no process stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ..contracts.conftest import Postgres
from .conftest import DEADLINE_S, Running, process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
EVERY = "every=1f"


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that takes a while to search at every frame."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("long") / "long.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(200):
            image = np.full((240, 320, 3), (30, 60, 160), np.uint8)
            image[60:180, number : number + 90] = (200, 30, 30)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture
def kept_in(table: Path | str) -> list[str]:
    """Options that say where the jobs are: in the folder's file, or in PostgreSQL."""
    return ["--database", str(table)] if "://" in str(table) else []


def address_of(child: object) -> str:
    line = child.stdout.readline()  # type: ignore[attr-defined]
    assert line.startswith("http://127.0.0.1:"), line
    return str(line.strip())


def workers_of(pid: int) -> list[psutil.Process]:
    found = []
    for one in psutil.Process(pid).children():
        with_words = " ".join(one.cmdline())
        if "dprnet.service.worker" in with_words:
            found.append(one)
    return found


def until(fits: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not fits():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def under_way(job: dict) -> bool:
    return job["state"] != "queued" and (job["state"] != "running" or job["progress"]["time_s"] > 0)


def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    tmp_path: Path, random_bundle: Path, long_video: Path, kept_in: list[str]
) -> None:
    with process(tmp_path / "data", random_bundle, "--threads", "1", *kept_in) as child:
        service = Running(address_of(child), tmp_path / "data")
        jobs = [service.send(long_video, f"name=video{n}&{EVERY}")["id"] for n in range(2)]
        service.wait(jobs[0], until=under_way)
        (worker,) = workers_of(child.pid)
        decoders = worker.children()
        worker.kill()
        ended = [service.wait(job) for job in jobs]
        assert [job["state"] for job in ended] == ["done", "done"]
        # On a busy machine the first may have ended just before the kill: then it was the second that was begun again.
        assert sorted(job["attempts"] for job in ended) == [1, 2], "begun again once the lease had ended"
        for job in jobs:
            assert len(list((service.folder / "jobs" / job).glob("result-*"))) == 1
        until(lambda: not any(alive(decoder) for decoder in decoders), "the decoder went with its worker")


def test_a_killed_service_goes_on_where_it_was(
    tmp_path: Path, random_bundle: Path, long_video: Path, kept_in: list[str]
) -> None:
    with process(tmp_path / "data", random_bundle, "--threads", "1", *kept_in) as child:
        service = Running(address_of(child), tmp_path / "data")
        jobs = [service.send(long_video, f"name=video{n}&{EVERY}")["id"] for n in range(2)]
        service.wait(jobs[0], until=under_way)
        below = psutil.Process(child.pid).children(recursive=True)
        os.kill(child.pid, signal.SIGKILL)
        child.wait(60)
        until(lambda: not any(alive(one) for one in below), "workers and decoders ended with the service")
    with process(tmp_path / "data", random_bundle, "--threads", "1", *kept_in) as child:
        service = Running(address_of(child), tmp_path / "data")
        ended = [service.wait(job) for job in jobs]
        assert [job["state"] for job in ended] == ["done", "done"]
        for job in jobs:
            assert len(list((service.folder / "jobs" / job).glob("result-*"))) == 1
        below = psutil.Process(child.pid).children(recursive=True)
        child.send_signal(signal.SIGTERM)
        assert child.wait(DEADLINE_S) is not None
        until(lambda: not any(alive(one) for one in below), "nothing stays when it is told to end")


def test_a_running_job_is_cancelled_and_deleted(tmp_path: Path, random_bundle: Path, long_video: Path) -> None:
    with process(tmp_path / "data", random_bundle, "--threads", "1") as child:
        service = Running(address_of(child), tmp_path / "data")
        first, second, third = (service.send(long_video, f"name=video{n}&{EVERY}")["id"] for n in range(3))
        service.wait(first, until=under_way)
        service.ask("POST", f"/v1/jobs/{first}/cancel", b"")
        assert service.wait(first)["state"] in {"cancelled", "done"}
        service.wait(second, until=under_way)
        assert service.ask("DELETE", f"/v1/jobs/{second}").status == 204
        assert service.wait(third)["state"] == "done"
        assert not (service.folder / "jobs" / second).exists()


def test_of_two_services_on_one_table_the_other_finishes_what_a_killed_one_began(
    tmp_path: Path, random_bundle: Path, long_video: Path, postgres: Postgres
) -> None:
    folder = tmp_path / "data"
    options = ["--threads", "1", "--database", f"{postgres.address}#two"]
    with process(folder, random_bundle, *options) as first, process(folder, random_bundle, *options) as second:
        doomed, other = Running(address_of(first), folder), Running(address_of(second), folder)
        jobs = [doomed.send(long_video, f"name=video{n}&{EVERY}")["id"] for n in range(4)]
        for job in jobs[:2]:
            other.wait(job, until=under_way)  # one each: a worker takes one at a time
        os.kill(first.pid, signal.SIGKILL)
        first.wait(60)
        ended = [other.wait(job) for job in jobs]
        assert [job["state"] for job in ended] == ["done"] * 4
        assert sum(job["attempts"] for job in ended) in {4, 5}, "at most the one of the killed service was begun again"
        for job in jobs:
            until(lambda job=job: len(list((folder / "jobs" / job).glob("result-*"))) == 1, "one result each")
            assert other.ask("GET", f"/v1/jobs/{job}/report.json").status == 200


def alive(one: psutil.Process) -> bool:
    try:
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
