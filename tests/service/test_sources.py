"""Live sources: listed by the operator, asked for by name, watched in a process of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dprnet.core.errors import BadRecipe
from dprnet.service.arguments import named_sources
from dprnet.service.config import ServiceConfig

from .conftest import DEADLINE_S, Running, started


@pytest.fixture(scope="module")
def watching(
    tmp_path_factory: pytest.TempPathFactory, random_bundle: Path, indexed: Path, moving_square: Path
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("watching")
    config = ServiceConfig(
        folder=folder / "data",
        bundle=str(random_bundle),
        galleries={"shop": indexed},
        sources={"door": str(moving_square), "yard": "http://127.0.0.1:1/nothing.m3u8"},
        workers=0,
        threads=1,
    )
    with started(config) as running:
        yield running


def until(service: Running, name: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        source: dict[str, Any] = service.ask("GET", f"/v1/sources/{name}").json
        if fits(source):
            return source
        assert time.monotonic() < deadline, source
        time.sleep(0.2)


def test_a_listed_source_is_watched_by_its_name(watching: Running) -> None:
    listed = watching.ask("GET", "/v1/sources").json["sources"]
    assert [(one["name"], one["state"]) for one in listed] == [("door", "stopped"), ("yard", "stopped")]
    assert b"127.0.0.1:1" not in watching.ask("GET", "/v1/sources").body, "an address is nobody's business"
    begun = watching.ask("POST", "/v1/sources/door/start?gallery=shop", b"")
    assert (begun.status, begun.json["state"]) == (200, "starting")
    again = watching.ask("POST", "/v1/sources/door/start", b"")
    assert (again.status, again.code) == (409, "watched_already")
    ended = until(watching, "door", lambda source: source["state"] == "ended")
    (first, *_) = ended["garments"]
    assert first["matches"], "the gallery was asked"
    assert watching.ask("GET", first["picture"]).body[:2] == b"\xff\xd8"
    page = watching.ask("GET", "/live/door").body.decode()
    assert "The stream has ended" in page
    assert first["picture"] in page
    assert watching.ask("DELETE", "/v1/sources/door/garments").status == 204
    assert watching.ask("GET", "/v1/sources/door").json["garments"] == []
    assert watching.ask("GET", first["picture"]).status == 404


def test_a_source_that_cannot_be_reached_says_so(watching: Running) -> None:
    watching.ask("POST", "/v1/sources/yard/start", b"")
    failed = until(watching, "yard", lambda source: source["state"] == "failed")
    assert "nothing.m3u8: cannot be opened" in failed["note"]


def test_a_stopped_source_leaves_no_process(watching: Running) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    watching.ask("POST", "/v1/sources/door/start", b"")
    begun = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert begun
    assert watching.ask("POST", "/v1/sources/door/stop", b"").json["state"] in {"stopped", "ended"}
    deadline = time.monotonic() + DEADLINE_S
    while begun & {child.pid for child in psutil.Process().children(recursive=True)}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_only_names_are_taken(watching: Running) -> None:
    for name in ("nobody", "http:%2F%2F127.0.0.1%2F", "..%2Fjobs"):
        assert watching.ask("POST", f"/v1/sources/{name}/start", b"").status in {404, 422}
    assert watching.ask("POST", "/v1/sources/door/start?gallery=none", b"").code == "missing_file"
    assert watching.ask("GET", "/v1/sources/door/pictures/99").status == 404


def test_sources_are_named_apart() -> None:
    assert named_sources(["a=-", "b=rtsp://x/y=z"]) == {"a": "-", "b": "rtsp://x/y=z"}
    for wrong in (["rtsp://x"], ["a=x", "a=y"], ["a="]):
        with pytest.raises(BadRecipe):
            named_sources(wrong)
