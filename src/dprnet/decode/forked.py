"""Decoders that are forked from one process which has loaded what they need: a start costs a hundredth of a second."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from dprnet.decode.process import Child, command, start, stop, surroundings, tell
from dprnet.decode.wire import START_S

log = logging.getLogger(__name__)

_SIGN_S = 5.0  # from its end until the server has said how it ended


class Forked:
    """A decoder that is not a child of ours but of our server; behaves as ``subprocess.Popen`` (:class:`Child`)."""

    def __init__(self, given: int, output: int, answers: int, spent: Callable[[float], None]) -> None:
        """
        Args:
            given, output, answers: our ends of the pipes, which it owns from now on.
            spent: is told its processor seconds once it has ended.
        """
        self._spent = spent
        self.stdin: IO[bytes] | None = open(given, "wb", buffering=0)  # noqa: SIM115 - owned, closed by stop
        self.stdout: IO[bytes] | None = open(output, "rb", buffering=0)  # noqa: SIM115
        self._answers = open(answers, "rb", buffering=0)  # noqa: SIM115
        self._handle: int | None = None
        self._code: int | None = None
        self.pid = 0

    def forked(self, timeout: float) -> bool:
        """Wait until it exists; False where the server has ended or says nothing."""
        said = self._answer(timeout)
        if said is None:
            return False
        self.pid = int(said["pid"])
        with contextlib.suppress(OSError):  # it has ended already
            # Unlike a number, a handle never means another process that got the same number later.
            self._handle = os.pidfd_open(self.pid)
        return True

    def kill(self) -> None:
        """Send SIGKILL, if it still runs."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or less than 0 for a signal; SIGKILL where its server died and could not say."""
        if self._code is not None:
            return self._code
        if self._handle is not None:
            poll = select.poll()
            poll.register(self._handle, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("decoder", timeout or 0.0)
            os.close(self._handle)
            self._handle = None
        said = self._answer(_SIGN_S)
        self._answers.close()
        self._code = -signal.SIGKILL if said is None else int(said["code"])
        if said is not None:
            self._spent(said["processor_s"])
        return self._code

    def _answer(self, timeout: float) -> dict[str, float] | None:
        """The next line, or None at their end or when none came in time."""
        line, until = b"", time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                return None
            part = self._answers.read(1)
            if not part:
                return None
            line += part
        said: dict[str, float] = json.loads(line)
        return said


class ForkServer:
    """Our end of :mod:`dprnet.decode.forkserver`; starts it when it is needed, and again when it has died."""

    def __init__(self) -> None:
        self._spent_s = 0.0
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # a forgotten video is ended wherever the collector finds it
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None

    def prepare(self) -> None:
        """Start it without waiting."""
        with self._lock, contextlib.suppress(OSError):  # the first video will say so
            self._running()

    def fork(self, request: dict[str, Any]) -> Child:
        """A decoder that has been told what to decode; where none can be forked, one started afresh."""
        child: Child | None = None
        with self._lock:
            for _ in range(2):  # once more where the server had died since
                child = self._fork()
                if child is not None:
                    break
        if child is None:
            return start(request)
        tell(child, request)
        return child

    def processor_s(self) -> float:
        """Seconds of all decoders that were forked and have ended."""
        return self._spent_s

    def spent(self, processor_s: float) -> None:
        """Count a decoder that has ended."""
        with self._lock:
            self._spent_s += processor_s

    def close(self) -> None:
        """End the server; decoders that run go on."""
        with self._lock:
            self._end()

    def forget(self) -> None:
        """Begin anew in a forked copy of the process: the server is not its own, and who held the lock is not there."""
        if self._link is not None:
            self._link.close()
        self._begin()

    def _running(self) -> socket.socket | None:
        """The socket to the server, which has been started if need be."""
        if self._link is None and hasattr(os, "pidfd_open"):
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    command("dprnet.decode.forkserver"),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=surroundings(),
                    process_group=0,  # Ctrl-C is for us
                )
            self._link = ours
        return self._link

    def _fork(self) -> Forked | None:
        """One attempt; without success the server is ended."""
        link = self._running()
        if link is None:
            return None
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        ours_said, theirs_said = os.pipe()
        child = Forked(ours_in, ours_out, ours_said, self.spent)
        sent = [theirs_in, theirs_out, theirs_said]
        try:
            try:
                socket.send_fds(link, [b"F"], sent)
            finally:
                for descriptor in sent:
                    os.close(descriptor)
            if child.forked(START_S):
                return child
            log.warning("the decoders' server does not answer; a new one is started")
        except OSError as error:
            log.warning("the decoders' server cannot be reached (%s); a new one is started", error)
        except BaseException:
            stop(child, os.getpid())
            raise
        stop(child, os.getpid())
        self._end()
        return None

    def _end(self) -> None:
        if self._link is None or self._process is None:
            return
        self._link.close()
        self._process.kill()
        self._process.wait()
        self._process, self._link = None, None


FORKSERVER = ForkServer()
atexit.register(FORKSERVER.close)
os.register_at_fork(after_in_child=FORKSERVER.forget)


def prepare() -> None:
    """Start the process that decoders are forked from, so that it loads while the caller does something else."""
    FORKSERVER.prepare()


def processor_s() -> float:
    """Processor seconds of the decoders that have ended: the system does not count them among our children's."""
    return FORKSERVER.processor_s()
