"""Photos of a catalogue as vectors: read, made small and embedded side by side, so that no core waits for another.

    items -> [readers: bytes, hash, pixels, square, thumbnail] -> [lanes: vectors] -> items with their photos

What is known by its content is not even decoded. Between the steps wait squares of some hundred pixels and no whole
photos, so that phone photos at full size take no gigabytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dprnet.core import graphs
from dprnet.core.errors import DprnetError
from dprnet.core.fetching import FetchLimits, fetch_bytes
from dprnet.core.images import Picture, file_bytes, jpeg_bytes, read_picture, shrink, unboxed
from dprnet.core.lanes import in_order
from dprnet.core.records import FloatArray, Image
from dprnet.detect import Detector
from dprnet.embed.config import prepare
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Item, Problem
from dprnet.pipeline.categories import cut_to_category

PHOTO_SIDE = 448  # ours: short side in pixels; twice what the embedder looks at, so that shrinking stays smooth
THUMBNAIL_SIDE = 220  # ours: what a page shows beside a garment, some 8 kB
THUMBNAIL_QUALITY = 80  # ours
FETCHERS = 16  # ours: a server's answer is waited for, not computed
READERS = 4  # ours: at least; decoding lets go of Python's lock, and a disk is waited for
AHEAD = 64  # ours: photos that are read and not embedded
KNOWN_AT_ONCE = 64  # ours: photos that go on together where most were known already
ANSWERED = 16  # ours: batches that are embedded and not stored, so that the lanes go on while a chunk is written
CUT_AT_ONCE = 32  # ours: photos the detector gets at once
CONTENT_CHARS = 32  # ours: 128 bits of a SHA-256


@dataclass(frozen=True, slots=True)
class Asked:
    """An item whose photos are wanted."""

    item: Item
    known: Collection[str] = ()
    """Contents whose vectors are known."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo of an item."""

    path: Path | str
    content: str
    """Hash of the file and of what is done to it before embedding."""
    vector: FloatArray | None = None
    """(D,) of length 1; None where the content was known already."""
    thumbnail: bytes = b""
    """A small JPEG; empty where the content was known already."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item's photos: those that could be read, and what was wrong with the others."""

    item: Item
    photos: tuple[Photo, ...]
    problems: tuple[Problem, ...] = ()


class Maker(Protocol):
    """Makes photos of items, in this process or elsewhere."""

    identity: str
    """Of the embedder."""
    preparation: str
    """What is done to photos before they are embedded."""

    @property
    def size(self) -> int:
        """D."""
        ...

    def __call__(self, asked: Sequence[Asked]) -> Iterator[Answer]:
        """An answer for each item, in any order."""
        ...


def preparation_of(cut: bool) -> str:
    """How a gallery's card calls it."""
    return "cut" if cut else "whole"


@dataclass(slots=True)
class _Read:
    """One photo on its way."""

    asked: Asked
    last: bool
    """Whether it is the item's last."""
    photo: Photo
    image: Image | None = None
    """What is to be embedded."""
    problem: Problem | None = None


