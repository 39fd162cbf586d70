"""Whole watches, of real streams: garments are told of while the stream still runs."""

from __future__ import annotations

import copy
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dprnet.core.errors import BadVideo, MissingFile
from dprnet.core.images import read_image
from dprnet.live.lines import write_lines
from dprnet.live.watch import Watch, Watcher, WatchEvent
from dprnet.pipeline import VideoToShop

from .conftest import DEADLINE_S, SECONDS, Serving, give


def with_config(watcher: Watcher, **changes: Any) -> Watcher:
    other = copy.copy(watcher)
    other.config = watcher.config.model_copy(update=changes)
    return other


def kinds(events: list[WatchEvent]) -> list[str]:
    return [event.kind for event in events]


def test_a_file_that_is_whole_gives_what_a_search_finds(
    watcher: Watcher, moving_square: Path, random_bundle: Path
) -> None:
    watch = with_config(watcher, idle_s=0.5).watch(str(moving_square))
    events = list(watch)
    report = VideoToShop.from_pretrained(random_bundle).search(moving_square)
    ours, theirs = watch.garments.picks, report.picks
    assert len(ours) == len(theirs) > 0
    assert ours.instance.tolist() == theirs.instance.tolist()
    assert ours.best.tolist() == theirs.best.tolist()
    assert ours.detections.frame_index.tolist() == theirs.detections.frame_index.tolist()
    assert events[0].kind == "start"
    assert events[-1].kind == "end"
    assert events[-1].told["garments"] == theirs.picked.sum()
    assert events[-1].told["frames"] == report.sources[0].frames


