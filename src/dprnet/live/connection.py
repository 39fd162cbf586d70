"""Frames of a stream for as long as it lives, whatever becomes of the line: lost, tried again, back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from dprnet.core.errors import BadVideo, LimitExceeded, printable
from dprnet.core.records import Frame
from dprnet.decode import wire
from dprnet.decode.process import fate, start, stop
from dprnet.live.config import WatchConfig
from dprnet.live.source import LiveSource

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # ours: doubled at each try in vain
MODULE = "dprnet.live.child"
HOPELESS = {"no_video_stream", "limit:pixels", "limit:streams", "limit:memory"}  # would be so again


@dataclass(frozen=True, slots=True)
class Lost:
    """The line is broken; it is tried again."""

    why: str
    retry_s: float


@dataclass(frozen=True, slots=True)
class Back:
    """Pictures come again."""

    after_s: float


class Broken(Exception):
    """One connection ended otherwise than by the end of the stream."""

    def __init__(self, why: str, *, hopeless: bool = False) -> None:
        super().__init__(why)
        self.hopeless = hopeless


class Connection:
    """A source, read by a child process that is replaced when it fails. Iterate it once.

    Times count from the first frame by the stream's own clock; after a break they go on where the wall clock is.
    """

    def __init__(self, source: LiveSource, config: WatchConfig) -> None:
        self.source, self._config = source, config
        self.frames = self.skipped = self.breaks = 0
        self._ended = threading.Event()
        self._started_s = self._last_s = self._offset_s = 0.0
        self._index = self._base = 0

    def close(self) -> None:
        """End at the next frame, or at once where none comes; may be called from another thread."""
        self._ended.set()

    def __iter__(self) -> Iterator[Frame | Lost | Back]:
        """Frames, and what became of the line.

        Raises:
            BadVideo: it was never reached, cannot be used, or stayed away for ``give_up_s``.
            LimitExceeded: its pictures are too large.
        """
        pause_s, away_since = FIRST_PAUSE_S, time.monotonic()
        lost = False
        while not self._ended.is_set():
            try:
                for frame in self._once():
                    if lost:
                        yield Back(round(time.monotonic() - away_since, 3))
                    lost, pause_s = False, FIRST_PAUSE_S
                    yield frame
                    away_since = time.monotonic()
                return
            except Broken as broken:
                why = str(broken)
                if broken.hopeless or not self._may_come_back or time.monotonic() - away_since > self._config.give_up_s:
                    self._refuse(why)
            self.breaks += not lost
            lost = True
            yield Lost(why, pause_s)
            self._ended.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    @property
    def _may_come_back(self) -> bool:
        # A file is where it was, and what was wrong with it still is; a pipe has only one end. An address that was
        # never reached is as likely mistyped: whoever typed it is told at once.
        return self.source.kind == "network" and self.frames > 0

    def _refuse(self, why: str) -> NoReturn:
        if not self.frames:
            raise BadVideo(self.source.shown, why, reason="unreachable")
        tried = f" for {self._config.give_up_s:g} s" if self._may_come_back else ""
        raise BadVideo(self.source.shown, f"{why}; lost{tried} after {self.frames} pictures", reason="lost")

    def _once(self) -> Iterator[Frame]:
        """The frames of one connection; returns where the stream ended."""
        config = self._config
        pipe = os.dup(0) if self.source.kind == "pipe" else None
        request = {
            "kind": self.source.kind,
            "address": self.source.address,
            "every": config.every,
            "short_side": config.short_side,
            "silence_s": config.silence_s,
            "idle_s": config.idle_s,
            "max_lag_s": config.max_lag_s,
            "max_pixels": config.max_pixels,
            "max_memory_bytes": config.max_memory_bytes,
            "fd": pipe,
        }
        process = start(request, MODULE, (pipe,) if pipe is not None else ())
        # A listener that is told to end must not wait for a picture.
        watcher = threading.Thread(target=self._end_with, args=(process,), daemon=True)
        watcher.start()
        try:
            yield from self._received(process)
        finally:
            stop(process, os.getpid())
            if pipe is not None:
                os.close(pipe)

    def _received(self, process: subprocess.Popen[bytes]) -> Iterator[Frame]:
        assert process.stdout is not None, "the reader's output is a pipe"
        receiver = wire.Receiver(
            process.stdout.fileno(),
            max_silence_s=self._config.silence_s,
            max_wall_s=float("inf"),
            max_pixels=self._config.max_pixels,
        )
        skipped_before, first = self.skipped, True
        while True:
            try:
                kind, head, pixels = receiver.receive()
            except wire.Silent:
                raise Broken(f"gave no sign for {self._config.silence_s:g} s") from None
            except wire.Closed:
                if self._ended.is_set():
                    return
                raise Broken(f"its reader ended unexpectedly ({fate(process)})") from None
            if kind == wire.ERROR:
                self._broken(head)
            if kind == wire.DONE:
                if head.get("may_end"):
                    return
                raise Broken("the connection was closed")
            if kind == wire.FRAME:
                self.skipped = skipped_before + int(head.get("skipped", 0))
                yield self._placed(head["frame"], pixels, first)
                first = False

    def _placed(self, place: dict[str, Any], pixels: Any, first: bool) -> Frame:
        """A frame with its place in the whole watch."""
        try:
            image = pixels.reshape(int(place["height"]), int(place["width"]), 3)
            frame = Frame(image, int(place["index"]), float(place["time_s"]), 0, float(place["scale"]))
        except (KeyError, TypeError, ValueError):
            raise Broken("its reader sent what makes no sense") from None
        if not self.frames:
            self._started_s = time.monotonic()
        elif first:  # after a break
            wall_s = time.monotonic() - self._started_s
            self._offset_s, self._base = max(self._last_s + 0.001, wall_s) - frame.time_s, self._index + 1
        self.frames += 1
        self._index, self._last_s = frame.index + self._base, frame.time_s + self._offset_s
        return replace(frame, index=self._index, time_s=self._last_s)

    def _broken(self, head: dict[str, Any]) -> NoReturn:
        sentence, reason = printable(str(head.get("sentence"))), str(head.get("reason"))
        if head.get("type") == "fault":
            raise RuntimeError(f"reading {self.source.shown} failed, a fault of dprnet:\n{head.get('sentence')}")
        if head.get("type") == "LimitExceeded":
            raise LimitExceeded(self.source.shown, sentence, reason=reason)
        raise Broken(sentence, hopeless=reason in HOPELESS)

    def _end_with(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if self._ended.wait(0.2):
                with contextlib.suppress(OSError):
                    process.kill()
                return
