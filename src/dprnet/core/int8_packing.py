"""int8 graphs as a bundle keeps them: without what its weights tell already, and so at a fraction of their size.

The constants of such a graph are the network's weights once more, as they are or divided by a scale and rounded. Kept
is the difference of the graph's bytes to what the weights let expect, nearly all zeros, compressed:

    a line of JSON   {"xml": its bytes, "sha256": of .xml and .bin, "known": [Known, ...]}
    the graph's .xml
    its .bin, less (modulo 256) what is known
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dprnet.core.graph_cache import Stored

Arrays = Mapping[str, NDArray[Any]]
Bytes = NDArray[np.uint8]

MOST_BYTES = 512 << 20  # ours: of an unpacked graph; one of ours has 10 MB
SMALLEST = 64  # ours: numbers of a constant; smaller ones are not worth a line
FLOATS = {"f32": "<f4", "f16": "<f2"}
WHOLE = "i8"


class Known(NamedTuple):
    """A constant of a graph that follows from an array of the weights."""

    first: int
    """Its first byte in the .bin."""
    kind: str
    """f32, f16 or i8."""
    array: str
    """Name of the array."""
    scale: int = 0
    """First byte of its scales (i8 alone), float32, one for each of equal parts of the array."""
    scales: int = 0
    """How many."""

    def expected(self, constants: Bytes, arrays: Arrays) -> Bytes:
        """Its bytes, as the array (and the scales, which are among the constants) let expect them."""
        values = arrays[self.array].astype(np.float32)
        if self.kind != WHOLE:
            return np.frombuffer(values.astype(FLOATS[self.kind]).tobytes(), np.uint8)
        scale = np.frombuffer(constants[self.scale : self.scale + 4 * self.scales].tobytes(), "<f4")
        parts = values.reshape(self.scales, -1) / np.where(scale > 0, scale, 1)[:, None]
        return np.frombuffer(np.rint(parts).clip(-128, 127).astype(np.int8).tobytes(), np.uint8)


def pack(graph: Stored, arrays: Arrays) -> bytes:
    """A graph, less what the arrays of its network tell of it."""
    constants = np.frombuffer(graph.constants, np.uint8)
    known = list(_known(graph.xml, constants, arrays))
    rest = constants.copy()
    for one in known:
        told = one.expected(constants, arrays)
        rest[one.first : one.first + len(told)] -= told
    head = {"xml": len(graph.xml), "sha256": _digest(graph), "known": known}
    return lzma.compress(json.dumps(head).encode() + b"\n" + graph.xml + rest.tobytes(), preset=9)


def unpack(packed: bytes, arrays: Arrays) -> Stored:
    """The graph, byte for byte.

    Raises:
        ValueError: these are no packed graph, or the arrays are not those that it was packed with.
    """
    try:
        reading = lzma.LZMADecompressor()
        whole = reading.decompress(packed, MOST_BYTES)
        if not reading.eof:
            raise ValueError(f"cut short, or larger than {MOST_BYTES} bytes")
        line, _, body = whole.partition(b"\n")
        head = json.loads(line)
        xml, constants = body[: head["xml"]], np.frombuffer(body[head["xml"] :], np.uint8).copy()
        # Scales are floats: all of them are there once the floats are.
        for one in sorted((Known(*entry) for entry in head["known"]), key=lambda one: one.kind == WHOLE):
            told = one.expected(constants, arrays)
            constants[one.first : one.first + len(told)] += told
        graph = Stored(xml, constants.tobytes())
        if _digest(graph) != head["sha256"]:
            raise ValueError("the weights are not those that it was packed with")
    except (lzma.LZMAError, KeyError, TypeError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"no packed graph ({type(error).__name__}: {error})") from None
    return graph


def _digest(graph: Stored) -> str:
    return hashlib.sha256(graph.xml + graph.constants).hexdigest()


def _known(xml: bytes, constants: Bytes, arrays: Arrays) -> Iterator[Known]:
    """The constants of a graph that are mostly what an array lets expect."""
    of_size: dict[int, list[str]] = {}
    for name, array in arrays.items():
        of_size.setdefault(array.size, []).append(name)
    layers = _Layers(xml)
    for layer, kind, first, size in layers.constants():
        names = of_size.get(size // (1 if kind == WHOLE else np.dtype(FLOATS[kind]).itemsize), [])
        scale = layers.scale(layer) if kind == WHOLE else (0, 0)
        if scale is None or size < SMALLEST or (kind == WHOLE and (not scale[1] or size % scale[1])):
            continue
        there = constants[first : first + size]
        found = [Known(first, kind, name, *scale) for name in names]
        wrong = [int(np.count_nonzero(one.expected(constants, arrays) != there)) for one in found]
        if wrong and min(wrong) < size // 2:
            yield found[wrong.index(min(wrong))]


class _Layers:
    """What a graph's .xml says of its layers."""

    def __init__(self, xml: bytes) -> None:
        root = ElementTree.fromstring(xml)  # noqa: S314  (of OpenVINO itself, a moment ago)
        self._layers = {str(layer.get("id")): layer for layer in root.iterfind("layers/layer")}
        self._from: dict[str, list[str]] = {}
        self._to: dict[str, list[str]] = {}
        for edge in root.iterfind("edges/edge"):
            source, target = str(edge.get("from-layer")), str(edge.get("to-layer"))
            self._to.setdefault(source, []).append(target)
            self._from.setdefault(target, []).append(source)

    def constants(self) -> Iterator[tuple[str, str, int, int]]:
        """Layer, kind, first byte and bytes of each constant of a kind that we know."""
        for layer in self._layers:
            place = self._place(layer)
            if place is not None and place[0] in (WHOLE, *FLOATS):
                yield (layer, *place)

    def scale(self, layer: str) -> tuple[int, int] | None:
        """First byte and number of the scales that whole numbers are multiplied by: they are made floats, perhaps a
        zero point is taken off, and then comes the product."""
        after = layer
        for _ in range(3):
            before, after = after, self._to.get(after, [""])[0]
            if after and self._layers[after].get("type") == "Multiply":
                (other,) = [source for source in self._from[after] if source != before] or [""]
                place = self._place(other)
                return (place[1], place[2] // 4) if place is not None and place[0] == "f32" else None
        return None

    def _place(self, layer: str) -> tuple[str, int, int] | None:
        found = self._layers.get(layer)
        data = found.find("data") if found is not None and found.get("type") == "Const" else None
        if data is None:
            return None
        return str(data.get("element_type")), int(data.get("offset", 0)), int(data.get("size", 0))
