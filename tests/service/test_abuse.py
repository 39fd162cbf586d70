"""Senders that mean no good: thousands of parts, heads and bodies that trickle, a full disk; and logs without names."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dprnet.decode import DecodeLimits
from dprnet.service import uploads
from dprnet.service.config import ServiceConfig
from dprnet.service.guard import SLOW_AFTER_S, Body
from dprnet.service.problems import Problem

from .conftest import DEADLINE_S, Running, form, started
from .test_api import photo

PARTS = 10_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, random_bundle: Path, indexed: Path) -> Iterator[Running]:
    """A service of which nobody works on the jobs."""
    folder = tmp_path_factory.mktemp("abused")
    shutil.copytree(indexed, folder / "shop")
    config = ServiceConfig(
        folder=folder / "data", bundle=str(random_bundle), galleries={"shop": folder / "shop"}, workers=0
    )
    with started(config) as running:
        yield running


def open_files() -> set[str]:
    return {file.path for file in psutil.Process().open_files()}


@pytest.mark.parametrize("what", ["fields", "photos"])
def test_ten_thousand_parts(service: Running, what: str) -> None:
    fields = {f"field{n}": "x" for n in range(PARTS)} if what == "fields" else {}
    files = [] if what == "fields" else [(f"{n}.png", b"x") for n in range(PARTS)]
    body, kind = form(fields, files)
    before, begun = open_files(), time.monotonic()
    refused = service.ask("PUT", "/v1/galleries/shop/items?item_id=many", body, content_type=kind)
    assert (refused.status, refused.code) == (400, "bad_request"), refused.body
    assert "Too many" in refused.json["error"]["message"]
    assert time.monotonic() - begun < DEADLINE_S / 4
    assert open_files() <= before, "no temporary file stays open"
    assert service.ask("GET", "/v1/galleries/shop/items?q=many").json["total"] == 0


def test_a_part_without_an_end_is_refused(service: Running) -> None:
    body, kind = form({"title": "x" * 70_000}, [("a.png", photo())])
    refused = service.ask("PUT", "/v1/galleries/shop/items?item_id=long", body, content_type=kind)
    assert (refused.status, refused.code) == (400, "bad_request")


def test_a_body_that_trickles_is_given_up_though_it_never_falls_silent() -> None:
    async def trickle() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> None:
        body = Body(trickle, 1 << 20, 20.0)  # type: ignore[arg-type]
        await body()
        body._started -= SLOW_AFTER_S + 1  # as if a minute had passed
        await body()

    with pytest.raises(Problem) as refused:
        asyncio.run(read())
    assert (refused.value.status, refused.value.code) == (408, "too_slow")
    assert refused.value.headers["connection"] == "close"


def test_heads_that_trickle_keep_nobody_waiting(service: Running) -> None:
    lines = [socket.create_connection(("127.0.0.1", service.port), timeout=DEADLINE_S) for _ in range(100)]
    try:
        for line in lines:
            line.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        for _ in range(5):
            begun = time.monotonic()
            assert service.ask("GET", "/v1/jobs").status == 200
            for line in lines:
                line.sendall(b"x")
            assert time.monotonic() - begun < DEADLINE_S / 10
    finally:
        for line in lines:
            line.close()


def test_a_disk_that_fills_up_while_a_video_comes_in(tmp_path: Path) -> None:
    (tmp_path / "video").symlink_to("/dev/full")  # every write ends with ENOSPC

    async def chunks() -> AsyncIterator[bytes]:
        yield b"\0" * (1 << 20)

    with pytest.raises(Problem) as refused:
        asyncio.run(uploads.receive(chunks(), tmp_path / "video", DecodeLimits(), "look.mp4"))
    assert (refused.value.status, refused.value.code) == (503, "no_space")
    assert int(refused.value.headers["retry-after"]) > 0


def test_a_disk_without_room_is_said_before_anything_comes_in(
    service: Running, moving_square: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.send(moving_square)
    before = {path.name for path in (service.folder / "jobs").iterdir()}
    monkeypatch.setattr(uploads, "SPARE", 1 << 62)  # more than any disk has
    monkeypatch.setattr("dprnet.service.api_system.SPARE", 1 << 62)
    refused = service.ask("POST", "/v1/jobs", moving_square.read_bytes())
    assert (refused.status, refused.code) == (503, "no_space")
    assert int(refused.headers["retry-after"]) > 0
    assert {path.name for path in (service.folder / "jobs").iterdir()} == before
    unready = service.ask("GET", "/v1/ready")
    assert (unready.status, unready.code) == (503, "not_ready")
    assert "the disk is full" in unready.json["error"]["message"]
    assert service.ask("GET", "/v1/health").status == 200


def test_logs_hold_no_content(service: Running, moving_square: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "zanzibar"
    job = service.send(moving_square, f"name={secret}.mp4")
    service.ask("POST", f"/v1/jobs?name={secret}", b"no video, but zanzibar")
    service.ask("POST", f"/v1/search?whole=true&name={secret}", photo())
    service.ask("POST", f"/v1/search?name={secret}", b"zanzibar")
    body, kind = form({"title": secret}, [(f"{secret}.png", photo())])
    address = f"/v1/galleries/shop/items?item_id={secret}"
    assert service.ask("PUT", address, body, content_type=kind).status == 200
    for path in (f"/{secret}", f"/v1/jobs/{secret}", f"/v1/galleries/shop/items?q={secret}", job["links"]["page"]):
        service.ask("GET", path, user_agent=secret, referer=f"http://{secret}.example/")
    service.ask("DELETE", address)
    assert "/v1/jobs/{job_id}" in caplog.text, "requests are logged, by their route"
    assert secret not in caplog.text
    assert job["id"] not in caplog.text, "an id opens a video of people"


def test_by_default_only_this_machine_is_spoken_to(service: Running, tmp_path: Path) -> None:
    assert ServiceConfig(folder=tmp_path).host == "127.0.0.1"
    service.ask("POST", "/v1/search?whole=true", photo())
    lines = psutil.Process().net_connections("inet")
    assert {line.raddr.ip for line in lines if line.raddr} <= {"127.0.0.1", "::1"}, "nothing is told to anybody else"
    paths = service.ask("GET", "/v1/openapi.json").json["paths"]
    takes = {path for path, methods in paths.items() if {"post", "put", "patch"} & set(methods)}
    assert not [path for path in takes if "bundle" in path or "model" in path], "no model comes in"


def test_a_limit_is_set_by_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from dprnet.cli import run

    for limit, words in (
        ("max_qeue=3", "did you mean max_queue?"),
        ("api_key=3", "there is no such limit"),
        ("max_queue=many", "'many' is no number"),
        ("max_queue=0", "max_queue: Input should be greater than or equal to 1"),
        ("max_job_s=nan", "max_job_s"),
    ):
        assert run(["serve", "--folder", str(tmp_path), "--limit", limit]) == 2
        assert words in capsys.readouterr().err


def test_a_name_in_any_script_comes_back_as_it_was(service: Running, moving_square: Path) -> None:
    name = "\N{ARABIC LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}4pm.\N{PILE OF POO}\x07.mp4"
    job = service.send(moving_square, f"name={urllib.parse.quote(name)}")
    assert job["name"] == name
    assert service.ask("DELETE", job["links"]["self"]).status == 204
