"""A video as callers see it: frames from a child process, and what became of the file."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from dprnet.core.errors import BadRecipe, BadVideo, DprnetError, LimitExceeded, MissingFile
from dprnet.core.records import Frame, Source
from dprnet.decode import wire
from dprnet.decode.container import check_file
from dprnet.decode.forked import FORKSERVER
from dprnet.decode.inprocess import Progress
from dprnet.decode.limits import DecodeLimits
from dprnet.decode.process import fate, stop
from dprnet.decode.sampling import Every, Wanted

_ERRORS: dict[str, type[DprnetError]] = {
    kind.__name__: kind for kind in (BadVideo, LimitExceeded, MissingFile, BadRecipe)
}
_UNFINISHED = "not read to its end"


class Video:
    """The wanted frames of one video, in a ``with`` statement; iterate it once, then ask for its record."""

    def __init__(
        self,
        path: str | Path,
        wanted: Wanted,
        limits: DecodeLimits,
        *,
        short_side: int | None = None,
        long_side: int | None = None,
        source: int = 0,
    ) -> None:
        self.path = check_file(path, limits)
        self._given = str(path)
        self._source = source
        self._progress = Progress(status="partial", note=_UNFINISHED)
        self._digest = ""
        self._done = False
        request = {
            "path": str(self.path),
            "wanted": wanted.to_json(),
            "limits": limits.model_dump(),
            "short_side": short_side,
            "long_side": long_side,
            "source": source,
        }
        self._limits = limits
        self._process = FORKSERVER.fork(request)
        # Whatever happens to this object, its process ends with it.
        self._stop = weakref.finalize(self, stop, self._process, os.getpid())
        assert self._process.stdout is not None, "the decoder's output is a pipe"
        self._receiver = wire.Receiver(
            self._process.stdout.fileno(),
            max_silence_s=limits.max_silence_s,
            max_wall_s=limits.max_wall_s,
            max_pixels=limits.max_pixels,
        )
        try:
            self._receive(wire.READY)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """The next wanted frame.

        Raises:
            BadVideo: nothing could be decoded (``undecodable``, ``encrypted``, ``decoder_killed``).
            LimitExceeded: a limit was passed on the way.
        """
        if self._done:
            raise StopIteration
        try:
            frame = self._receive(wire.FRAME)
        except BaseException:
            self.close()
            raise
        if frame is None:
            self.close()
            raise StopIteration
        return frame

    def record(self) -> Source:
        """What is known of the video: all of it after the last frame, until then what has been seen so far.

        Raises:
            MissingFile: the file has gone since.
        """
        progress = self._progress
        self._digest = self._digest or _sha256(self.path)
        return Source(
            path=self._given,
            sha256=self._digest,
            width=progress.width,
            height=progress.height,
            duration_s=progress.duration_s,
            status=progress.status,
            note=progress.note,
            decoded_until_s=progress.decoded_until_s,
            frames=progress.frames,
            hdr=progress.hdr,
        )

    def close(self) -> None:
        """End the decoder's process; further frames are given up."""
        self._done = True
        self._stop()

    # -- messages --------------------------------------------------------------------------------------------------

    def _receive(self, wanted: bytes) -> Frame | None:
        """The next frame, or None at the end (and for the message that the child is ready)."""
        while True:
            try:
                kind, head, pixels = self._receiver.receive()
            except (wire.Silent, wire.WaitedTooLong, wire.Closed) as lost:
                self._lost(lost)
                return None
            if kind == wire.BEAT:
                continue
            if kind == wire.ERROR:
                self._raise(head)
            try:
                if kind == wire.READY and wanted == wire.READY:
                    return None
                self._note(head["progress"], finished=kind == wire.DONE)
                if kind == wire.DONE:
                    return None
                place = head["frame"]
                image = pixels.reshape(int(place["height"]), int(place["width"]), 3)
                return Frame(image, int(place["index"]), float(place["time_s"]), self._source, float(place["scale"]))
            except (KeyError, TypeError, ValueError):
                self._lost(wire.Closed("a message that makes no sense"))
                return None

    def _note(self, values: dict[str, Any], *, finished: bool) -> None:
        self._progress = Progress(**values)
        if not finished:
            self._progress.status, self._progress.note = "partial", _UNFINISHED

    def _raise(self, head: dict[str, Any]) -> NoReturn:
        if head.get("type") == "fault":
            raise RuntimeError(f"the decoder failed on {self._given}, a fault of dprnet:\n{head.get('sentence')}")
        kind = _ERRORS.get(str(head.get("type")), BadVideo)
        self._progress.note = str(head.get("sentence"))
        raise kind(self._given, str(head.get("sentence")), reason=str(head.get("reason")))

    def _lost(self, lost: Exception) -> None:
        """The child is gone or hangs: the frames so far stand, and without any the video is refused."""
        if isinstance(lost, wire.WaitedTooLong):
            allowed = self._limits.max_wall_s
            why = f"decoding took longer than the limit of {allowed:g} s; raise DecodeLimits.max_wall_s if it is wanted"
            if not (self._limits.clip and self._progress.frames):
                self._progress.note = why
                raise LimitExceeded(self._given, why, reason="limit:wall_s")
            self._progress.note = f"clipped after {self._progress.decoded_until_s:.3f} s: {why}"
            return
        if isinstance(lost, wire.Silent):
            why = f"the decoder gave no sign for {self._limits.max_silence_s:g} s and was killed"
        else:
            why = f"the decoder ended unexpectedly ({fate(self._process)})"
        if not self._progress.frames:
            raise BadVideo(self._given, why, reason="decoder_killed")
        self._progress.note = why


