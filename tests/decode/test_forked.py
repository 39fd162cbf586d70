"""The process that decoders are forked from: what they share, what they do not, and what happens when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dprnet.core.errors import BadVideo
from dprnet.decode import DecodeLimits, decode_in_process, forked, open_video
from dprnet.decode.forked import FORKSERVER, ForkServer
from dprnet.decode.forkserver import DECODER
from dprnet.decode.video import Video


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    """One of its own for a test that harms it."""
    server = ForkServer()
    monkeypatch.setattr("dprnet.decode.video.FORKSERVER", server)
    yield server
    server.close()


def of(video: Video) -> psutil.Process:
    return psutil.Process(video._process.pid)


def open_files(process: psutil.Process) -> set[str]:
    links = Path(f"/proc/{process.pid}/fd").iterdir()
    return {str(link.readlink()) for link in links}


def test_decoders_are_forked_from_one_process(film: Path) -> None:
    with open_video(film, "1f") as first, open_video(film, "1f") as second:
        next(first)
        next(second)
        assert of(first).pid != of(second).pid
        parent = of(first).parent()
        assert parent == of(second).parent()
        assert parent is not None
        assert parent.parent() == psutil.Process()
        assert of(first).name() == DECODER
        assert parent.name() != DECODER
        assert os.getpgid(of(first).pid) == of(first).pid, "Ctrl-C does not reach it"
        assert os.getsid(of(first).pid) == of(first).pid, "what is shared out between sessions is shared with it"


def test_the_frames_are_those_without_a_process(film: Path) -> None:
    with open_video(film, "7f") as video:
        seen = [(frame.index, frame.time_s, frame.image.tobytes()) for frame in video]
    plain = [(frame.index, frame.time_s, frame.image.tobytes()) for frame in decode_in_process(film, "7f")]
    assert seen == plain


def test_a_decoder_has_nothing_of_the_others(film: Path) -> None:
    with open_video(film, "1f") as first:
        next(first)
        with open_video(film, "1f") as second:
            next(second)
            mine = {name for name in open_files(of(second)) if name.startswith(("pipe:", "socket:"))}
            others = {name for name in open_files(of(first)) if name.startswith(("pipe:", "socket:"))}
            assert not mine & others
            assert not {name for name in mine if name.startswith("socket:")}, "the way to the server is closed"
            assert len(mine) == 2, "its input and its output"


def test_an_end_of_one_is_no_end_of_another(film: Path, large_film: Path) -> None:
    with open_video(film, "1f") as first, open_video(large_film, "1f") as second:
        next(first)
        os.kill(of(second).pid, signal.SIGKILL)
        with pytest.raises(BadVideo, match="SIGKILL"):
            list(second)
        assert len(list(first)) == 95


def test_limits_are_a_decoders_own(film: Path) -> None:
    with open_video(film, "1f", limits=DecodeLimits(max_memory_bytes=1 << 30)) as small:
        next(small)
        server = of(small).parent()
        assert server is not None
        assert of(small).rlimit(psutil.RLIMIT_AS)[1] == 1 << 30
        assert server.rlimit(psutil.RLIMIT_AS)[1] == psutil.Process().rlimit(psutil.RLIMIT_AS)[1]
    with open_video(film, "1f", limits=DecodeLimits(max_memory_bytes=2 << 30)) as large:
        assert of(large).rlimit(psutil.RLIMIT_AS)[1] == 2 << 30


def test_a_server_that_was_killed_is_started_again(film: Path, server: ForkServer) -> None:
    with open_video(film, "1f") as video:
        next(video)
        first = of(video).parent()
        assert first is not None
        first.kill()
        assert len(list(video)) == 95, "a decoder that runs goes on without it"
    with open_video(film, "1f") as video:
        second = of(video).parent()
        assert len(list(video)) == 96
    assert second is not None
    assert second.pid != first.pid


def test_how_an_orphan_ended_is_not_known(large_film: Path, server: ForkServer) -> None:
    with open_video(large_film, "1f") as video:
        parent = of(video).parent()
        assert parent is not None
        parent.kill()
        os.kill(of(video).pid, signal.SIGSEGV)
        with pytest.raises(BadVideo) as caught:
            list(video)
    assert caught.value.reason == "decoder_killed"


@pytest.mark.parametrize("means", ["no pidfd", "a server that does not start", "a server that says nothing"])
def test_where_none_can_be_forked_one_is_started(
    means: str, film: Path, server: ForkServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if means == "no pidfd":
        monkeypatch.delattr(os, "pidfd_open")
    elif means == "a server that does not start":
        monkeypatch.setattr(forked, "command", lambda module: [sys.executable, "-c", "raise SystemExit(1)"])
    else:
        monkeypatch.setattr(forked, "command", lambda module: [sys.executable, "-c", "import time; time.sleep(60)"])
        monkeypatch.setattr(forked, "START_S", 0.2)
    with open_video(film, "1f") as video:
        assert isinstance(video._process, subprocess.Popen)
        assert len(list(video)) == 96


def test_many_at_once_from_many_threads(film: Path) -> None:
    counts = []

    def decode() -> None:
        with open_video(film, "8f") as video:
            counts.append(sum(1 for _ in video))

    threads = [threading.Thread(target=decode) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == [12] * 12


def test_their_processor_seconds_are_counted(large_film: Path) -> None:
    before = FORKSERVER.processor_s()
    with open_video(large_film, "1f", limits=DecodeLimits(queue_bytes=0)) as video:
        seen = [next(video) for _ in range(10)]
        used = of(video).cpu_times()
        assert FORKSERVER.processor_s() == before, "only when it has ended"
    assert len(seen) == 10
    assert FORKSERVER.processor_s() - before >= used.user + used.system - 0.02 > 0, "which counts in hundredths"


def test_no_decoder_stays_a_zombie(film: Path) -> None:
    for _ in range(3):
        with open_video(film, "1f") as video:
            next(video)
            server = of(video).parent()
    assert server is not None
    assert [one for one in server.children() if one.status() == psutil.STATUS_ZOMBIE] == []


COPY = """
import os, sys
from dprnet.decode import open_video
with open_video(sys.argv[1], "1f") as video:
    next(video)
    if not os.fork():
        with open_video(sys.argv[1], "1f") as other:
            assert len(list(other)) == 96
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0, "a forked copy decodes by a server of its own"
    assert len(list(video)) == 95, "and does not end the decoders of the first"
