"""A file that is still being written, or a pipe, read from front to back."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable

LOOK_S = 0.1  # ours: how soon what was written is seen


class Growing:
    """What PyAV reads: waits where the file ends, until it did not grow for ``idle_s``.

    There is no way to seek in it, so that every format is read as a stream.

    Args:
        fd: an open file or pipe.
        idle_s: a file that did not grow for so long is complete; a pipe ends when its writer closes it.
        beat: called while waiting.
    """

    def __init__(self, fd: int, idle_s: float, beat: Callable[[], None]) -> None:
        self._fd, self._idle_s, self._beat = fd, idle_s, beat
        self._pipe = not stat.S_ISREG(os.fstat(fd).st_mode)

    def read(self, size: int) -> bytes:
        """At least one byte, or none at the end."""
        until = time.monotonic() + self._idle_s
        while True:
            if self._pipe:
                if select.select([self._fd], [], [], LOOK_S)[0]:
                    return os.read(self._fd, size)
            else:
                if data := os.read(self._fd, size):
                    return data
                if time.monotonic() > until:
                    return b""
                time.sleep(LOOK_S)
            self._beat()
