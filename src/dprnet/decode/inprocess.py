"""The decoder itself: exact frames at exact times, decoding only what they need. Runs in the child process.

Two ways give the same frames. The quick way reads packets without decoding, groups them by key frame, and decodes
of each group only what its targets refer to. The plain way decodes everything; it is taken where times are missing or
odd, or where the packets do not tell the frames. The quick way gives up in favour of the plain one whenever the
decoder does not deliver exactly what the packets promised.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dprnet.core.errors import BadVideo, DprnetError, LimitExceeded
from dprnet.core.records import Frame, Status
from dprnet.decode.clock import Clock
from dprnet.decode.container import check_file, choose_streams, describe, is_cut_short, open_container
from dprnet.decode.pixels import Converter, is_hdr, upright_size
from dprnet.decode.sampling import Every, Wanted
from dprnet.decode.structure import GROUPED, Bitstream, Damaged, Group, UnknownStructure, groups

if TYPE_CHECKING:
    from dprnet.decode.limits import DecodeLimits

log = logging.getLogger(__name__)

# A stream cut from the middle of another starts with packets that cannot be decoded; so many are forgiven.
FORGIVEN_ERRORS = 250  # ours: ten seconds
_FEW_THREADS_PIXELS = 1920 * 1088


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
        source: int = 0,
        *,
        plain: bool = False,
        beat: Callable[[], None] | None = None,
    ) -> None:
        self.path = check_file(path, limits)
        self.progress = Progress(plain=plain)
        self._wanted, self._limits, self._source = wanted, limits, source
        self._convert = Converter(short_side)
        self._beat = beat or (lambda: None)
        self._examined = 0
        self._last_index = -1
        self._encrypted = False
        self._started_s = time.process_time()
        self._open()
        self._check_header()

    def _open(self, skip: int = 0) -> None:
        self._container = open_container(self.path)
        self._others = choose_streams(self._container, self.path)
        self._stream = self._container.streams[self._others[skip]]
        self._codec = self._stream.codec_context
        pixels = self._codec.width * self._codec.height
        # Without the codec's own limit one picture could be allocated before we see its size.
        self._codec.options = {"max_pixels": str(self._limits.max_pixels)}
        if pixels > self._limits.max_pixels:
            self._over("pixels", pixels, self._limits.max_pixels)
        many = min(4, os.cpu_count() or 1)
        self._codec.thread_count = self._limits.threads or (many if pixels > _FEW_THREADS_PIXELS else 1)
        self._codec.thread_type = "AUTO"
        self._examined = 0
        self._expected: dict[int, tuple[int, float]] = {}
        self._continuing = False

    def _check_header(self) -> None:
        """Refuse at once what its header calls too long, unless the file is far too small for that to be true."""
        self._stated_s = stated = self._stated_duration_s()
        if stated > self._limits.max_duration_s and self.path.stat().st_size * 8 > stated * 500:
            self._over("duration_s", round(stated, 3), self._limits.max_duration_s)

    def _stated_duration_s(self) -> float:
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        return float((self._container.duration or 0) / 1e6)

    def _over(self, name: str, found: Any, allowed: Any) -> None:
        sentence = f"{name} {found} is over the limit of {allowed}; raise DecodeLimits.max_{name} if it is wanted"
        raise LimitExceeded(self.path, sentence, reason=f"limit:{name}")

    def __iter__(self) -> Iterator[Frame]:
        """The wanted frames, ascending.

        Raises:
            BadVideo: ``undecodable`` or ``encrypted``, where not a single frame could be decoded.
            LimitExceeded: a limit was passed on the way.
        """
        try:
            yield from self._frames()
        except Damaged as damage:
            self.progress.status = "partial"
            self.progress.duration_s = self.progress.decoded_until_s
            self.progress.note = f"damaged after {self.progress.decoded_until_s:.3f} s: {damage}"
        except MemoryError:
            raise LimitExceeded(self.path, "decoding it asks for too much memory", reason="limit:memory") from None
        finally:
            self._container.close()
        self._finish()

    def _frames(self) -> Iterator[Frame]:
        if not self.progress.plain and self._codec.codec.canonical_name in GROUPED:
            try:
                yield from self._quick()
                return
            except UnknownStructure as why:
                log.debug("%s: decoded plainly: %s", self.path, why)
            self._container.close()
            self._open()
        self.progress.plain = True
        yield from self._plain()

    def _finish(self) -> None:
        progress = self.progress
        if progress.decoded_until_s <= 0 and not progress.frames:
            if self._encrypted:
                raise BadVideo(self.path, "it is encrypted (DRM) and cannot be decoded", reason="encrypted")
            raise BadVideo(self.path, progress.note or "no frame could be decoded", reason="undecodable")
        ends_early = self._stated_s > progress.duration_s + 0.1 or not self._stated_s
        if progress.status == "complete" and not self._stopped_early and ends_early and is_cut_short(self.path):
            progress.status = "partial"
            progress.note = f"the file is cut short; its pictures end at {progress.duration_s:.3f} s"

    # -- reading ---------------------------------------------------------------------------------------------------

    def _packets(self) -> Iterator[Any]:
        lenient = self._container.format.name == "mpegts"  # broadcasts lose packets all the time
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except Exception as error:  # PyAV raises far more than its own errors on broken files
                raise Damaged(f"reading failed ({describe(error)})") from None
            if packet is None:
                return
            if packet.size == 0:
                continue
            self._examined += 1
            self._check_effort()
            if packet.has_sidedata("encryption_info"):
                self._encrypted = True
                raise Damaged("encrypted")
            if packet.is_corrupt and not lenient:
                raise Damaged("a packet is incomplete")
            yield packet

    def _check_effort(self) -> None:
        self._beat()
        if self._examined > self._limits.max_frames_examined:
            self._over("frames_examined", self._examined, self._limits.max_frames_examined)
        spent_s = time.process_time() - self._started_s
        if spent_s > self._limits.max_decode_s:
            self._over("decode_s", round(spent_s, 3), self._limits.max_decode_s)

    def _decode(self, packet: Any | None) -> list[Any]:
        """Frames that come out when a packet goes in; ``None`` drains the decoder."""
        try:
            return list(self._codec.decode(packet))
        except EOFError:
            return []
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise Damaged(f"decoding failed ({describe(error)})") from None

    # -- the quick way ---------------------------------------------------------------------------------------------

    def _quick(self) -> Iterator[Frame]:
        targets = self._wanted.targets()
        base, first = 0, None
        held: Group | None = None
        damage: Damaged | None = None
        self._stopped_early = False
        stream = groups(self._packets(), Bitstream(self._codec.codec.canonical_name, self._codec.extradata))
        while True:
            try:
                group = next(stream, None)
            except Damaged as error:
                group, damage = None, error
            if group is not None and group.shown:
                first = group.shown[0] if first is None else first
                base = self._plan(group, targets, base, first)
            if held is not None:
                yield from self._decode_group(held, whole=group is not None and group.wants_tail)
            held = group
            if group is None:
                break
            if targets.done(base):
                self._stopped_early = True
                yield from self._decode_group(group, whole=False)
                return
        self.progress.decoded_until_s = self.progress.duration_s  # of what was skipped, every packet was there
        if damage is not None:
            raise damage

    def _plan(self, group: Group, targets: Any, base: int, first: int) -> int:
        """Number the frames of a group and mark its targets; returns the index of the next group's first frame."""
        tick_s = float(self._stream.time_base)
        for index, pts in enumerate(group.shown, start=base):
            time_s = (pts - first) * tick_s
            if targets.take(index, time_s):
                group.targets[pts] = (index, time_s)
        self._first_pts = first
        last_s = (group.shown[-1] - first) * tick_s
        if last_s > self._limits.max_duration_s:
            self._over("duration_s", round(last_s, 3), self._limits.max_duration_s)
        length = next((p.duration for p in group.packets if p.pts == group.shown[-1]), None)
        self.progress.duration_s = last_s + (length or 0) * tick_s
        return base + len(group.shown)

    def _decode_group(self, group: Group, whole: bool) -> Iterator[Frame]:
        if not group.targets and not whole:
            self._continuing = False
            return
        self._expected.update(group.targets)
        key = group.packets[0].pts
        damage: Damaged | None = None
        for packet in group.needed(whole):
            self._check_effort()
            try:
                yield from self._deliver(self._decode(packet))
            except Damaged as error:
                if packet.pts < key and not self._continuing:
                    continue  # its references were skipped on purpose, and it is no target
                damage = error
                break
        if whole and damage is None:
            self._continuing = True
            return
        self._continuing = False
        yield from self._deliver(self._decode(None))
        self._codec.flush_buffers()
        if damage is not None:
            raise damage
        if self._expected:
            raise UnknownStructure("a wanted frame did not come out of the decoder")

    def _deliver(self, decoded: list[Any]) -> Iterator[Frame]:
        for frame in decoded:
            if frame.interlaced_frame:
                raise UnknownStructure("interlaced: two packets may make one frame")
            if frame.pts is None:
                raise UnknownStructure("a frame without a time")
            reached_s = (frame.pts + (frame.duration or 0) - self._first_pts) * float(self._stream.time_base)
            self.progress.decoded_until_s = max(self.progress.decoded_until_s, reached_s)
            place = self._expected.pop(frame.pts, None)
            if place is not None:
                yield from self._emit(frame, *place)

    # -- the plain way ---------------------------------------------------------------------------------------------

    def _plain(self) -> Iterator[Frame]:
        targets = self._wanted.targets()
        clock = Clock(self._stream)
        index = errors = 0
        first_damage: Damaged | None = None
        self._stopped_early = False
        for frame in self._every_frame():
            if isinstance(frame, Damaged):
                errors += 1
                if index or errors > FORGIVEN_ERRORS:
                    raise frame
                first_damage = first_damage or frame
                continue
            time_s, end_s = clock.read(frame)
            if end_s > self._limits.max_duration_s and time_s > self._limits.max_duration_s:
                self._over("duration_s", round(time_s, 3), self._limits.max_duration_s)
            self.progress.duration_s = self.progress.decoded_until_s = end_s
            if targets.take(index, time_s) and index > self._last_index:
                yield from self._emit(frame, index, time_s)
            index += 1
            if targets.done(index):
                self._stopped_early = True
                return
        if not index and first_damage is not None:
            raise first_damage

    def _every_frame(self) -> Iterator[Any]:
        """All frames in order of presentation; where decoding fails, first the frames still inside, then the damage."""
        packets = self._packets()
        while True:
            damage: Damaged | None = None
            decoded = []
            try:
                packet = next(packets, None)
                decoded = self._decode(packet)
            except Damaged as error:
                damage = error
                packet = None
            yield from decoded
            if damage is not None:
                yield from self._drain()
                yield damage
            if packet is None and damage is None:
                return

    def _drain(self) -> list[Any]:
        try:
            return self._decode(None)
        except Damaged:
            return []
        finally:
            self._codec.flush_buffers()

    # -- delivering ------------------------------------------------------------------------------------------------

    def _emit(self, frame: Any, index: int, time_s: float) -> Iterator[Frame]:
        if frame.width * frame.height > self._limits.max_pixels:
            self._over("pixels", frame.width * frame.height, self._limits.max_pixels)
        if index <= self._last_index:
            raise UnknownStructure("frames came out of order")
        try:
            image, scale = self._convert(frame)
        except MemoryError:
            raise
        except Exception as error:
            raise Damaged(f"a picture cannot be converted ({describe(error)})") from None
        progress = self.progress
        if not progress.frames:
            progress.width, progress.height = upright_size(frame)
        progress.hdr = progress.hdr or is_hdr(frame)
        progress.frames += 1
        self._last_index = index
        yield Frame(image, index, time_s, self._source, scale)


def decode_in_process(
    path: str | Path,
    every: Every | str | None = None,
    *,
    indices: tuple[int, ...] = (),
    limits: DecodeLimits | None = None,
    short_side: int | None = None,
    source: int = 0,
    plain: bool = False,
) -> Decoding:
    """The decoder without a process around it, for trusted files, tests and benchmarks.

    Args:
        path: the video.
        every: the interval, or None to take ``indices``.
        indices: frame indices.
        limits: all but the wall and memory limits hold here too.
        short_side: pixels; frames are made smaller to it, never larger.
        source: copied to the frames.
        plain: decode everything, and throw away what is not wanted (the reference that the quick way must equal).

    Raises:
        MissingFile, BadVideo, LimitExceeded: as :func:`dprnet.decode.open_video`.
    """
    if limits is None:
        from dprnet.decode.limits import DecodeLimits

        limits = DecodeLimits()
    wanted = Wanted(Every.parse(every)) if every is not None else Wanted(indices=indices)
    return Decoding(path, wanted, limits, short_side, source, plain=plain)


__all__ = ["Decoding", "DprnetError", "Progress", "decode_in_process"]
