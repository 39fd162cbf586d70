"""One opened stream: its packets and what they decode to, within the limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dprnet.core.errors import BadVideo, LimitExceeded
from dprnet.decode.container import choose_stream, describe, is_cut_short, open_container
from dprnet.decode.memory import is_of_memory
from dprnet.decode.structure import Clipped, Damaged

if TYPE_CHECKING:
    from dprnet.decode.limits import DecodeLimits

_FEW_THREADS_PIXELS = 1920 * 1088
_MANY_THREADS = 4
_ALIGNMENT_PIXELS = 1 << 20  # decoders round the width of a picture up by as much as 64
_PLAUSIBLE_BITS_PER_S = 500  # ours: a header that states a length below this rate is taken for a lie


def over(path: Path, name: str, found: Any, allowed: Any, *, clip: bool = False) -> NoReturn:
    """Raise ``LimitExceeded`` with reason ``limit:<name>``; or ``Clipped``, where the part before the limit will do."""
    sentence = f"{name} {found} is over the limit of {allowed}; raise DecodeLimits.max_{name} if it is wanted"
    if clip:
        raise Clipped(sentence, f"limit:{name}")
    raise LimitExceeded(path, sentence, reason=f"limit:{name}")


class Reader:
    """The chosen video stream of a file, its packets in the order of decoding, and its decoder.

    Raises:
        BadVideo: ``undecodable``, ``no_video_stream``.
        LimitExceeded: ``limit:pixels``, ``limit:streams``; ``limit:duration_s`` from the header; while reading also
            ``limit:frames_examined`` and ``limit:decode_s``.
        Clipped: while reading, instead of that, where the limits say ``clip``.
    """

    def __init__(self, path: Path, limits: DecodeLimits, beat: Callable[[], None]) -> None:
        self.path = path
        self._limits, self._beat = limits, beat
        self._examined = 0
        self._size, self._read_to = path.stat().st_size, 0
        self._started_s = time.process_time()
        self._container = self._open()
        self.stream = choose_stream(self._container, path)
        self.codec_context = self.stream.codec_context
        self.codec: str = self.codec_context.codec.canonical_name
        self.cut_short = is_cut_short(path)
        self.tick_s = float(self.stream.time_base or 0)
        self.stated_s = self._stated_duration_s()
        self._check_header()
        # Matroska states its encryption once for a track, MP4 for each packet.
        self.encrypted = "enc_key_id" in self.stream.metadata or self.codec_context.codec_tag == "encv"

    def _open(self) -> Any:
        try:
            return open_container(self.path)
        except BadVideo:
            if self._size > self._limits.max_bytes:  # a pipe's copy, which ends there: the index may have come later
                over(self.path, "bytes", self._size, self._limits.max_bytes)
            raise

    def _stated_duration_s(self) -> float:
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        return float((self._container.duration or 0) / 1e6)

    def _check_header(self) -> None:
        limits, codec_context = self._limits, self.codec_context
        pixels = codec_context.width * codec_context.height
        if pixels > limits.max_pixels:
            over(self.path, "pixels", pixels, limits.max_pixels)
        # Without the codec's own limit a picture that grew on the way would be allocated before we see its size.
        codec_context.options = {"max_pixels": str(limits.max_pixels + _ALIGNMENT_PIXELS)}
        many = min(_MANY_THREADS, os.cpu_count() or 1)
        codec_context.thread_count = limits.threads or (many if pixels > _FEW_THREADS_PIXELS else 1)
        codec_context.thread_type = "AUTO"
        plausible = self._size * 8 > self.stated_s * _PLAUSIBLE_BITS_PER_S
        if plausible and not limits.clip:
            self.check_duration(self.stated_s)

    def check_duration(self, seconds: float) -> None:
        """Refuse a time beyond ``max_duration_s``."""
        if seconds > self._limits.max_duration_s:
            self._over("duration_s", round(seconds, 3), self._limits.max_duration_s)

    def check_pixels(self, frame: Any) -> None:
        """Refuse a picture beyond ``max_pixels``."""
        if frame.width * frame.height > self._limits.max_pixels:
            self._over("pixels", frame.width * frame.height, self._limits.max_pixels)

    def check_effort(self) -> None:
        """Give a sign of life, and refuse to spend more than ``max_decode_s`` of the processor."""
        self._beat()
        spent_s = time.process_time() - self._started_s
        if spent_s > self._limits.max_decode_s:
            self._over("decode_s", round(spent_s, 3), self._limits.max_decode_s)

    def _check_bytes(self, packet: Any) -> None:
        """Where a file is over ``max_bytes`` and to be clipped, stop there."""
        if self._size > self._limits.max_bytes:
            start = packet.pos if packet.pos is not None and packet.pos >= 0 else self._read_to
            self._read_to = max(self._read_to, start + packet.size)
            if self._read_to > self._limits.max_bytes:
                self._over("bytes", self._size, self._limits.max_bytes)

    def before_gap(self, pts: list[int], last: int | None = None) -> int:
        """How many of these times follow one another (and ``last``) without a missing frame between them.

        Where a file breaks off, pictures that are shown earlier than the last ones it holds may be missing, and with
        them the true index of what comes after.
        """
        rate = self.stream.average_rate or self.stream.guessed_rate
        if not rate:
            return len(pts)
        allowed = 1.5 / (float(rate) * self.tick_s)
        for count, ticks in enumerate(pts):
            if last is not None and ticks - last > allowed:
                return count
            last = ticks
        return len(pts)

    def packets(self) -> Iterator[Any]:
        """The stream's packets, in the order of decoding.

        Raises:
            Damaged: the file cannot be read further; or its packets are encrypted.
        """
        lenient = self._container.format.name == "mpegts"  # broadcasts lose packets all the time
        packets = self._container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except MemoryError:
                raise
            except Exception as error:  # PyAV raises far more than its own errors on broken files
                raise Damaged(f"reading failed ({describe(error)})") from None
            if packet is None:
                return
            if packet.size == 0:  # the end, or a repeated picture of an AVI
                continue
            self._examined += 1
            if self._examined > self._limits.max_frames_examined:
                self._over("frames_examined", self._examined, self._limits.max_frames_examined)
            self._check_bytes(packet)
            self.check_effort()
            if self.encrypted or packet.has_sidedata("encryption_info"):
                self.encrypted = True
                raise Damaged("encrypted")
            if packet.is_corrupt and not lenient:
                raise Damaged("a packet is incomplete")
            yield packet

    def decode(self, packet: Any | None) -> list[Any]:
        """Frames that come out when a packet goes in; ``None`` asks for those still inside.

        Raises:
            Damaged: the packet cannot be decoded.
            MemoryError: for want of memory.
        """
        try:
            return list(self.codec_context.decode(packet))
        except EOFError:
            return []
        except Exception as error:  # as above
            if is_of_memory(error, self.codec_context):
                raise MemoryError from None
            raise Damaged(f"decoding failed ({describe(error)})") from None

    def drain(self) -> list[Any]:
        """Frames still inside; afterwards the decoder may start at any key frame."""
        try:
            return self.decode(None)
        except Damaged:
            return []
        finally:
            self.codec_context.flush_buffers()

    def _over(self, name: str, found: Any, allowed: Any) -> NoReturn:
        over(self.path, name, found, allowed, clip=self._limits.clip)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
