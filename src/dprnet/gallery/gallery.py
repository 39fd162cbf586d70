"""The gallery: a catalogue's photos as vectors, bound to the embedder that made them."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from dprnet.core.errors import BadGallery, DprnetError, MissingFile, printable
from dprnet.core.records import FloatArray, Match
from dprnet.gallery import live, snapshot
from dprnet.gallery.address import ServerAddress, is_server, shown
from dprnet.gallery.card import CARD, MAX_SIZE, SCHEMA, GalleryCard
from dprnet.gallery.engines import IndexConfig
from dprnet.gallery.index import PhotoIndex
from dprnet.gallery.items import Item
from dprnet.gallery.rows import detail_rows, photo_rows, row_items, row_match, unit_vectors
from dprnet.gallery.store import TEXTS, VectorStore, store_class

logger = logging.getLogger(__name__)


class Answers(list[tuple[Match, ...]]):
    """The matches of each query, best first, and the version of the gallery that gave all of them."""

    version: int = 0


class Gallery:
    """Items with their photos' vectors: filled by :meth:`upsert`, asked by :meth:`search`. Use it with ``with``.

    A search sees one version of the store: the one read at the first search, or at :meth:`refresh`, or after a change
    made through this object. Not for use by several threads at once while it is being changed.
    """

    def __init__(self, address: str, store: VectorStore, config: IndexConfig | None = None) -> None:
        self.address = address
        """What was opened: a gallery's address, or a live name."""
        self.card = store.card
        self.config = config or IndexConfig()
        self._target = live.followed(address)
        self._store = store
        self._index: PhotoIndex | None = None
        self._builder: threading.Thread | None = None
        self._built: tuple[str, VectorStore, PhotoIndex] | None = None

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
            address: a folder, ``postgresql://...#name`` or ``milvus://...#name``.
            preparation: what is done to photos before they are embedded.
            config: how it is searched through this object; nothing of it is kept.

        Raises:
            BadGallery: a gallery is there already, or the place cannot be used.
            NoSpace: the disk is full.
        """
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"size must lie in [1, {MAX_SIZE}], got {size}")
        now = datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")
        card = GalleryCard(SCHEMA, embedder, size, "cosine", now, preparation)
        return cls(str(address), store_class(address).create(str(address), card), config)

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
        return cls(str(address), _opened(live.followed(address), embedder), config)

    @classmethod
    def exists(cls, address: Path | str) -> bool:
        """Whether a gallery is at an address; a damaged one, and one of a newer version, is there too.

        Raises:
            BadGallery: a server is out of reach.
        """
        address = live.followed(address)
        if not is_server(address):
            return (Path(address) / CARD).is_file()
        try:
            store_class(address).open(address).close()
        except MissingFile:
            return False
        return True

    @classmethod
    def restore(cls, folder: Path | str, address: Path | str) -> Self:
        """A new gallery, of any kind of store, from what :meth:`snapshot` wrote; every byte is checked first.

        Raises:
            MissingFile: no snapshot in the folder.
            BadGallery: it is damaged, or the address is taken.
        """
        card, told = snapshot.read_manifest(Path(folder))
        made = cls(str(address), store_class(address).create(str(address), snapshot.restored_card(card)))
        snapshot.restore_rows(Path(folder), made._store)
        if made._store.count() != told["photos"]:
            made.close()
            raise BadGallery(shown(str(address)), f"{told['photos']} photos in the snapshot, not as many were restored")
        return made

    @property
    def folder(self) -> Path:
        """The folder of an embedded gallery.

        Raises:
            BadGallery: it is on a server.
        """
        if is_server(self._target):
            raise BadGallery(shown(self._target), "has no folder: it is on a server")
        return Path(self._target)

    @property
    def embedder(self) -> str:
        """Identity of the embedder whose vectors these are."""
        return self.card.embedder

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self.card.size

    @property
    def version(self) -> int:
        """Version of the store; grows with every change."""
        return self._store.version

    @property
    def identity(self) -> str:
        """``name@version (n photos)`` of what is searched: what a report records."""
        name = ServerAddress.parse(self._target).name if is_server(self._target) else self.folder.resolve().name
        index = self._index
        version, photos = (self.version, self._store.count()) if index is None else (index.version, len(index.rows))
        return f"{name}@{version} ({photos} photos)"

    def __len__(self) -> int:
        """Number of items."""
        return self._searched().items

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
        owners = [item.item_id for item in items for _ in item.images]
        if len({item.item_id for item in items}) != len(items):
            raise ValueError("upsert: every item_id may appear once")
        if len(vectors) != len(owners) or any(given and len(given) != len(owners) for given in (thumbnails, contents)):
            counts = f"{len(vectors)} vectors, {len(thumbnails)} thumbnails, {len(contents)} contents"
            raise ValueError(f"upsert: {len(owners)} photos, {counts}")
        unit = self._checked(vectors, owners)
        if owners:
            nothing = [b""] * len(owners)
            self._store.upsert(photo_rows(items, unit, thumbnails or nothing, contents or [""] * len(owners)))
            self._changed()

    def update(self, items: Sequence[Item]) -> tuple[str, ...]:
        """Write category, title, url, price and metadata of items in one commit; their photos stay as they are.

        Nothing is embedded. The ids that were not there come back.
        """
        known = self._known([item.item_id for item in items])
        there = [item for item in items if item.item_id in known]
        if there:
            self._store.update(detail_rows(there))
            self._changed()
        return tuple(item.item_id for item in items if item.item_id not in known)

    def remove(self, item_ids: Iterable[str]) -> tuple[str, ...]:
        """Remove items with all their photos, in one commit; the ids that were not there come back."""
        wanted = list(dict.fromkeys(item_ids))
        known = self._known(wanted)
        self._store.remove([item_id for item_id in wanted if item_id in known])
        self._changed()
        return tuple(item_id for item_id in wanted if item_id not in known)

    def search(self, vectors: FloatArray, k: int = 10, *, where: str = "") -> Answers:
        """The k most similar items of each query vector, (N, D) -> N tuples, best first.

        Each item comes once, with its most similar photo; an empty gallery gives empty tuples, a small one fewer.

        Args:
            where: only items that pass this filter (see :mod:`dprnet.gallery.filters`).

        Raises:
            BadVector: NaN, infinite, zero, or of another size.
            BadFilter: the filter cannot be read, or names a column that no item has.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        unit = self._checked(vectors, [f"query {n}" for n in range(len(vectors))])
        index = self._searched()
        found = index.search(unit, k, where)
        distinct = sorted({row for rows, _ in found for row in rows})
        records = dict(zip(distinct, index.rows.take(distinct).to_pylist(), strict=True)) if distinct else {}
        answers = Answers(
            tuple(row_match(records[row], similarity) for row, similarity in zip(*pair, strict=True)) for pair in found
        )
        answers.version = index.version
        return answers

    def refresh(self, *, beside: bool = False) -> bool:
        """Let searches see the newest version, and the gallery that a live name means now; True where that moved.

        Args:
            beside: build the new index in a thread while the old one answers; the first call after it is done moves
                on. Without it, the next search waits for the new index.
        """
        if beside:
            return self._refresh_beside()
        target = self._followed()
        if target != self._target:
            self._move(target, _opened(target, self.card.embedder), None)
            return True
        moved = self._index is not None and self._index.version != self._store.version
        if moved:
            self._index = None
        return moved

    def index_report(self) -> str:
        """How it is searched, and the recall that was measured when the index was built."""
        index = self._searched()
        return f"{index}, {index.items} items, {len(index.rows)} photos, version {index.version}"

    def items(self, where: str = "") -> Iterator[Item]:
        """All items (or those that pass a filter) in the order of their ids, each with its photos."""
        index = self._searched()
        rows = index.rows.filter(index.columns.passing(where)) if where.strip() else index.rows
        yield from row_items(rows.to_pylist())

    def contents(self, item_ids: Iterable[str]) -> list[dict[str, object]]:
        """Every row of some items as the store holds it, vectors and thumbnails too."""
        rows: list[dict[str, object]] = self._store.read([*TEXTS, "vector", "thumbnail"], item_ids)[1].to_pylist()
        return rows

    def texts(self) -> list[dict[str, str]]:
        """Every row of the newest version without vector and thumbnail."""
        rows: list[dict[str, str]] = self._store.read(list(TEXTS))[1].to_pylist()
        return rows

    def thumbnails(self, matches: Iterable[Match]) -> dict[tuple[str, str], bytes]:
        """Small JPEGs of matches by ``(item_id, photo)``; those written without one are left out."""
        wanted = {(match.item_id, match.photo) for match in matches}
        if not wanted:
            return {}
        _, rows = self._store.read(["item_id", "photo", "thumbnail"], {item_id for item_id, _ in wanted})
        keyed = {(row["item_id"], row["photo"]): row["thumbnail"] for row in rows.to_pylist()}
        return {key: keyed[key] for key in wanted if keyed.get(key)}

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

    def close(self) -> None:
        """Let go of files and memory."""
        if self._builder is not None:
            self._builder.join()
        if self._built is not None:
            self._built[1].close()
        self._index = self._built = self._builder = None
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _searched(self) -> PhotoIndex:
        if self._index is None:
            self._index = _indexed(self._store, self.config)
        return self._index

    def _changed(self) -> None:
        """After a change through this object, its next search sees it."""
        self._index = None

    def _known(self, item_ids: Sequence[str]) -> set[str]:
        return set(self._store.read(["item_id"], item_ids)[1]["item_id"].to_pylist()) if item_ids else set()

    def _checked(self, vectors: FloatArray, owners: Sequence[str]) -> FloatArray:
        return unit_vectors(vectors, owners, self.size, shown(self.address))

    def _followed(self) -> str:
        """The gallery that the name means now; the old one where the new one is of another embedder."""
        target = live.followed(self.address)
        if target != self._target:
            other = store_class(target).open(target)
            other.close()
            if other.card.embedder != self.card.embedder:
                logger.warning("%s now means a gallery of another embedder; load that bundle to follow", self.address)
                return self._target
        return target

    def _move(self, target: str, store: VectorStore, index: PhotoIndex | None) -> None:
        old, self._target, self._store, self._index = self._store, target, store, index
        self.card = store.card
        old.close()

    def _refresh_beside(self) -> bool:
        building = self._builder is not None and self._builder.is_alive()  # asked first: done then means built
        if self._built is not None:
            built, self._built, self._builder = self._built, None, None
            self._move(*built)
            return True
        target = self._followed()
        current = target == self._target and self._index is not None and self._index.version == self._store.version
        if not current and not building:
            self._builder = threading.Thread(target=self._build, args=(target,), name="gallery index", daemon=True)
            self._builder.start()
        return False

    def _build(self, target: str) -> None:
        """In a thread: the next index, over a store of its own."""
        try:
            store = _opened(target, self.card.embedder)
            self._built = (target, store, _indexed(store, self.config))
        except DprnetError as error:  # the old index goes on; the next refresh tries again
            logger.warning("the new index of %s could not be built: %s", shown(self.address), error)


def _opened(address: str, embedder: str | None) -> VectorStore:
    store = store_class(address).open(address)
    if embedder is not None and embedder != store.card.embedder:
        store.close()
        raise BadGallery(
            shown(address),
            f"built by the embedder {printable(store.card.embedder, 80)}, loaded is {printable(embedder, 80)}; "
            f"load that bundle, or rebuild with `dprnet index CATALOGUE` into another folder",
            reason="other_embedder",
        )
    return store


def _indexed(store: VectorStore, config: IndexConfig) -> PhotoIndex:
    version, rows = store.read([*TEXTS, "vector"])
    return PhotoIndex(version, rows, store.card.size, config)