print("whole")
"""


def test_a_forked_copy_of_us_has_a_server_of_its_own(film: Path) -> None:
    done = subprocess.run([sys.executable, "-c", COPY, film], capture_output=True, text=True, timeout=60)
    assert done.stdout == "whole\n", done.stderr


HELD = """
import os, sys, threading
from dprnet.decode import open_video
from dprnet.decode.forked import FORKSERVER
held, enough = threading.Event(), threading.Event()
def hold():
    with FORKSERVER._lock:
        held.set()
        enough.wait()
threading.Thread(target=hold).start()
held.wait()
if not os.fork():
    with open_video(sys.argv[1], "1f") as video:
        assert len(list(video)) == 96
    os._exit(0)
enough.set()
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_copy_forked_while_another_thread_starts_a_decoder_does_not_wait_for_it(film: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HELD, film], capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n", done.stderr


EXIT = """
import sys
from dprnet.decode import open_video, prepare
from dprnet.decode.forked import FORKSERVER
prepare()
if sys.argv[2:]:
    video = open_video(sys.argv[1], "1f")
    next(video)
    print(video._process.pid)
print(FORKSERVER._process.pid)
"""


@pytest.mark.parametrize("decoding", [False, True])
def test_an_interpreter_that_ends_leaves_nothing(decoding: bool, film: Path) -> None:
    words = [sys.executable, "-W", "error", "-c", EXIT, str(film), *(["decode"] if decoding else [])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for pid in map(int, done.stdout.split()):
        end = time.monotonic() + 2
        while psutil.pid_exists(pid) and time.monotonic() < end:
            time.sleep(0.02)
        assert not psutil.pid_exists(pid)
