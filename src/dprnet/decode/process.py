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
from typing import Any

_PIPE_BYTES = 1 << 20


def start(
    request: dict[str, Any], module: str = "dprnet.decode.child", keep: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    """A decoder process that has been told what to decode.

    Args:
        module: what it runs.
        keep: descriptors of ours that it has, too.
    """
    home = str(Path(__file__).parents[2])
    paths = [home] if Path(home).name not in {"site-packages", "dist-packages"} else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OPENBLAS_NUM_THREADS": "1",  # numpy only moves bytes here, and its threads cost address space
        "MALLOC_ARENA_MAX": "2",
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=environment,
        pass_fds=keep,
        process_group=0,  # Ctrl-C is for the parent, which then ends the child
    )
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
    return process


def stop(process: subprocess.Popen[bytes], owner: int) -> None:
    """Kill and bury it, if this process (``owner``) started it."""
    if os.getpid() != owner:
        return  # a forked copy of us does not own the decoder
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def fate(process: subprocess.Popen[bytes]) -> str:
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