class PhotosHere:
    """Makes photos in this process; see :class:`Maker`. Answers come in the order of the items.

    Args:
        embedder: makes the vectors.
        detector: cuts each photo to the garment of the item's category, where it finds one.
        fetch: what photos that are addresses may cost; None: they are problems.
    """

    def __init__(self, embedder: Embedder, detector: Detector | None = None, fetch: FetchLimits | None = None) -> None:
        self._embedder, self._detector, self._fetch = embedder, detector, fetch
        self.identity, self.size = embedder.identity, embedder.size
        self.preparation = preparation_of(detector is not None)

    def __call__(self, asked: Sequence[Asked]) -> Iterator[Answer]:
        """See :class:`Maker`."""
        remote = any(isinstance(photo, str) for one in asked for photo in one.item.images)
        readers = FETCHERS if remote else max(READERS, graphs.lanes())
        photos = ((one, place) for one in asked for place in range(len(one.item.images)))
        read = in_order(lambda which: self._read(*which), photos, readers, waiting=AHEAD)
        lanes = self._embedder.runtime.lanes
        made = in_order(self._embedded, self._batches(self._cut(read)), lanes, waiting=ANSWERED)
        try:
            yield from _by_item(itertools.chain.from_iterable(made))
        finally:
            with contextlib.suppress(ValueError):  # a photo that does not come is waited for no longer
                made.close()  # type: ignore[attr-defined]
                read.close()  # type: ignore[attr-defined]

    def _read(self, asked: Asked, place: int) -> _Read:
        path = asked.item.images[place]
        last = place == len(asked.item.images) - 1
        try:
            data = fetch_bytes(path, self._fetch) if isinstance(path, str) else file_bytes(path)
            digest = hashlib.sha256(data)
            digest.update(self.preparation.encode())
            photo = Photo(path, digest.hexdigest()[:CONTENT_CHARS])
            if photo.content in asked.known:
                return _Read(asked, last, photo)
            side = self._detector.short_side if self._detector else PHOTO_SIDE
            image, small = self._seen(read_picture(data, short_side=side, name=str(path)))
        except DprnetError as error:
            return _Read(asked, last, Photo(path, ""), problem=Problem(str(path), error.sentence))
        return _Read(asked, last, replace(photo, thumbnail=jpeg_bytes(small, THUMBNAIL_QUALITY)), image)

    def _seen(self, picture: Picture) -> tuple[Image, Image]:
        """What is to be embedded, and what a page shows of it."""
        config = self._embedder.config
        if self._detector is not None:
            return picture.pixels, shrink(picture, THUMBNAIL_SIDE)
        square = prepare(picture, config)
        if config.fit == "letterbox" and THUMBNAIL_SIDE <= config.image_size <= max(picture.size):
            return square, unboxed(square, *picture.size)  # about the same size: made small once, not twice
        return square, shrink(picture, THUMBNAIL_SIDE)

    def _cut(self, read: Iterable[_Read]) -> Iterator[_Read]:
        """The photos with the garment alone, where that is asked for."""
        if self._detector is None:
            yield from read
            return
        source = iter(read)
        while some := list(itertools.islice(source, CUT_AT_ONCE)):
            whole = [(one, one.image) for one in some if one.image is not None]
            cut = cut_to_category([one.asked.item for one, _ in whole], [image for _, image in whole], self._detector)
            for (one, _), image in zip(whole, cut, strict=True):
                one.image = prepare(image, self._embedder.config)
            yield from some

    def _batches(self, read: Iterable[_Read]) -> Iterator[list[_Read]]:
        """As many as the embedder takes at once, and the others among them."""
        batch: list[_Read] = []
        wanted = 0
        for one in read:
            batch.append(one)
            wanted += one.image is not None
            if wanted == self._embedder.batch or len(batch) >= max(KNOWN_AT_ONCE, self._embedder.batch):
                yield batch
                batch, wanted = [], 0
        if batch:
            yield batch

    def _embedded(self, batch: list[_Read]) -> list[_Read]:
        wanted = [one for one in batch if one.image is not None]
        vectors = self._embedder.one_batch([one.image for one in wanted if one.image is not None])
        for one, vector in zip(wanted, vectors, strict=True):
            one.photo, one.image = replace(one.photo, vector=vector), None
        return batch


def _by_item(photos: Iterable[_Read]) -> Iterator[Answer]:
    """Photos, in order, as answers."""
    waiting: deque[_Read] = deque()
    for one in photos:
        waiting.append(one)
        if one.last:
            read = tuple(each.photo for each in waiting if each.problem is None)
            problems = [each.problem for each in waiting if each.problem is not None]
            if not read:
                problems.append(Problem(one.asked.item.item_id, "left out: none of its photos could be read"))
            yield Answer(one.asked.item, read, tuple(problems))
            waiting.clear()
