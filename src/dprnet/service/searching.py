"""Search by one image: its garments, or a box of it, in a gallery; one at a time, few waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from starlette.requests import ClientDisconnect

from dprnet.core.bundle import Bundle
from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadImage
from dprnet.core.images import ImageLimits, cut_out, read_image
from dprnet.core.records import Frame, Image, Match
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.pick import PickConfig
from dprnet.service.config import ServiceConfig
from dprnet.service.problems import come_back
from dprnet.service.shelves import Shelves

GARMENTS = 8  # ours: the surest garments of one photo; more are strangers in the background
SURE = 0.3  # ours: at least; more where the bundle's picking wants a good view to be surer (``min_score``)
LOOK_S = 0.1  # ours: how often it is looked whether whoever asked is still there; a look costs some microseconds
T = TypeVar("T")
Box = tuple[float, float, float, float]
Seen = tuple[Box, str | None, float | None, dict[str, float] | None]


@dataclass(frozen=True, slots=True)
class Found:
    """One garment of an image, or the box that was asked for, with its matches."""

    box_xyxy: Box
    label: str | None
    score: float | None
    quality: dict[str, float] | None
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an image search found."""

    width: int
    height: int
    found: tuple[Found, ...]


class GivenUp(Exception):
    """Nobody waits for the answer any more."""


class Searcher:
    """The networks, for images; loaded once. Its work is done in one thread of its own."""

    def __init__(self, config: ServiceConfig, bundle: Bundle) -> None:
        self.config = config
        self.bundle = bundle
        self.detector = Detector.from_bundle(bundle, device=config.device)
        self.embedder = Embedder.from_bundle(bundle, device=config.device)
        picking = parse_settings(dict(bundle.settings("picking")), PickConfig, f"{bundle.name}.picking")
        self._sure = max(SURE, picking.min_score)
        self._limits = ImageLimits(max_bytes=config.max_image_bytes, max_pixels=config.max_image_pixels)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._asked: list[Future[Any]] = []

    async def alone(self, work: Callable[[threading.Event], T], left: Callable[[], Awaitable[bool]] | None = None) -> T:
        """Have work done in the thread of the networks.

        Args:
            work: is handed an event that is set where nobody waits for it any more; it may then raise anything.
            left: says whether whoever asked has gone away; what was not begun for them is not begun then.

        Raises:
            Problem: too many wait already.
            ClientDisconnect: whoever asked went away.
        """
        self._asked = [one for one in self._asked if not one.done()]
        if len(self._asked) >= self.config.max_searches:
            raise come_back(429, "busy", f"{len(self._asked)} searches wait already; try again in a second", 1)
        given_up = threading.Event()
        begun = self._thread.submit(work, given_up)
        self._asked.append(begun)
        answer = asyncio.wrap_future(begun)
        try:
            while not (await asyncio.wait([answer], timeout=LOOK_S))[0]:
                if left is not None and await left():
                    raise ClientDisconnect
            return answer.result()
        finally:
            given_up.set()
            answer.cancel()
            begun.cancel()  # at once, so that it takes no place in the queue

    def search(
        self,
        data: bytes,
        name: str,
        shelves: Shelves,
        gallery: str,
        *,
        items: int,
        where: str,
        box: Box | None,
        whole: bool,
        given_up: threading.Event,
    ) -> Answer:
        """Search by an image.

        Args:
            where: only items that pass this filter (``dprnet.gallery.filters``).
            box: only this part of it, in pixels of the upright image.
            whole: all of it as one garment; otherwise every garment found in it (all of it where none is).
            given_up: once it is set, the next step is not taken.

        Raises:
            GivenUp: it was set.
            BadImage: it cannot be read, or the box lies outside.
            BadFilter: the filter makes no sense.
        """
        _unless(given_up)
        image = read_image(data, name=name, limits=self._limits).image
        height, width = image.shape[:2]
        if box is not None:
            x1, y1, x2, y2 = box
            if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
                sentence = f"the box {box} does not lie inside its {width}x{height} pixels"
                raise BadImage(name, sentence, reason="box")
        _unless(given_up)
        found = [] if whole or box is not None else self._garments(image)
        _unless(given_up)
        if not found:
            found = [(box or (0.0, 0.0, float(width), float(height)), None, None, None)]
        vectors = self.embedder.views(cut_out(image, one[0]) for one in found)
        _unless(given_up)
        with shelves.gallery(gallery) as shelf:
            matches = shelf.search(vectors, items, where=where)
        return Answer(width, height, tuple(Found(*one, tuple(m)) for one, m in zip(found, matches, strict=True)))

    def _garments(self, image: Image) -> list[Seen]:
        seen = next(iter(self.detector([Frame(image, 0, 0.0)])))
        rows = [row for row in np.argsort(-seen.scores, kind="stable").tolist() if seen.scores[row] >= self._sure]
        found: list[Seen] = []
        for row in rows[:GARMENTS]:
            x1, y1, x2, y2 = map(float, seen.boxes_xyxy[row])
            quality = dict(zip(QUALITIES, map(float, seen.quality[row]), strict=True))
            found.append(((x1, y1, x2, y2), COARSE_CLASSES[int(seen.labels[row])], float(seen.scores[row]), quality))
        return found

    def close(self) -> None:
        """End the thread; what waits is not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _unless(given_up: threading.Event) -> None:
    if given_up.is_set():
        raise GivenUp
