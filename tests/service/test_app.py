"""What is done before anybody asks, so that no request waits for it."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path
from typing import Any

import pydantic
import pytest

from dprnet.service.app import make_app
from dprnet.service.config import ServiceConfig
from dprnet.service.state import Service

from .conftest import DEADLINE_S


@pytest.fixture
def idle(tmp_path: Path, random_bundle: Path, indexed: Path) -> ServiceConfig:
    """Nobody works on its jobs."""
    return ServiceConfig(folder=tmp_path / "data", bundle=str(random_bundle), galleries={"shop": indexed}, workers=0)


async def asked(app: Any, path: str) -> int:
    """The status of an answer, without a server between."""
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "root_path": "",
             "raw_path": path.encode(), "query_string": b"", "headers": [(b"host", b"127.0.0.1")]}  # fmt: skip
    await app(scope, receive, send)
    return int(told[0]["status"])


def test_the_first_request_makes_no_routes(idle: ServiceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    make: Any = pydantic.TypeAdapter.__init__

    def counted(self: object, *args: Any, **more: Any) -> None:
        made.append(self)
        make(self, *args, **more)

    monkeypatch.setattr(pydantic.TypeAdapter, "__init__", counted)
    service = Service(idle)
    app = make_app(service)
    before = len(made)
    assert before > 100, "every parameter of every route has one"

    async def run() -> list[int]:
        async with service.running():
            return [await asked(app, path) for path in ("/v1/health", "/v1/jobs", "/")]

    assert asyncio.run(run()) == [200, 200, 200]
    assert len(made) == before


@pytest.mark.parametrize("own_process", [True, False])
def test_what_is_loaded_is_kept_out_of_garbage_collections_only_where_nothing_else_runs(
    idle: ServiceConfig, monkeypatch: pytest.MonkeyPatch, own_process: bool
) -> None:
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    service = Service(idle, own_process=own_process)

    async def run() -> None:
        async with service.running():
            until = time.monotonic() + DEADLINE_S
            while own_process and not frozen and time.monotonic() < until:
                await asyncio.sleep(0.02)

    asyncio.run(run())  # waits for the galleries to be open, too
    assert frozen == [True] * own_process


def test_a_worker_is_a_session_of_its_own(idle: ServiceConfig) -> None:
    service = Service(idle.model_copy(update={"workers": 1}))

    async def run() -> None:
        async with service.running():
            (pid,) = service.workers.pids
            assert os.getsid(pid) == pid, "Ctrl-C does not reach it, nor does it take of the service's share"

    asyncio.run(run())