def test_garments_are_told_of_while_the_stream_still_comes(watcher: Watcher, walking: Path, tmp_path: Path) -> None:
    pipe, told, early = tmp_path / "stream", threading.Event(), []
    os.mkfifo(pipe)
    data = walking.read_bytes()

    def write() -> None:
        with pipe.open("wb") as file:
            file.write(data[: 2 * len(data) // 3])
            file.flush()
            early.append(told.wait(DEADLINE_S))  # nothing more comes before a garment was told of
            file.write(data[2 * len(data) // 3 :])

    writer = threading.Thread(target=write)
    writer.start()
    events = []
    for event in watcher.watch(str(pipe)):
        events.append(event)
        if event.kind == "new":
            told.set()
    writer.join()
    assert early == [True]
    new = [event for event in events if event.kind == "new"]
    assert new[0].told["garment"] == 1, "numbers begin with 1, in the order of telling"
    assert new[0].time_s - new[0].told["first_seen_s"] <= 1.0
    assert events[-1].told["frames"] == 2 * SECONDS
    assert new[0].jpeg is not None
    assert min(read_image(new[0].jpeg, name="view").image.shape[:2]) > 0
    line = json.loads(json.dumps(new[0].to_json()))
    assert set(line) >= {"event", "at", "stream_s", "garment", "label", "time_s", "quality", "views", "matches"}


@pytest.mark.slow
def test_a_file_that_grows_is_followed_to_its_end(watcher: Watcher, walking: Path, tmp_path: Path) -> None:
    growing, told, early = tmp_path / "growing.ts", threading.Event(), []
    data = walking.read_bytes()
    half = len(data) // 2
    growing.write_bytes(data[:half])

    def write() -> None:
        early.append(told.wait(DEADLINE_S))
        with growing.open("ab") as file:
            for place in range(half, len(data), 20_000):
                file.write(data[place : place + 20_000])
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    events = []
    for event in with_config(watcher, idle_s=8.0).watch(str(growing)):
        events.append(event)
        if event.kind == "new":
            told.set()
    writer.join()
    assert early == [True], "a garment was told of when half of the file was there"
    assert events[-1].told["frames"] == 2 * SECONDS


def test_a_finished_playlist_is_watched_to_its_end(watcher: Watcher, segments: Path, serving: Serving) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        give(handler, (segments / Path(handler.path).name).read_bytes())

    with serving(answer) as address:
        events = list(watcher.watch(f"{address}/live.m3u8"))
    assert "new" in kinds(events)
    assert events[-1].told["frames"] == 2 * SECONDS
    assert events[-1].told["breaks"] == 0


def test_a_live_playlist_is_followed_as_it_grows(watcher: Watcher, segments: Path, serving: Serving) -> None:
    whole = (segments / "live.m3u8").read_text()
    parts = whole.split("#EXTINF")
    told = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path.endswith(".m3u8"):
            text = whole if told.is_set() else "#EXTINF".join(parts[:4])  # three segments, and no end
            give(handler, text.encode(), "application/vnd.apple.mpegurl")
        else:
            give(handler, (segments / Path(handler.path).name).read_bytes())

    events = []
    with serving(answer) as address:
        for event in watcher.watch(f"{address}/live.m3u8"):
            events.append(event)
            if event.kind == "new":
                told.set()
    assert told.is_set(), "told of while the playlist had no end"
    assert events[-1].told["frames"] == 2 * SECONDS


def test_a_stream_that_breaks_off_is_taken_up_again(watcher: Watcher, walking: Path, serving: Serving) -> None:
    data, asked = walking.read_bytes(), []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        if len(asked) > 2:
            handler.send_error(503)
            return
        handler.send_response(200)
        handler.end_headers()  # no length: it ends when it ends
        handler.wfile.write(data[: len(data) // 2] if len(asked) == 1 else data)

    events = []
    with serving(answer) as address, pytest.raises(BadVideo) as lost:  # noqa: PT012 - it comes while iterating
        for event in with_config(watcher, give_up_s=2.0, silence_s=60.0).watch(f"{address}/camera.ts"):
            events.append(event)  # noqa: PERF402 - what came before the end is wanted
    assert lost.value.reason == "lost"
    after = [kind for kind in kinds(events) if kind in {"lost", "back"}]
    assert after[:3] == ["lost", "back", "lost"]
    times = [event.time_s for event in events]
    assert times == sorted(times), "the clock goes on"
    seen = [event for event in events if event.kind in {"new", "better"}]
    assert len({event.told["garment"] for event in seen if event.kind == "new"}) == kinds(events).count("new")


def test_a_reader_that_is_killed_is_replaced(watcher: Watcher, walking: Path, serving: Serving) -> None:
    import psutil

    data, asked, go = walking.read_bytes(), [], threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        if len(asked) > 2:
            handler.send_error(503)
            return
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data[: 2 * len(data) // 3])
        if len(asked) == 1:
            go.wait(DEADLINE_S)

    before = {child.pid for child in psutil.Process().children()}
    killed, events = False, []
    with serving(answer) as address, pytest.raises(BadVideo):  # noqa: PT012
        for event in with_config(watcher, give_up_s=2.0, silence_s=60.0).watch(f"{address}/camera.ts"):
            events.append(event)
            if event.kind == "new" and not killed:
                killed = True
                (child,) = [one for one in psutil.Process().children() if one.pid not in before]
                child.kill()
            if event.kind == "lost":
                go.set()
    assert [kind for kind in kinds(events) if kind in {"lost", "back"}][:2] == ["lost", "back"]
    assert "SIGKILL" in next(event.told["why"] for event in events if event.kind == "lost")
    assert {child.pid for child in psutil.Process().children()} <= before, "no reader stays"


def test_a_server_that_says_nothing_is_given_up(watcher: Watcher) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"http://127.0.0.1:{door.getsockname()[1]}/live"
        with pytest.raises(BadVideo) as refused:
            list(with_config(watcher, silence_s=2.0).watch(address))
    assert refused.value.reason == "unreachable"


def test_stopping_from_another_thread_ends_a_watch_that_waits(watcher: Watcher, walking: Path, tmp_path: Path) -> None:
    growing = tmp_path / "still.ts"
    shutil.copy(walking, growing)
    watch: Watch = watcher.watch(str(growing))
    events = []
    for event in watch:
        events.append(event)
        if event.kind == "new":
            threading.Timer(0.5, watch.stop).start()  # by then it waits for more of the file, for a very long time
    assert kinds(events)[-1] == "end"


def test_a_playlist_opens_no_file(
    watcher: Watcher, walking: Path, segments: Path, tmp_path: Path, serving: Serving
) -> None:
    whole = (segments / "live.m3u8").read_text()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        local = "\n".join(f"file://{segments / line}" if line.endswith(".ts") else line for line in whole.splitlines())
        give(handler, local.encode(), "application/vnd.apple.mpegurl")

    with serving(answer) as address, pytest.raises(BadVideo):
        list(with_config(watcher, silence_s=10.0).watch(f"{address}/live.m3u8"))
    (tmp_path / "list.m3u8").write_text(whole.replace("part", f"{segments}/part"))
    (tmp_path / "list.ts").write_text(f"ffconcat version 1.0\nfile '{walking}'\n")
    for name in ("list.m3u8", "list.ts"):
        with pytest.raises(BadVideo):
            list(with_config(watcher, idle_s=0.5).watch(str(tmp_path / name)))


@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "gopher://x/", "concat:a|b", "/nowhere/at.all", "", "/tmp", "/dev/null"]
)
def test_what_is_not_watched_is_refused_at_once(watcher: Watcher, text: str) -> None:
    with pytest.raises((BadVideo, MissingFile)):
        watcher.watch(text)


def test_lines_and_pictures(watcher: Watcher, moving_square: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    write_lines(with_config(watcher, idle_s=0.5).watch(str(moving_square)), lines.append, tmp_path / "out")
    events = [json.loads(line) for line in lines]
    assert all(line.isascii() for line in lines)
    pictures = {event["garment"]: event["picture"] for event in events if event["event"] in {"new", "better"}}
    assert pictures
    for number, picture in pictures.items():
        assert picture == str(tmp_path / "out" / f"{number}.jpg")
        assert read_image(Path(picture)).image.size


@pytest.mark.slow
def test_a_camera_may_be_piped_in(random_bundle: Path, walking: Path) -> None:
    command = [sys.executable, "-m", "dprnet", "watch", "-", "--bundle", str(random_bundle)]
    with walking.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[0]["event"], events[0]["source"], events[-1]["event"]) == ("start", "-", "end")
