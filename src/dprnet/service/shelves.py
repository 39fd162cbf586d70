"""The galleries a service offers, by name."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dprnet.core.errors import BadGallery, DprnetError, MissingFile
from dprnet.core.images import ImageLimits, jpeg_bytes, read_image, shrink
from dprnet.core.records import Match
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Gallery, Item
from dprnet.service.config import NAME, ServiceConfig

PHOTO_SIDE = 1024  # ours: pixels of the longer side of a photo that was added; more helps neither page nor embedder
KEPT_PICTURES = 2000  # ours: some 16 MB of small JPEGs
THUMBNAIL_SIDE = 220  # ours: as indexing a catalogue makes them


@dataclass(frozen=True, slots=True)
class Shelf:
    """One gallery as it is offered."""

    name: str
    items: int
    version: int
    embedder: str
    usable: bool
    """Made by the embedder of the service's bundle."""


class Shelves:
    """Open galleries. One thread at a time works on each; a search sees the newest version."""

    def __init__(self, config: ServiceConfig, embedder: str, size: int) -> None:
        self._config, self._embedder, self._size = config, embedder, size
        self._open: dict[str, Gallery] = {}
        self._items: dict[str, tuple[int, list[Item]]] = {}
        self._pictures: dict[tuple[str, int, str, str], bytes] = {}
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        """All of them."""
        return list(self._config.gallery_paths())

    @contextmanager
    def gallery(self, name: str) -> Iterator[Gallery]:
        """One of them, for this thread alone, at its newest version.

        Raises:
            MissingFile: no gallery of this name.
            BadGallery: damaged, or of another embedder.
        """
        path = self._config.gallery_paths().get(name)
        if path is None:
            known = ", ".join(self.names()) or "none yet"
            raise MissingFile(f"gallery {name[:80]}", f"there is no such gallery; there are: {known}")
        with self._lock:
            if name not in self._open:
                try:
                    self._open[name] = Gallery.open(path, embedder=self._embedder, config=self._config.index(name))
                except DprnetError as error:
                    raise type(error)(f"gallery {name}", error.sentence, reason=error.reason) from None
            found = self._open[name]
            found.refresh()
            yield found

    def check(self, name: str) -> None:
        """Raise as :meth:`gallery` where it cannot be used."""
        with self.gallery(name):
            pass

    def all(self) -> list[Shelf]:
        """What there is, also what cannot be searched: made by another embedder, or damaged."""
        return [self._told(name) for name in self.names()]

    def one(self, name: str) -> Shelf:
        """What there is to say of one.

        Raises:
            MissingFile: no gallery of this name.
            BadGallery: damaged.
        """
        try:
            with self.gallery(name) as found:
                return Shelf(name, len(found), found.version, found.embedder, True)
        except BadGallery as refused:
            try:
                with Gallery.open(self._config.gallery_paths()[name]) as other:
                    return Shelf(name, len(other), other.version, other.embedder, False)
            except DprnetError:
                raise refused from None

    def _told(self, name: str) -> Shelf:
        try:
            return self.one(name)
        except DprnetError:
            return Shelf(name, 0, 0, "", False)  # whoever asks for it is told why

    def create(self, name: str) -> Shelf:
        """A new, empty gallery.

        Raises:
            BadGallery: the name is taken or no name.
        """
        if not re.fullmatch(NAME, name):
            raise BadGallery(
                f"gallery {name[:80]}", "a name is up to 64 letters, digits, '.', '-' and '_'", reason="name"
            )
        with self._lock:
            if name in self._config.gallery_paths():
                raise BadGallery(f"gallery {name}", "there is one of this name", reason="exists")
            Gallery.create(self._config.folder / "galleries" / name, embedder=self._embedder, size=self._size).close()
        return self.one(name)

    def delete(self, name: str) -> None:
        """Remove a gallery that was made through the service, with the photos added to it.

        Raises:
            MissingFile: no such gallery.
            BadGallery: it was named when the service was started, so it is not the service's to remove.
        """
        with self._lock:
            with self.gallery(name):
                pass
            if name in self._config.galleries:
                raise BadGallery(
                    f"gallery {name}", "was given to the service by its operator; remove it there", reason="not_ours"
                )
            self._open.pop(name).close()
            self._items.pop(name, None)
            shutil.rmtree(self._config.folder / "galleries" / name)
            shutil.rmtree(self._photos(name), ignore_errors=True)

    def items(self, name: str, where: str = "") -> list[Item]:
        """All items of a gallery, or those that pass a filter, in the order of their ids.

        Raises:
            BadFilter: the filter makes no sense.
        """
        with self.gallery(name) as found:
            if where:
                return list(found.items(where))
            version = found.version
            if self._items.get(name, (None,))[0] != version:
                self._items[name] = (version, list(found.items()))
            return self._items[name][1]

    def find(self, name: str, item_id: str) -> Item:
        """One item.

        Raises:
            MissingFile: no such gallery or item.
        """
        for item in self.items(name):
            if item.item_id == item_id:
                return item
        raise MissingFile(f"item {item_id[:80]}", f"is not in gallery {name}")

    def thumbnail(self, name: str, item_id: str, photo: int) -> bytes:
        """A small JPEG of an item's photo, by its place.

        Raises:
            MissingFile: no such item or photo, or none was kept of it.
        """
        item = self.find(name, item_id)
        if not 0 <= photo < len(item.images):
            raise MissingFile(f"item {item_id[:80]}", f"has no photo {photo}; it has {len(item.images)}, from 0")
        match = Match(item_id, 0.0, photo=str(item.images[photo]))
        with self.gallery(name) as found:
            key = (name, found.version, item_id, match.photo)
            if key not in self._pictures:
                self._pictures.update(self._read(found, name, [match]))
        if not (jpeg := self._pictures.get(key, b"")):
            raise MissingFile(f"item {item_id[:80]}", "no small picture was kept of this photo")
        return jpeg

    def expect(self, name: str, items: Sequence[Item]) -> None:
        """Read the first small picture of each item at once: a page is about to ask for them one by one."""
        with self.gallery(name) as found:
            matches = [Match(item.item_id, 0.0, photo=str(item.images[0])) for item in items if item.images]
            self._pictures.update(self._read(found, name, matches))

    def _read(self, found: Gallery, name: str, matches: list[Match]) -> dict[tuple[str, int, str, str], bytes]:
        if len(self._pictures) > KEPT_PICTURES:
            self._pictures.clear()
        kept = found.thumbnails(matches)
        return {(name, found.version, m.item_id, m.photo): kept.get((m.item_id, m.photo), b"") for m in matches}

    def put(self, name: str, item: Item, photos: Sequence[tuple[str, bytes]], embedder: Embedder) -> Item:
        """Write an item with its photos; one that was there is replaced.

        Raises:
            BadImage: naming the photo that cannot be read.
            MissingFile, BadGallery, NoSpace: nothing was written.
        """
        limits = ImageLimits(max_bytes=self._config.max_image_bytes, max_pixels=self._config.max_image_pixels)
        images = [read_image(data, name=called, limits=limits).image for called, data in photos]
        vectors = embedder(images)
        old = {item.item_id: item for item in self.items(name)}.get(item.item_id)
        folder = self._photos(name)
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(folder / f"{secrets.token_hex(16)}.jpg" for _ in images)
        try:
            for path, image in zip(paths, images, strict=True):
                path.write_bytes(jpeg_bytes(shrink(image, PHOTO_SIDE), 88))
            item = Item(item.item_id, paths, item.category, item.title, item.url, item.price, dict(item.metadata))
            with self.gallery(name) as found:
                found.upsert([item], np.asarray(vectors), [jpeg_bytes(shrink(i, THUMBNAIL_SIDE), 80) for i in images])
        except BaseException:
            self._forget(name, paths)
            raise
        if old is not None:
            self._forget(name, old.files)
        return item

    def remove(self, name: str, item_id: str) -> None:
        """Remove an item, and its photos where they were added through the service.

        Raises:
            MissingFile: no such gallery or item.
        """
        item = self.find(name, item_id)
        with self.gallery(name) as found:
            found.remove([item_id])
        self._forget(name, item.files)

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            for found in self._open.values():
                found.close()
            self._open.clear()

    def _photos(self, name: str) -> Path:
        return self._config.folder / "photos" / name

    def _forget(self, name: str, photos: Sequence[Path]) -> None:
        """Delete photos, but only such as the service wrote itself."""
        for photo in photos:
            if photo.parent == self._photos(name):
                photo.unlink(missing_ok=True)
