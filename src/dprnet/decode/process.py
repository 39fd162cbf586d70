"""The child process of a video: how it starts and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Protocol

_PIPE_BYTES = 1 << 20


class Child(Protocol):
    """What is asked of a decoder's process, however it came to be: the part of ``subprocess.Popen`` that is used."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def kill(self) -> None:
        """Send SIGKILL, if it still runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or less than 0 for a signal; ``TimeoutExpired`` after so many seconds."""


def command(module: str) -> list[str]:
    """The words that run a module of ours."""
    return [sys.executable, "-P", "-m", module]


def surroundings() -> dict[str, str]:
    """The environment of a process that decodes."""
    home = str(Path(__file__).parents[2])
    paths = [home] if Path(home).name not in {"site-packages", "dist-packages"} else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OPENBLAS_NUM_THREADS": "1",  # numpy only moves bytes here, and its threads cost address space
        "MALLOC_ARENA_MAX": "2",
    }


def start(
    request: dict[str, Any], module: str = "dprnet.decode.child", keep: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    """A process that has been told what to decode.

    Args:
        module: what it runs.
        keep: descriptors of ours that it has, too.
    """
    process = subprocess.Popen(
        command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=surroundings(),
        pass_fds=keep,
        start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
    )
    tell(process, request)
    return process


def tell(process: Child, request: dict[str, Any]) -> None:
    """Send it its line; a process that cannot be told is ended, one that has died says so by its messages."""
    assert process.stdin is not None, "the decoder's input is a pipe"
    assert process.stdout is not None, "the decoder's output is a pipe"
    try:
        with contextlib.suppress(OSError):  # a system without larger pipes
            fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        line = json.dumps(request).encode() + b"\n"
        sent = 0
        while sent < len(line):  # a raw pipe may take a part
            sent += process.stdin.write(line[sent:]) or 0
    except BrokenPipeError:
        pass  # it died at once: the first message will not come
    except BaseException:
        stop(process, os.getpid())
        raise


def stop(process: Child, owner: int) -> None:
    """Kill and bury it, if this process (``owner``) started it."""
    if os.getpid() != owner:
        return  # a forked copy of us does not own the decoder
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def fate(process: Child) -> str:
    """How it ended, in words."""
    try:
        code = process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return "its messages broke off"
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
