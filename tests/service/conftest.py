"""A real service on a free port, with a worker of its own and networks of random weights."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..contracts.conftest import Postgres

DEADLINE_S = float(os.environ.get("DPRNET_TEST_DEADLINE_S", "240"))  # a busy machine takes a minute to load torch


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The machine-readable word of an error."""
        assert set(self.json) == {"error"}, self.body
        assert set(self.json["error"]) == {"code", "message"}, self.body
        return str(self.json["error"]["code"])


@dataclass
class Running:
    """A service one can ask."""

    base: str
    folder: Path
    pid: int = 0
    key: str | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.base.rpartition(":")[2])

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("content-type", "application/octet-stream")
        if self.key is not None:
            named.setdefault("x-api-key", self.key)
        request = urllib.request.Request(self.base + path, body, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
                return Answer(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def send(self, video: Path, query: str = "name=look.mp4", **headers: str) -> dict[str, Any]:
        """Send a video; the job."""
        answer = self.ask("POST", f"/v1/jobs?{query}", video.read_bytes(), **headers)
        assert answer.status == 202, answer.body
        job: dict[str, Any] = answer.json
        return job

    def wait(self, job_id: str, *, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """The job once it is final, or as wished."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            job: dict[str, Any] = self.ask("GET", f"/v1/jobs/{job_id}").json
            if until(job) if until else job["state"] in {"done", "failed", "cancelled"}:
                return job
            time.sleep(0.1)
        raise AssertionError(f"the job did not get there in {DEADLINE_S:g} s: {job}")


def form(fields: dict[str, str], files: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    """A multipart body with photos, and its type."""
    mark = "mark0123456789"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    for name, data in files:
        head = f'--{mark}\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


@contextlib.contextmanager
def started(config: Any) -> Iterator[Running]:
    """The service in a thread of this process (so that torch is loaded once), its workers in processes of theirs."""
    from dprnet.service.server import make_server
    from dprnet.service.state import Service

    door = socket.create_server(("127.0.0.1", 0))
    server = make_server(Service(config))
    thread = threading.Thread(target=server.run, args=([door],), daemon=True)
    thread.start()
    key = config.api_key.get_secret_value() if config.api_key else None
    running = Running(f"http://127.0.0.1:{door.getsockname()[1]}", config.folder, os.getpid(), key)
    try:
        yield running
    finally:
        server.should_exit = True
        thread.join(60)
        door.close()
        assert not thread.is_alive(), "the service ends when it is told to"


@contextlib.contextmanager
def process(folder: Path, bundle: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The service as people start it; its address is the first line it prints."""
    command = [sys.executable, "-m", "dprnet", "serve", "--folder", str(folder), "--bundle", str(bundle), "--port", "0"]
    child = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(60)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        assert child.stdout is not None
        child.stdout.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of these tests' own."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new table of jobs may be: a file, and a schema of a real PostgreSQL."""
    if request.param == "sqlite":
        return tmp_path / "jobs.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return f"{server.address}#t{secrets.token_hex(8)}"


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, random_bundle: Path, small_catalogue: Path) -> Path:
    """A gallery of the small catalogue."""
    from dprnet.pipeline import index_catalogue

    return index_catalogue(small_catalogue, tmp_path_factory.mktemp("gallery") / "shop", bundle=random_bundle).folder


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, random_bundle: Path, indexed: Path, moving_square: Path
) -> Iterator[Running]:
    """A service with one worker, the small gallery (a copy) and one sample."""
    with shop(tmp_path_factory.mktemp("service"), random_bundle, indexed, moving_square, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, random_bundle: Path, indexed: Path, moving_square: Path
) -> Iterator[Running]:
    """The same without a worker, whose start takes longer than most tests: what the service's own process does."""
    with shop(tmp_path_factory.mktemp("front"), random_bundle, indexed, moving_square, workers=0) as running:
        yield running


@contextlib.contextmanager
def shop(folder: Path, bundle: Path, indexed: Path, sample: Path, workers: int) -> Iterator[Running]:
    """A service with the small gallery (a copy) and one sample."""
    from dprnet.service.config import ServiceConfig

    samples = folder / "samples"
    samples.mkdir()
    shutil.copy(sample, samples / "square.mp4")
    shutil.copytree(indexed, folder / "shop")
    config = ServiceConfig(
        folder=folder / "data",
        bundle=str(bundle),
        galleries={"shop": folder / "shop"},
        samples=samples,
        workers=workers,
        threads=1,
    )
    with started(config) as running:
        yield running
