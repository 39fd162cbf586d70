"""What a catalogue's photos change in a gallery, written a chunk of items at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dprnet.gallery import Gallery, Item, Problem
from dprnet.gallery.rows import metadata_json
from dprnet.pipeline.photos import Answer, Asked, Maker, Photo

CHUNK = 64  # ours: items a commit; a multiple of it where commits take long, few enough to lose little
MOST = 4096  # ours
SHARE = 20  # ours: writing takes at most one part in so many of the time
DETAILS = ("category", "title", "url", "price")


@dataclass(slots=True)
class Storing:
    """One run over a catalogue, and what it has done so far."""

    store: Gallery
    maker: Maker
    held: Mapping[str, list[dict[str, str]]]
    """Rows of the gallery by item."""
    problems: list[Problem]
    photos: int = 0
    unchanged: int = 0
    updated: int = 0
    _texts: list[Item] = field(default_factory=list)
    _changed: list[tuple[Item, tuple[Photo, ...]]] = field(default_factory=list)

    def items(self, items: Sequence[Item]) -> Iterator[Item]:
        """Make the photos of items and store them, a chunk of items at a time; then each of the chunk."""
        asked = [Asked(item, frozenset(row["content"] for row in self.held.get(item.item_id, ()))) for item in items]
        pace = Pace()
        chunk: list[Item] = []
        for answer in self.maker(asked):
            chunk.append(answer.item)
            self._sort(answer)
            if pace.due(len(chunk)):
                with pace.writing():
                    self._write()
                yield from chunk
                chunk = []
        self._write()
        yield from chunk

    def _sort(self, answer: Answer) -> None:
        """Nothing to do for an item, its texts to write, or all of it."""
        self.problems.extend(answer.problems)
        if not answer.photos:
            return
        item, photos = replace(answer.item, images=tuple(photo.path for photo in answer.photos)), answer.photos
        rows = self.held.get(item.item_id, [])
        if sorted((row["photo"], row["content"]) for row in rows) != sorted((str(p.path), p.content) for p in photos):
            self._changed.append((item, photos))
        elif any(rows[0][name] != getattr(item, name) for name in DETAILS) or rows[0]["metadata"] != metadata_json(
            item
        ):
            self._texts.append(item)
        else:
            self.unchanged += 1

    def _write(self) -> None:
        """What changed, texts in one commit and items in another; vectors of known photos are the gallery's."""
        texts, changed, self._texts, self._changed = self._texts, self._changed, [], []
        self.store.update(texts)
        self.updated += len(texts)
        if not changed:
            return
        reused = [item.item_id for item, photos in changed if any(photo.vector is None for photo in photos)]
        stored = {(row["item_id"], row["content"]): row for row in self.store.contents(reused)} if reused else {}
        flat = [(item, photo) for item, photos in changed for photo in photos]
        rows: list[tuple[Any, bytes]] = []
        for item, photo in flat:
            if photo.vector is None:
                row = stored[item.item_id, photo.content]
                rows.append((row["vector"], bytes(row["thumbnail"])))
            else:
                rows.append((photo.vector, photo.thumbnail))
                self.photos += 1
        array = np.array([vector for vector, _ in rows], np.float32)
        items = [item for item, _ in changed]
        self.store.upsert(items, array, [small for _, small in rows], [photo.content for _, photo in flat])


class Pace:
    """How many items go into a commit: few, so that a kill loses little, unless commits take long.

    A gallery of millions is looked through by every commit; then more items are waited for, so that writing takes
    at most one part in ``SHARE`` of the time.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def due(self, items: int) -> bool:
        """Whether so many items are to be written now."""
        return items >= MOST or (items > 0 and items % CHUNK == 0 and time.monotonic() >= self._next)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around a commit."""
        began = time.monotonic()
        yield
        ended = time.monotonic()
        self._next = ended + SHARE * (ended - began)
