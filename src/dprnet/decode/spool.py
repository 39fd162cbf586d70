"""Videos that can be read only once: a pipe is copied to a bounded temporary file, as best views need a second look.

cat look.mp4 | dprnet search /dev/stdin --gallery summer
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from dprnet.core.errors import LimitExceeded, MissingFile
from dprnet.decode.limits import DecodeLimits

CHUNK = 1 << 20  # bytes copied at once


class Spool:
    """Paths that can be read twice, in a ``with`` statement: files as they are, pipes as copies that go at its end."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __call__(self, path: Path) -> Path:
        """The path itself, or that of a copy; what is no file at all is left to the decoder to refuse.

        Raises:
            LimitExceeded: ``limit:bytes`` or ``limit:disk``.
            MissingFile: the pipe cannot be read.
        """
        try:
            piped = stat.S_ISFIFO(path.stat().st_mode)
        except (OSError, ValueError):
            return path
        if not piped:
            # The decoder is another process: its /dev/stdin is not ours.
            return path.resolve() if path.is_relative_to("/dev") or path.is_relative_to("/proc") else path
        try:
            copy = self._new_file(path.suffix)
            try:
                self._fill(copy, path)
            except BaseException:
                copy.unlink()  # the next video may need the room
                raise
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._no_room(path)
            raise MissingFile(path, f"cannot be copied from its pipe ({error.strerror})") from None
        return copy

    def _new_file(self, suffix: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="dprnet-spool-"))
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=suffix)
        os.close(handle)
        return Path(name)

    def _fill(self, copy: Path, path: Path) -> None:
        size = 0
        with path.open("rb") as source, copy.open("wb") as target:
            while size <= self._limits.max_bytes and (chunk := source.read(CHUNK)):
                size += len(chunk)
                self._check(path, size)
                target.write(chunk)
        # Where it is to be clipped it is a little longer than it may be, so that the decoder says so and stops there.

    def _check(self, path: Path, size: int) -> None:
        if size > self._limits.max_bytes and not self._limits.clip:
            sentence = f"the pipe gives more than the limit of {self._limits.max_bytes} bytes"
            raise LimitExceeded(path, sentence, reason="limit:bytes")
        if shutil.disk_usage(str(self._folder)).free < self._limits.spare_disk_bytes:
            self._no_room(path)

    def _no_room(self, path: Path) -> NoReturn:
        where = self._folder or tempfile.gettempdir()
        sentence = f"no room for a copy of the pipe in {where}; set TMPDIR to a larger disk"
        raise LimitExceeded(path, sentence, reason="limit:disk") from None
