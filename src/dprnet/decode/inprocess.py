"""The decoder itself: exact frames at exact times, decoding only what they need. Runs in the child process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dprnet.core.errors import BadVideo, LimitExceeded
from dprnet.core.records import Frame, Status
from dprnet.decode.container import check_file, describe
from dprnet.decode.pixels import Converter, is_hdr, upright_size
from dprnet.decode.plain import Plain
from dprnet.decode.quick import Quick
from dprnet.decode.reader import Reader
from dprnet.decode.sampling import Every, Wanted
from dprnet.decode.structure import GROUPED, Clipped, Damaged, UnknownStructure

if TYPE_CHECKING:
    from dprnet.decode.limits import DecodeLimits

log = logging.getLogger(__name__)

TOO_MUCH_MEMORY = "decoding it asks for too much memory"
END_TOLERANCE_S = 0.1  # ours: a video whose pictures reach so close to its stated end lacks nothing


@dataclass
class Progress:
    """What is known of a video so far; the seconds count from its first frame."""

    width: int = 0
    height: int = 0
    hdr: bool = False
    frames: int = 0
    duration_s: float = 0.0
    decoded_until_s: float = 0.0
    status: Status = "complete"
    note: str = ""
    plain: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the parent process."""
        return asdict(self)


class Decoding:
    """One pass over a video; iterate it once for its wanted frames, then read ``progress``."""

    def __init__(
        self,
        path: str | Path,
        wanted: Wanted,
        limits: DecodeLimits,
        short_side: int | None = None,
        long_side: int | None = None,
        source: int = 0,
        *,
        plain: bool = False,
        beat: Callable[[], None] | None = None,
    ) -> None:
        self.path = check_file(path, limits)
        self.progress = Progress(plain=plain)
        self._wanted, self._limits, self._source = wanted, limits, source
        self._convert = Converter(short_side, long_side)
        self._beat = beat or (lambda: None)
        self._last_index = -1
        self._reader = Reader(self.path, limits, self._beat)

    def __iter__(self) -> Iterator[Frame]:
        """The wanted frames, ascending.

        Raises:
            BadVideo: ``undecodable`` or ``encrypted``, where not a single frame could be decoded.
            LimitExceeded: a limit was passed on the way; where the limits say ``clip``, before the first frame.
        """
        try:
            if not self.progress.plain and self._reader.codec in GROUPED:
                try:
                    yield from self._run(Quick)
                    return
                except UnknownStructure as why:
                    log.debug("%s: decoded plainly: %s", self.path, why)
                self._reader.close()
                self._reader = Reader(self.path, self._limits, self._beat)
            self.progress.plain = True
            yield from self._run(Plain)
        except MemoryError:
            if not (self._limits.clip and self.progress.frames):
                raise LimitExceeded(self.path, TOO_MUCH_MEMORY, reason="limit:memory") from None
            self._clip(TOO_MUCH_MEMORY)
        finally:
            self._reader.close()

    def _run(self, way: type[Quick] | type[Plain]) -> Iterator[Frame]:
        run = way(self._reader, self._wanted.targets(), intra_only=self._wanted.intra_only)
        progress = self.progress
        try:
            for decoded, index, time_s in run.frames():
                if index <= self._last_index:
                    if not progress.plain:
                        raise UnknownStructure("frames came out of order")
                    continue  # the quick way had delivered it before it gave up
                frame = self._frame(decoded, index, time_s)
                progress.duration_s, progress.decoded_until_s = run.end_s, run.reached_s
                yield frame
            progress.duration_s = progress.decoded_until_s = run.end_s
            self._check_end(run)
        except Clipped as clipped:
            progress.duration_s = progress.decoded_until_s = run.reached_s
            if not progress.frames:
                raise LimitExceeded(self.path, str(clipped), reason=clipped.reason) from None
            self._clip(str(clipped))
        except Damaged as damage:
            progress.duration_s = progress.decoded_until_s = run.reached_s
            progress.status = "partial"
            progress.note = f"damaged after {run.reached_s:.3f} s: {damage}"
            if not progress.frames:
                self._refuse(str(damage))

    def _clip(self, why: str) -> None:
        self.progress.status = "partial"
        self.progress.note = f"clipped after {self.progress.decoded_until_s:.3f} s: {why}"

    def _check_end(self, run: Quick | Plain) -> None:
        if not self.progress.frames and not run.end_s:
            self._refuse("it holds none")
        complete = self._reader.stated_s and run.end_s >= self._reader.stated_s - END_TOLERANCE_S
        if not complete and not run.stopped_early and self._reader.cut_short:
            self.progress.status = "partial"
            self.progress.note = f"the file is cut short; its pictures end at {run.end_s:.3f} s"

    def _refuse(self, why: str) -> None:
        if self._reader.encrypted:
            raise BadVideo(self.path, "it is encrypted (DRM) and cannot be decoded", reason="encrypted")
        raise BadVideo(self.path, f"no frame could be decoded: {why}", reason="undecodable")

    def _frame(self, decoded: Any, index: int, time_s: float) -> Frame:
        self._reader.check_pixels(decoded)
        try:
            image, scale = self._convert(decoded)
        except MemoryError:
            raise
        except Exception as error:  # pixel formats and colour spaces that the converter does not know
            raise Damaged(f"a picture cannot be converted ({describe(error)})") from None
        progress = self.progress
        if not progress.frames:
            progress.width, progress.height = upright_size(decoded)
        progress.hdr = progress.hdr or is_hdr(decoded)
        progress.frames += 1
        self._last_index = index
        return Frame(image, index, time_s, self._source, scale)


def decode_in_process(
    path: str | Path,
    every: Every | str | None = None,
    *,
    indices: tuple[int, ...] = (),
    limits: DecodeLimits | None = None,
    short_side: int | None = None,
    long_side: int | None = None,
    source: int = 0,
    intra_only: bool = False,
    plain: bool = False,
) -> Decoding:
    """The decoder without a process around it, for trusted files, tests and benchmarks.

    Args:
        path: the video.
        every: the interval, or None to take ``indices``.
        indices: frame indices.
        limits: all but the wall and memory limits hold here too.
        short_side, long_side: pixels; frames are made smaller until neither side is longer, never larger.
        source: copied to the frames.
        intra_only: as :func:`dprnet.decode.open_video`.
        plain: decode everything, and throw away what is not wanted (the reference that the quick way must equal).

    Raises:
        MissingFile, BadVideo, LimitExceeded: as :func:`dprnet.decode.open_video`.
    """
    if limits is None:
        from dprnet.decode.limits import DecodeLimits

        limits = DecodeLimits()
    wanted = Wanted(None if every is None else Every.parse(every), tuple(indices), intra_only)
    return Decoding(path, wanted, limits, short_side, long_side, source, plain=plain)
