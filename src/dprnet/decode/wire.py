"""What the child sends: one kind byte, the length of a JSON head, the length of the pixels, the head, the pixels.

The child handles hostile files and may be taken over by one, so nothing it sends is ever unpickled, and every length is
checked before memory is set aside.
"""

from __future__ import annotations

import json
import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from dprnet.core.records import Image

READY, FRAME, BEAT, ERROR, DONE = b"R", b"F", b"B", b"E", b"D"
MAX_HEAD_BYTES = 1 << 20
START_S = 30.0  # ours: a process may take so long to start on a busy machine before it counts as silent
_HEAD = struct.Struct("=cIQ")


class Sender:
    """Sends messages from a thread of its own, so that decoding goes on while the reader is busy.

    At most ``queue_bytes`` of pixels wait (a single picture always may); beyond that :meth:`send` waits.
    """

    def __init__(self, fd: int, queue_bytes: int) -> None:
        self._fd, self._room = fd, queue_bytes
        self._waiting: deque[tuple[bytes, memoryview]] = deque()
        self._bytes = 0
        self._busy = False
        self._change = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, kind: bytes, head: Mapping[str, Any], pixels: Image | None = None) -> None:
        """Queue a message, in order."""
        text = json.dumps(head).encode()
        body = memoryview(b"") if pixels is None else pixels.reshape(-1).data
        packed = _HEAD.pack(kind, len(text), len(body)) + text
        with self._change:
            self._change.wait_for(lambda: not self._bytes or self._bytes + len(body) <= self._room)
            self._waiting.append((packed, body))
            self._bytes += len(body)
            self._change.notify_all()

    def beat(self) -> None:
        """A sign of life, unless something else is on its way."""
        if not self._waiting:
            self.send(BEAT, {})

    def flush(self) -> None:
        """Wait until everything has been sent."""
        with self._change:
            self._change.wait_for(lambda: not self._waiting and not self._busy)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._waiting))
                packed, body = self._waiting.popleft()
                self._busy = True
            try:
                for part in (memoryview(packed), body):
                    sent = 0
                    while sent < len(part):
                        sent += os.write(self._fd, part[sent:])
            except OSError:
                os._exit(0)  # nobody reads any more
            with self._change:
                self._bytes -= len(body)
                self._busy = False
                self._change.notify_all()


class Silent(Exception):
    """Nothing came for longer than allowed."""


class WaitedTooLong(Exception):
    """All waiting together took longer than allowed."""


class Closed(Exception):
    """The other end is gone."""


class Receiver:
    """Reads messages, and counts the time spent waiting for them."""

    def __init__(self, fd: int, *, max_silence_s: float, max_wall_s: float, max_pixels: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._max_silence_s, self._left_s, self._max_bytes = max_silence_s, max_wall_s, 3 * max_pixels
        self._started = False

    def receive(self) -> tuple[bytes, dict[str, Any], Image]:
        """The next message: kind, head, and its pixels as a flat array.

        Raises:
            Silent, WaitedTooLong, Closed: no message came; Closed also for one that makes no sense.
        """
        kind, head_bytes, body_bytes = _HEAD.unpack(bytes(self._read(_HEAD.size)))
        if head_bytes > MAX_HEAD_BYTES or body_bytes > self._max_bytes:
            raise Closed("a message of impossible size")
        try:
            head = json.loads(bytes(self._read(head_bytes)))
        except ValueError:
            raise Closed("a message that is no JSON") from None
        if not isinstance(head, dict):
            raise Closed("a message without a head")
        return kind, head, self._read(body_bytes)

    def _read(self, size: int) -> Image:
        data = np.empty(size, np.uint8)
        view = data.data
        got = 0
        while got < size:
            self._wait()
            new = os.readv(self._fd, [view[got:]])
            if new == 0:
                raise Closed("the end of the messages")
            got += new
            self._started = True
        return data

    def _wait(self) -> None:
        silence_s = self._max_silence_s if self._started else max(self._max_silence_s, START_S)
        allowed_s = min(silence_s, self._left_s)
        start_s = time.monotonic()
        ready = self._poll.poll(max(1, allowed_s * 1000))
        self._left_s -= time.monotonic() - start_s
        if self._left_s <= 0:
            raise WaitedTooLong
        if not ready:
            raise Silent
