"""The gallery: a catalogue's photos as vectors, bound to the embedder that made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from dprnet.core.records import FloatArray
from dprnet.gallery import live, opening, snapshot, writing
from dprnet.gallery.address import shown
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.items import Item
from dprnet.gallery.readable import ReadableGallery


class Gallery(ReadableGallery):
    """Items with their photos' vectors: filled by :meth:`upsert`, asked by :meth:`search`. Use it with ``with``.

    A search sees one version of the store: the one read at the first search, or at :meth:`refresh`, or after a change
    made through this object. Not for use by several threads at once while it is being changed.
    """

    @classmethod
    def create(
        cls,
        address: Path | str,
        *,
        embedder: str,
        size: int,
        preparation: str = "",
        config: IndexConfig | None = None,
    ) -> Self:
        """A new, empty gallery for vectors of ``size`` numbers made by ``embedder``.

        Args:
            address: a folder, ``s3://bucket/prefix``, ``postgresql://...#name`` or ``milvus://...#name``.
            preparation: what is done to photos before they are embedded.
            config: how it is searched through this object; nothing of it is kept.

        Raises:
            BadGallery: a gallery is there already, or the place cannot be used.
            NoSpace: the disk is full.
        """
        return cls(str(address), opening.created(str(address), embedder, size, preparation), config)

    @classmethod
    def open(cls, address: Path | str, *, embedder: str | None = None, config: IndexConfig | None = None) -> Self:
        """An existing gallery.

        Args:
            address: where it is, or a live name.
            embedder: identity of the embedder that will ask; None looks at the gallery without asking.
            config: how it is searched.

        Raises:
            MissingFile: nothing there.
            BadGallery: not a gallery, damaged, of a newer version, or built by another embedder.
        """
        return cls(str(address), opening.opened(live.followed(address), embedder), config)

    @classmethod
    def exists(cls, address: Path | str) -> bool:
        """Whether a gallery is at an address; a damaged one, and one of a newer version, is there too.

        Raises:
            BadGallery: a server is out of reach.
        """
        return opening.exists(address)

    @classmethod
    def restore(cls, folder: Path | str, address: Path | str) -> Self:
        """A new gallery, of any kind of store, from what :meth:`snapshot` wrote; every byte is checked first.

        Raises:
            MissingFile: no snapshot in the folder.
            BadGallery: it is damaged, or the address is taken.
        """
        return cls(str(address), opening.restored(Path(folder), str(address)))

    def upsert(
        self,
        items: Sequence[Item],
        vectors: FloatArray,
        thumbnails: Sequence[bytes] = (),
        contents: Sequence[str] = (),
    ) -> None:
        """Write items in one commit, all or none; an item that was there is replaced with all its photos.

        Args:
            items: each item_id once.
            vectors: (N, D), one for every photo: ``[photo for item in items for photo in item.images]``; of any
                length but zero, normalised here.
            thumbnails: (N,) small JPEGs for reports, or none.
            contents: (N,) what each vector was made of, such as a hash of the photo, or none.

        Raises:
            BadVector: NaN, infinite, zero, or of another size; nothing is written.
            BadCatalogue: a text that no store can keep; nothing is written.
            NoSpace: the disk is full; nothing is written.
        """
        if writing.write_items(self._store, items, vectors, thumbnails, contents, shown(self.address)):
            self._served.changed()

    def update(self, items: Sequence[Item]) -> tuple[str, ...]:
        """Write category, title, url, price and metadata of items in one commit; their photos stay as they are.

        Nothing is embedded. The ids that were not there come back.
        """
        changed, unknown = writing.write_details(self._store, items)
        if changed:
            self._served.changed()
        return unknown

    def remove(self, item_ids: Iterable[str]) -> tuple[str, ...]:
        """Remove items with all their photos, in one commit; the ids that were not there come back."""
        unknown = writing.remove_items(self._store, item_ids)
        self._served.changed()
        return unknown

    def compact(self) -> None:
        """Let go of what no version of the last hour needs."""
        self._store.compact()

    def snapshot(self, folder: Path | str) -> int:
        """Write the newest version into a new folder, from which :meth:`restore` makes a gallery again.

        Raises:
            BadGallery: the folder is there already.
            NoSpace: the disk is full.
        """
        return snapshot.write_snapshot(self._store, Path(folder), self.identity)
