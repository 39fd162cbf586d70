"""The process that decoders are forked from: ``python -m dprnet.decode.forkserver``, started by :mod:`.forked` alone.

It loads PyAV and numpy once, opens no video itself, and forks a decoder (:mod:`dprnet.decode.child`) for each request.
A request is one byte with three descriptors over the socket that is its standard input: the decoder's input, its
output, and a pipe for the answers, a line of JSON each: the decoder's number, and when it has ended, how.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import NoReturn

import av  # noqa: F401 - loaded here once, for the decoders

from dprnet.decode import child

DECODER = "dprnet-decoder"  # what ps and top call a decoder; at most 15 characters
DESCRIPTORS = 3
_NO_FILES = 3  # the first descriptor that is not standard input, output or error


def main() -> None:
    """Serve until the other end of the socket closes; decoders see to their own end then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    link = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    gc.freeze()  # what is loaded stays as it is: a collection in a decoder would copy the pages
    running: dict[int, int] = {}
    with selectors.DefaultSelector() as ready:
        ready.register(link, selectors.EVENT_READ)
        ready.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is link:
                    pid, answers = _serve(link)
                    running[pid] = answers
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 1 << 12)
            _bury(running)


def _serve(link: socket.socket) -> tuple[int, int]:
    """Fork a decoder; its number and the pipe on which to say how it ended."""
    said, descriptors, _, _ = socket.recv_fds(link, 1, DESCRIPTORS)
    if not said:
        os._exit(0)
    given, output, answers = descriptors
    pid = os.fork()
    if not pid:
        _become_decoder(given, output)
    os.close(given)
    os.close(output)
    _answer(answers, {"pid": pid})
    return pid, answers


def _become_decoder(given: int, output: int) -> NoReturn:
    """What a program started afresh would find: its pipes as standard input and output, nothing else open."""
    try:
        os.setsid()  # Ctrl-C is for the parent; and a fair share of the processor, beside however many threads it has
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(given, 0)
        os.dup2(output, 1)
        os.closerange(_NO_FILES, os.sysconf("SC_OPEN_MAX"))
        with contextlib.suppress(OSError):  # the words of its command line are the server's
            Path("/proc/self/comm").write_text(DECODER, encoding="utf-8")
        child.main()
    finally:
        os._exit(1)  # never back into the server's loop


def _bury(running: dict[int, int]) -> None:
    """Say of every decoder that has ended how it did and what it cost."""
    while running:
        pid, status, used = os.wait4(-1, os.WNOHANG)
        if not pid:
            return
        answers = running.pop(pid)
        _answer(answers, {"code": os.waitstatus_to_exitcode(status), "processor_s": used.ru_utime + used.ru_stime})
        os.close(answers)


def _answer(answers: int, said: dict[str, float]) -> None:
    with contextlib.suppress(OSError):  # nobody waits any more
        os.write(answers, json.dumps(said).encode() + b"\n")  # a short line is written whole


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler, so that the descriptor is woken."""


if __name__ == "__main__":
    main()
