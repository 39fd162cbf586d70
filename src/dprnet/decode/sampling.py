"""Which frames of a video are wanted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from dprnet.core.errors import BadRecipe

# Matroska and FLV round times to a millisecond: a frame that much too early still counts as on time.
TOLERANCE_S = 0.001
MIN_SECONDS = 0.001
_FORM = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|f)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Every:
    """The key-frame interval T of the paper (section 3.2), in seconds or in frames; exactly one is set.

    With seconds, the wanted frames are the first at or after 0, T, 2T, ... (each frame once); with frames, those
    whose index is a multiple.
    """

    seconds: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.frames is None):
            raise BadRecipe("every", "give either seconds or frames, such as '0.5s' or '15f'")
        if self.seconds is not None and not (MIN_SECONDS <= self.seconds < math.inf):
            raise BadRecipe("every", f"{self.seconds} seconds is not an interval; use {MIN_SECONDS} s or more")
        if self.frames is not None and self.frames < 1:
            raise BadRecipe("every", f"{self.frames} frames is not an interval; use 1 frame or more")

    @classmethod
    def parse(cls, text: str | Every) -> Every:
        """An interval from ``0.5s``, ``500ms`` or ``15f``.

        Raises:
            BadRecipe: any other form, or an interval of nothing.

        >>> Every.parse("0.5s"), Every.parse("15f")
        (Every(seconds=0.5, frames=None), Every(seconds=None, frames=15))
        """
        if isinstance(text, Every):
            return text
        found = _FORM.fullmatch(text) if len(text) < 40 else None
        if found is None:
            raise BadRecipe(
                "every", f"{text[:40]!r} is no interval; write seconds such as '0.5s' or frames such as '15f'"
            )
        number, unit = found.groups()
        if unit != "f":
            return cls(seconds=float(number) / (1000 if unit == "ms" else 1))
        if not number.isdigit():
            raise BadRecipe("every", f"{text!r}: an interval in frames must be a whole number")
        return cls(frames=int(number))

    def __str__(self) -> str:
        return f"{self.seconds:g}s" if self.seconds is not None else f"{self.frames}f"


class Targets(Protocol):
    """Decides frame by frame, in presentation order, which are wanted."""

    def take(self, index: int, time_s: float) -> bool:
        """Is this frame wanted? Asked once a frame, in order."""

    def done(self, index: int) -> bool:
        """Is neither this frame nor any later one wanted?"""


class EverySeconds:
    """The first frame at or after each multiple of an interval."""

    def __init__(self, seconds: float) -> None:
        self._interval = seconds
        self._tolerance = min(TOLERANCE_S, seconds / 10)
        self._next_s = 0.0

    def take(self, index: int, time_s: float) -> bool:
        """See :class:`Targets`."""
        late = time_s + self._tolerance
        if late < self._next_s:
            return False
        self._next_s = (math.floor(late / self._interval) + 1) * self._interval
        return True

    def done(self, index: int) -> bool:
        """Never: every later time has its frame."""
        return False


class EveryFrames:
    """Every n-th frame."""

    def __init__(self, frames: int) -> None:
        self._frames = frames

    def take(self, index: int, time_s: float) -> bool:
        """See :class:`Targets`."""
        return index % self._frames == 0

    def done(self, index: int) -> bool:
        """Never."""
        return False


class Indices:
    """Frames by their index."""

    def __init__(self, indices: Iterable[int]) -> None:
        self._wanted = frozenset(indices)
        self._last = max(self._wanted, default=-1)

    def take(self, index: int, time_s: float) -> bool:
        """See :class:`Targets`."""
        return index in self._wanted

    def done(self, index: int) -> bool:
        """After the largest index."""
        return index > self._last


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to decode: an interval, or the frames with these indices."""

    every: Every | None = None
    indices: tuple[int, ...] = ()
    intra_only: bool = False
    """Choose among the pictures that are coded by themselves alone."""

    def targets(self) -> Targets:
        """A fresh decision, from the first frame on."""
        if self.every is None:
            return Indices(self.indices)
        if self.every.seconds is not None:
            return EverySeconds(self.every.seconds)
        return EveryFrames(self.every.frames or 1)

    def to_json(self) -> dict[str, Any]:
        """For the child process."""
        every = self.every
        return {
            "every": every and [every.seconds, every.frames],
            "indices": self.indices,
            "intra_only": self.intra_only,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The opposite of :meth:`to_json`."""
        every = values["every"]
        return cls(every and Every(*every), tuple(values["indices"]), bool(values["intra_only"]))
