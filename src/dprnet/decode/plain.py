"""The plain way: decode everything and keep what is wanted; the reference for the quick way, and its fallback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dprnet.decode.clock import Clock
from dprnet.decode.reader import Reader
from dprnet.decode.sampling import Targets
from dprnet.decode.structure import Clipped, Damaged

# A stream cut from the middle of another starts with packets that cannot be decoded; so many are forgiven.
FORGIVEN_ERRORS = 250  # ours: ten seconds


class Plain:
    """One pass over a stream; the attributes are those of :class:`dprnet.decode.quick.Quick`."""

    def __init__(self, reader: Reader, targets: Targets, *, intra_only: bool) -> None:
        self.end_s = 0.0
        self.reached_s = 0.0
        self.stopped_early = False
        self._reader, self._targets, self._intra_only = reader, targets, intra_only

    def frames(self) -> Iterator[tuple[Any, int, float]]:
        """The wanted frames: decoded frame, index, time in seconds.

        Raises:
            Damaged: after the frames before the damage.
        """
        clock = Clock(self._reader.stream)
        for index, frame in enumerate(self._decoded()):
            time_s, end_s = clock.read(frame)
            self._reader.check_duration(time_s)
            self.end_s = self.reached_s = end_s
            if (frame.key_frame or not self._intra_only) and self._targets.take(index, time_s):
                yield frame, index, time_s
            if self._targets.done(index + 1):
                self.stopped_early = True
                return

    def _decoded(self) -> Iterator[Any]:
        """All frames, in the order of presentation."""
        packets = self._reader.packets()
        first_damage: Damaged | None = None
        errors = 0
        last: int | None = None
        started = False
        while True:
            damage: Damaged | None = None
            try:
                packet = next(packets, None)
                decoded = self._reader.decode(packet)
            except Damaged as error:
                damage, packet, decoded = error, None, self._reader.drain()
            if damage is not None or (packet is None and self._reader.cut_short):
                decoded = self._in_sequence(decoded, last)
            for frame in decoded:
                started, last = True, frame.pts
                yield frame
            if damage is None and packet is None:
                break
            if damage is not None:
                errors += 1
                first_damage = first_damage or damage
                if started or errors > FORGIVEN_ERRORS or isinstance(damage, Clipped):
                    raise damage
        if not started and first_damage is not None:
            raise first_damage

    def _in_sequence(self, decoded: list[Any], last: int | None) -> list[Any]:
        if any(frame.pts is None for frame in decoded):
            return decoded
        return decoded[: self._reader.before_gap([frame.pts for frame in decoded], last)]