def open_video(
    path: str | Path,
    every: Every | str,
    *,
    limits: DecodeLimits | None = None,
    short_side: int | None = None,
    long_side: int | None = None,
    source: int = 0,
    intra_only: bool = False,
) -> Video:
    """Open a video for its key frames every T (paper, section 3.2); decoding starts at once, in a process of its own.

    Args:
        path: a file in MP4, MOV, 3GP, MKV, WebM, AVI, MPEG-TS or FLV.
        every: the interval, such as ``0.5s`` or ``15f``.
        limits: what the video may cost.
        short_side, long_side: pixels; frames with a longer side are made smaller, until neither is longer, while they
            are converted (``Frame.scale`` says how much). None is no limit. Whoever scales frames himself asks for the
            very size that he wants: each scaling costs time and sharpness.
        source: copied to every frame: which of several videos.
        intra_only: take the first picture at or after each multiple of the interval that is coded by itself alone,
            instead of the exact one. Several times cheaper, but its places are the encoder's choice, often seconds off.

    Raises:
        MissingFile: no such file, or an address.
        BadVideo: ``empty``, ``unsupported_format``, ``not_a_file``, ``no_video_stream``, ``undecodable``,
            ``encrypted``, ``decoder_killed``; some only show when the first frame is asked for.
        LimitExceeded: ``limit:<name>``, at once or on the way (with ``clip`` only where no frame comes before it).
        BadRecipe: an interval that is none.
    """
    wanted = Wanted(Every.parse(every), intra_only=intra_only)
    limits = limits or DecodeLimits()
    return Video(path, wanted, limits, short_side=short_side, long_side=long_side, source=source)


def frames_at(
    path: str | Path, indices: Iterable[int], *, limits: DecodeLimits | None = None, source: int = 0
) -> Iterator[Frame]:
    """Exactly these frames, at full size, ascending, each once (the second pass, after picking).

    Raises:
        BadVideo: ``missing_frame`` where the video ends before one of them; and as :func:`open_video`.
    """
    wanted = sorted({int(index) for index in indices})
    if wanted and wanted[0] < 0:
        raise BadVideo(path, f"frame {wanted[0]} cannot exist; frames count from 0", reason="missing_frame")
    if not wanted:
        return
    with Video(path, Wanted(indices=tuple(wanted)), limits or DecodeLimits(), source=source) as video:
        left = iter(wanted)
        for frame in video:
            if frame.index != next(left, None):
                break
            yield frame
        else:
            missing = next(left, None)
            if missing is None:
                return
            raise BadVideo(path, f"frame {missing} is not in the video", reason="missing_frame")
        raise BadVideo(path, f"a frame before frame {frame.index} could not be decoded", reason="missing_frame")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingFile(path, f"cannot be read again ({error.strerror})") from None
