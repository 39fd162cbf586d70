"""Groups of pictures: which packets make which frames, and which of them nothing else needs.

A group starts with a key frame and runs to the next, in the order of decoding. Packets that are shown before their
own key frame (an open group's leading pictures) also need the end of the group before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

# Codecs in which one packet is one frame and a key frame starts a group; all others are decoded plainly.
GROUPED = frozenset({"h264", "hevc", "vp9", "av1", "mjpeg", "prores"})
MAX_GROUP_PACKETS = 3_000  # ours: above it the group is not held, the video is decoded plainly
MAX_GROUP_BYTES = 48 << 20  # ours


class UnknownStructure(Exception):
    """The packets do not tell the frames (missing or odd times, hidden pictures): decode plainly."""


class Damaged(Exception):
    """Reading or decoding failed here; what came before is good."""


class Clipped(Damaged):
    """A limit was passed here (``limit:<name>`` is its reason), and the part before it was asked for."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(slots=True)
class Group:
    """One group of pictures, held until its targets are decoded."""

    packets: list[Any]
    """In the order of decoding, the key frame first."""
    shown: list[int]
    """Presentation times (ticks) of the frames that will come out, ascending."""
    spare: set[int]
    """Presentation times of the pictures that no other picture refers to."""
    last: bool = False
    """Is it the last group?"""
    damaged: bool = False
    """Did damage interrupt it?"""
    targets: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Presentation time -> (frame index, time in seconds) of the frames that are wanted."""

    @property
    def wants_tail(self) -> bool:
        """Is a leading picture wanted, which needs the end of the group before?"""
        key: int = self.packets[0].pts
        return any(pts < key for pts in self.targets)

    def needed(self, whole: bool) -> list[Any]:
        """The packets to decode: up to the last target (or all), without the spare ones that are no target."""
        end = len(self.packets)
        if not whole:
            end = 1 + max(i for i, packet in enumerate(self.packets) if packet.pts in self.targets)
        return [p for p in self.packets[:end] if p.pts in self.targets or p.pts not in self.spare]


def groups(packets: Iterable[Any], bitstream: Bitstream) -> Iterator[Group]:
    """Packets of one stream, in the order of decoding, as groups.

    Raises:
        UnknownStructure: where frames cannot be told from packets.
        Damaged: passed on from ``packets``, after the group that it interrupts.
    """
    held: list[Any] = []
    size = 0
    last = None
    damage: Damaged | None = None
    iterator = iter(packets)
    while True:
        try:
            packet = next(iterator, None)
        except Damaged as error:
            packet, damage = None, error
        if held and (packet is None or packet.is_keyframe):
            group = _group(held, bitstream, after=last)
            group.last, group.damaged = packet is None, damage is not None
            last = group.shown[-1] if group.shown else last
            yield group
            held, size = [], 0
        if packet is None:
            break
        if packet.pts is None or (not held and not packet.is_keyframe):
            raise UnknownStructure("a packet without a time, or before the first key frame")
        held.append(packet)
        size += packet.size
        if len(held) > MAX_GROUP_PACKETS or size > MAX_GROUP_BYTES:
            raise UnknownStructure("a group too long to hold")
    if damage is not None:
        raise damage


def _group(packets: list[Any], bitstream: Bitstream, after: int | None) -> Group:
    shown = sorted(packet.pts for packet in packets if not packet.is_discard)
    if len({packet.pts for packet in packets}) != len(packets):
        raise UnknownStructure("two packets with one time")
    if shown and after is None and shown[0] < packets[0].pts:
        raise UnknownStructure("the video starts with pictures whose references are missing")
    if shown and after is not None and shown[0] <= after:
        raise UnknownStructure("groups overlap in time")
    return Group(packets, shown, bitstream.spare(packets))


class Bitstream:
    """Reads from the packets of a codec which pictures are references; knows H.264, HEVC and VP9."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = codec
        extra = extradata or b""
        # avcC and hvcC start with 1 and say how long a length is; anything else has start codes.
        at = 4 if codec == "h264" else 21
        self._length_size = (extra[at] & 3) + 1 if len(extra) > at and extra[0] == 1 else 0
        self._top_layer = 0

    def spare(self, packets: list[Any]) -> set[int]:
        """Presentation times of the packets that nothing refers to (the key frame never is one)."""
        if self._codec == "hevc":
            return self._spare_hevc(packets)
        found = set()
        for packet in packets:
            if self._codec == "vp9":
                data = memoryview(packet)
                _refuse_hidden_vp9(bytes(data[:1]), bytes(data[-1:]))
            unused = packet.is_disposable or (self._codec == "h264" and self._unused_h264(packet))
            if unused and not packet.is_keyframe:
                found.add(packet.pts)
        return found

    def _unused_h264(self, packet: Any) -> bool:
        slices = 0
        for header in self._headers(bytes(packet)):
            if 1 <= header[0] & 31 <= 5:
                slices += 1
                if header[0] >> 5 & 3:  # nal_ref_idc
                    return False
        return slices > 0

    def _spare_hevc(self, packets: list[Any]) -> set[int]:
        layers: dict[int, int] = {}
        for packet in packets:
            kinds = [
                (header[0] >> 1 & 63, (header[1] & 7) - 1)
                for header in self._headers(bytes(packet))
                if len(header) > 1 and header[0] >> 1 & 63 < 32
            ]
            self._top_layer = max([self._top_layer, *(layer for _, layer in kinds)])
            # Even types up to 14: no reference for pictures of the same temporal layer (H.265, table 7-1).
            if kinds and all(kind % 2 == 0 and kind <= 14 for kind, _ in kinds) and not packet.is_keyframe:
                layers[packet.pts] = min(layer for _, layer in kinds)
        return {pts for pts, layer in layers.items() if layer == self._top_layer}

    def _headers(self, data: bytes) -> Iterator[bytes]:
        """The first two bytes of each network abstraction unit."""
        position = 0
        while self._length_size and position + self._length_size < len(data):
            start = position + self._length_size
            yield data[start : start + 2]
            position = start + int.from_bytes(data[position:start], "big")
        while not self._length_size:
            position = data.find(b"\0\0\1", position)
            if position < 0 or position + 4 > len(data):
                return
            position += 3
            yield data[position : position + 2]


def _refuse_hidden_vp9(first: bytes, last: bytes) -> None:
    """A superframe holds its hidden pictures; a hidden picture in a packet of its own makes no frame."""
    if not first or last[0] >> 5 == 0b110:
        return
    bits = f"{first[0]:08b}"
    at = 5 if bits[2:4] == "11" else 4
    show_existing, show = bits[at] == "1", bits[at + 2] == "1"
    if not show_existing and not show:
        raise UnknownStructure("a hidden picture in a packet of its own")
