"""The child process: it dies, hangs, starves; we say so, live on, and leave nothing behind (V9, R2)."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from dprnet.core.errors import BadVideo, LimitExceeded
from dprnet.decode import DecodeLimits, frames_at, open_video
from dprnet.decode.forkserver import DECODER
from dprnet.decode.video import Video


def pid(video: Video) -> int:
    return video._process.pid


def gone(process: int, within_s: float = 2.0) -> bool:
    """Has the process ended (a zombie that nobody has buried yet counts)?"""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_decoder_that_dies_before_the_first_frame(blow: signal.Signals, large_film: Path) -> None:
    video = open_video(large_film, "1f")
    os.kill(pid(video), blow)
    with pytest.raises(BadVideo, match=blow.name) as caught:
        list(video)
    assert caught.value.reason == "decoder_killed"
    assert gone(pid(video))


def test_a_decoder_that_dies_on_the_way(films: Any) -> None:
    path = films.make(frames=300)
    with open_video(path, "1f", limits=DecodeLimits(queue_bytes=0)) as video:
        frames = [next(video)]
        os.kill(pid(video), signal.SIGKILL)  # it is blocked: the pipe holds a mebibyte
        frames += list(video)
        record = video.record()
    assert 1 <= len(frames) < 300
    assert [f.index for f in frames] == list(range(len(frames)))
    assert record.status == "partial"
    assert "SIGKILL" in record.note
    assert record.decoded_until_s >= frames[-1].time_s


def test_a_decoder_that_hangs(large_film: Path) -> None:
    video = open_video(large_film, "1f", limits=DecodeLimits(max_silence_s=0.4))
    os.kill(pid(video), signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(BadVideo, match="no sign") as caught:
        list(video)
    assert caught.value.reason == "decoder_killed"
    assert time.monotonic() - start < 10
    assert gone(pid(video))


def test_a_slow_reader_is_not_a_hanging_decoder(films: Any) -> None:
    path = films.make(frames=200)
    start = time.monotonic()
    with open_video(path, "1f", limits=DecodeLimits(max_silence_s=1.0, max_wall_s=60, queue_bytes=0)) as video:
        next(video)
        time.sleep(1.2)
        assert len(list(video)) == 199
        assert video.record().status == "complete"
        waited_s = 60 - video._receiver._left_s
    assert waited_s < time.monotonic() - start - 1.1, "only our waiting for it counts, not its waiting for us"


def test_memory_is_limited(large_film: Path) -> None:
    with open_video(large_film, "1f", limits=DecodeLimits(max_memory_bytes=1 << 30)) as video:
        limits = Path(f"/proc/{pid(video)}/limits").read_text(encoding="utf-8")
        assert f"{1 << 30}" in next(line for line in limits.splitlines() if line.startswith("Max address space"))
        assert "3610" in next(line for line in limits.splitlines() if line.startswith("Max cpu time"))


@pytest.mark.slow
def test_a_video_that_asks_for_too_much_memory(greedy_film: Path, film: Path) -> None:
    frames = []
    with open_video(greedy_film, "1f", limits=DecodeLimits(max_memory_bytes=1 << 30)) as video:
        with pytest.raises(LimitExceeded, match="too much memory") as caught:
            frames.extend(frame.index for frame in video)
        assert gone(pid(video))
    assert caught.value.reason == "limit:memory"
    assert frames == list(range(len(frames)))
    assert len(frames) < 24
    # Of frame 23 alone none before it is converted, so that the decoder lacks memory itself: libav says "invalid data".
    with pytest.raises(LimitExceeded, match="too much memory") as caught:
        list(frames_at(greedy_film, [23], limits=DecodeLimits(max_memory_bytes=1 << 30)))
    assert caught.value.reason == "limit:memory"
    with open_video(film, "48f", limits=DecodeLimits(max_memory_bytes=1 << 30)) as video:
        assert len(list(video)) == 2, "the next one has its own"


def test_leaving_early_leaves_no_process(film: Path) -> None:
    with open_video(film, "1f") as video:
        next(video)
    assert gone(pid(video), 0.1)
    assert list(video) == []
    record = video.record()
    assert (record.status, record.frames) == ("partial", 1)
    assert "not read to its end" in record.note


def test_an_exception_leaves_no_process(film: Path) -> None:
    videos = []

    def interrupted() -> None:
        with open_video(film, "1f") as video:
            videos.append(video)
            next(video)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gone(pid(videos[0]), 0.1)


def test_a_forgotten_video_leaves_no_process(film: Path) -> None:
    video = open_video(film, "1f")
    child = pid(video)
    del video
    gc.collect()
    assert gone(child, 0.5)


def test_a_second_pass_that_is_dropped_leaves_no_process(film: Path) -> None:
    before = decoders()
    frames = frames_at(film, range(96))
    next(frames)
    assert len(decoders() - before) == 1
    frames.close()
    assert decoders() == before


def decoders() -> set[int]:
    return {one.pid for one in psutil.Process().children(recursive=True) if one.name() == DECODER}


PARENT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
from dprnet.decode import open_video
with open_video(sys.argv[1], "1f") as video:
    next(video)
    print(video._process.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_parent_that_is_killed_leaves_no_process(blow: signal.Signals, large_film: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(large_film)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child, 0.05)
        parent.send_signal(blow)
        parent.wait(timeout=30)
    assert gone(child)


def test_the_light_way_in() -> None:
    code = (
        "import sys, dprnet.decode.child as child; "
        "assert not {'torch', 'pydantic', 'av.video', 'PIL'} & set(sys.modules), 'the child starts light'; "
        "import dprnet.decode.video; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_of_the_child_is_trusted() -> None:
    from dprnet.decode import wire

    read, write = os.pipe()
    try:
        receiver = wire.Receiver(read, max_silence_s=1, max_wall_s=1, max_pixels=100)
        os.write(write, wire._HEAD.pack(wire.FRAME, 2, 301) + b"{}")
        with pytest.raises(wire.Closed, match="size"):
            receiver.receive()
        os.write(write, b"")
        os.write(write, wire._HEAD.pack(wire.FRAME, 2, 0) + b"[]")
        os.read(read, 2)
        with pytest.raises(wire.Closed, match="head"):
            receiver.receive()
    finally:
        os.close(read)
        os.close(write)
