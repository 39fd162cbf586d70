"""The quick way: packets are grouped without decoding, and of each group only what its targets need is decoded.

Groups without a target are skipped. In the others decoding stops after the last target, and pictures that no other
picture refers to are left out unless they are targets. An open group's leading pictures, if wanted, need the group
before them to its end. The frames are those of the plain way; where the decoder does not deliver what the packets
promised, ``UnknownStructure`` says so, and the plain way is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dprnet.decode.reader import Reader
from dprnet.decode.sampling import Targets
from dprnet.decode.structure import Bitstream, Clipped, Damaged, Group, UnknownStructure, groups

Placed = tuple[Any, int, float]
"""A decoded frame of PyAV, its index, its time in seconds."""


class Quick:
    """One pass over a stream; ``reached_s`` and ``end_s`` tell how far decoding and reading came."""

    def __init__(self, reader: Reader, targets: Targets, *, intra_only: bool) -> None:
        self.end_s = 0.0
        self.reached_s = 0.0
        self.stopped_early = False
        self._reader, self._targets, self._intra_only = reader, targets, intra_only
        self._first_pts: int | None = None
        self._next_index = 0
        self._expected: dict[int, tuple[int, float]] = {}
        self._continuing = False
        self._clipped: Clipped | None = None

    def frames(self) -> Iterator[Placed]:
        """The wanted frames, in the order they come out.

        Raises:
            UnknownStructure: take the plain way instead.
            Damaged: after the frames before the damage.
        """
        held: Group | None = None
        damage: Damaged | None = None
        stream = groups(self._reader.packets(), Bitstream(self._reader.codec, self._reader.codec_context.extradata))
        while True:
            try:
                if self._clipped is not None:
                    raise self._clipped
                group = next(stream, None)
            except Damaged as error:
                group, damage = None, error
            if group is not None:
                if group.last and (group.damaged or self._reader.cut_short):
                    del group.shown[self._reader.before_gap(group.shown) :]
                self._plan(group)
            if held is not None:
                yield from self._decode(held, whole=group is not None and group.wants_tail)
            held = group
            if group is None:
                break
            if self._targets.done(self._next_index):
                self.stopped_early = True
                yield from self._decode(group, whole=False)
                return
        self.reached_s = self.end_s  # of what was skipped, every packet was there
        if damage is not None:
            raise damage

    def _plan(self, group: Group) -> None:
        """Number the frames of a group and mark those that are wanted."""
        if not group.shown:
            return
        if self._first_pts is None:
            self._first_pts = group.shown[0]
        key = group.packets[0].pts
        for index, pts in enumerate(list(group.shown), start=self._next_index):
            time_s = (pts - self._first_pts) * self._reader.tick_s
            try:
                self._reader.check_duration(time_s)
            except Clipped as clipped:
                self._clipped = clipped
                del group.shown[index - self._next_index :]
                break
            if (pts == key or not self._intra_only) and self._targets.take(index, time_s):
                group.targets[pts] = (index, time_s)
        self._next_index += len(group.shown)
        if not group.shown:
            return
        last_s = (group.shown[-1] - self._first_pts) * self._reader.tick_s
        length = next(packet.duration for packet in group.packets if packet.pts == group.shown[-1])
        self.end_s = last_s + (length or 0) * self._reader.tick_s

    def _decode(self, group: Group, whole: bool) -> Iterator[Placed]:
        if not group.targets and not whole:
            self._continuing = False
            return
        self._expected.update(group.targets)
        key = group.packets[0].pts
        damage: Damaged | None = None
        for packet in group.needed(whole):
            self._reader.check_effort()
            try:
                yield from self._deliver(self._reader.decode(packet))
            except Damaged as error:
                if packet.pts < key and not self._continuing:
                    continue  # its references were skipped on purpose, and it is no target
                damage = error
                break
        self._continuing = whole and damage is None
        if self._continuing:
            return
        yield from self._deliver(self._reader.drain())
        if damage is not None:
            raise damage
        if self._expected:
            raise UnknownStructure("a wanted frame did not come out of the decoder")

    def _deliver(self, decoded: list[Any]) -> Iterator[Placed]:
        for frame in decoded:
            if frame.interlaced_frame:
                raise UnknownStructure("interlaced: two packets may make one frame")
            if frame.pts is None or self._first_pts is None:
                raise UnknownStructure("a frame without a time")
            end_s = (frame.pts + (frame.duration or 0) - self._first_pts) * self._reader.tick_s
            self.reached_s = max(self.reached_s, end_s)
            place = self._expected.pop(frame.pts, None)
            if place is not None:
                yield (frame, *place)
