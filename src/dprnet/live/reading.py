"""Frames of a stream as they come; runs in the child process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from dprnet.core.errors import BadVideo, LimitExceeded
from dprnet.core.records import Frame
from dprnet.decode.clock import Clock
from dprnet.decode.container import choose_stream, describe
from dprnet.decode.memory import is_of_memory
from dprnet.decode.pixels import Converter
from dprnet.decode.sampling import Every, Wanted
from dprnet.live.growing import Growing
from dprnet.live.source import LiveSource

FORGIVEN = 250  # ours: packets that cannot be decoded, one after another; a stream is entered in its middle


class Reading:
    """One connection to a source; iterate it once.

    Args:
        fd: of standard input, for a source that is a pipe.
        silence_s: seconds after which FFmpeg gives a network up.
        idle_s: see :class:`Growing`.
        max_lag_s: frames of a live source that are older are not handed out.
    """

    def __init__(
        self,
        source: LiveSource,
        every: Every,
        *,
        short_side: int,
        silence_s: float,
        idle_s: float,
        max_lag_s: float,
        max_pixels: int,
        beat: Callable[[], None],
        fd: int | None = None,
    ) -> None:
        self._source, self._max_lag_s, self._max_pixels, self._beat = source, max_lag_s, max_pixels, beat
        self._targets = Wanted(every).targets()
        self._convert = Converter(short_side)
        self._container = _open(source, silence_s, idle_s, beat, fd)
        self._stream = choose_stream(self._container, source.shown)  # type: ignore[arg-type]
        self._live = source.kind == "pipe" or (source.kind == "network" and not self._container.duration)
        self.may_end = not self._live or source.kind == "pipe" or "hls" in self._container.format.name
        """Whether an end is the stream's own: a playlist says so; a connection that closes may as well have broken."""
        self._ahead_s: float | None = None
        self.skipped = 0
        """Wanted frames that came too late."""

    def __iter__(self) -> Iterator[Frame]:
        """The wanted frames; ends with the stream.

        Raises:
            BadVideo: the stream broke off (``broken``), or nothing in it can be decoded.
            LimitExceeded: its pictures are too large.
            MemoryError: decoding it asks for more than this process may take.
        """
        clock = Clock(self._stream)
        for index, decoded in enumerate(self._decoded()):
            time_s, _ = clock.read(decoded)
            if decoded.width * decoded.height > self._max_pixels:
                sentence = f"{decoded.width}x{decoded.height} pixels is over the limit of {self._max_pixels}"
                raise LimitExceeded(self._source.shown, sentence, reason="limit:pixels")
            if not self._targets.take(index, time_s):
                continue
            if self._late(time_s):
                self.skipped += 1
                continue
            image, scale = self._convert(decoded)
            yield Frame(image, index, time_s, 0, scale)

    def _late(self, time_s: float) -> bool:
        """Whether a frame of a live source comes longer after it was due than the soonest one did."""
        behind_s = time.monotonic() - time_s
        self._ahead_s = behind_s if self._ahead_s is None else min(self._ahead_s, behind_s)
        return self._live and behind_s - self._ahead_s > self._max_lag_s

    def _decoded(self) -> Iterator[Any]:
        errors = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except Exception as error:
                raise BadVideo(self._source.shown, f"broke off ({describe(error)})", reason="broken") from None
            if packet is None:
                return
            self._beat()
            try:
                decoded = packet.decode()
            except Exception as error:
                if is_of_memory(error, self._stream.codec_context):  # no later packet mends it
                    raise MemoryError from None
                errors += 1
                if errors > FORGIVEN:
                    sentence = f"cannot be decoded ({describe(error)})"
                    raise BadVideo(self._source.shown, sentence, reason="undecodable") from None
                continue
            if decoded:
                errors = 0
            yield from decoded


def _open(source: LiveSource, silence_s: float, idle_s: float, beat: Callable[[], None], fd: int | None) -> Any:
    import av

    try:
        if source.kind == "network":
            return av.open(
                source.address, options=source.options, timeout=(silence_s, silence_s), metadata_errors="replace"
            )
        file = os.open(source.address, os.O_RDONLY | os.O_CLOEXEC) if fd is None else fd
        return av.open(Growing(file, idle_s, beat), options=source.options, metadata_errors="replace")
    except Exception as error:  # PyAV raises far more than its own errors
        raise BadVideo(source.shown, f"cannot be opened ({describe(error)})", reason="unreachable") from None
