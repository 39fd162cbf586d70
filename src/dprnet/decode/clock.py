"""Times of frames where the file's own are missing or odd (row V4 of the promises)."""

from __future__ import annotations

from typing import Any

FALLBACK_RATE = 25.0  # ours: where the file states no rate at all
MAX_GLITCH_S = 1.0  # ours: going back further is a new count of the clock, not a misplaced frame


class Clock:
    """Seconds since the first frame, strictly increasing from 0, frame by frame in the order of presentation.

    The frame's own time where it has one that moves on; else the last time and one frame. Where the file's clock
    starts anew (by more than a second back), its times are moved to go on from there.
    """

    def __init__(self, stream: Any) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._tick_s = float(stream.time_base or 0)
        self._step_s = 1 / float(rate) if rate and 0.01 < rate < 1000 else 1 / FALLBACK_RATE
        self._zero_s: float | None = None
        self._last_s = -1.0

    def read(self, frame: Any) -> tuple[float, float]:
        """(start, end) of a frame in seconds."""
        length = float(frame.duration or 0) * self._tick_s
        length = length if 0 < length < 60 else self._step_s
        own = None if frame.pts is None else frame.pts * self._tick_s
        if self._last_s < 0:
            self._zero_s = own
            self._last_s = 0.0
            return 0.0, length
        expected = self._last_s + self._step_s
        if own is not None and self._zero_s is None:
            self._zero_s = own - expected
        time_s = expected if own is None or self._zero_s is None else own - self._zero_s
        if time_s <= self._last_s:
            if own is not None and time_s < self._last_s - MAX_GLITCH_S:
                self._zero_s = own - expected
            time_s = expected
        self._last_s = time_s
        return time_s, time_s + length
