"""The gallery: a catalogue's photos as vectors, bound to the embedder that made them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadGallery, MissingFile
from dprnet.core.records import FloatArray, Match
from dprnet.gallery import live, snapshot
from dprnet.gallery.address import is_server, name_of, shown
from dprnet.gallery.card import CARD, MAX_SIZE, SCHEMA, GalleryCard
from dprnet.gallery.engines import IndexConfig
from dprnet.gallery.items import Item
from dprnet.gallery.rows import detail_rows, photo_rows, row_items, row_match, unit_vectors
from dprnet.gallery.served import Served, opened
from dprnet.gallery.store import TEXTS, VectorStore, store_class

if TYPE_CHECKING:
    import pyarrow as pa


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
        self._served = Served(address, store, config or IndexConfig())

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
        return cls(str(address), opened(live.followed(address), embedder), config)

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
        if is_server(self._served.target):
            raise BadGallery(shown(self._served.target), "has no folder: it is on a server")
        return Path(self._served.target)

    @property
    def card(self) -> GalleryCard:
        """What the gallery says of itself."""
        return self._served.store.card

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
        name = name_of(self._served.target)
        index = self._served.index_if_built
        version, photos = (self.version, self._store.count()) if index is None else (index.version, len(index.rows))
        return f"{name}@{version} ({photos} photos)"

    def __len__(self) -> int:
        """Number of items."""
        return self._served.index.items

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
            self._served.changed()

    def update(self, items: Sequence[Item]) -> tuple[str, ...]:
        """Write category, title, url, price and metadata of items in one commit; their photos stay as they are.

        Nothing is embedded. The ids that were not there come back.
        """
        known = self._known([item.item_id for item in items])
        there = [item for item in items if item.item_id in known]
        if there:
            self._store.update(detail_rows(there))
            self._served.changed()
        return tuple(item.item_id for item in items if item.item_id not in known)

    def remove(self, item_ids: Iterable[str]) -> tuple[str, ...]:
        """Remove items with all their photos, in one commit; the ids that were not there come back."""
        wanted = list(dict.fromkeys(item_ids))
        known = self._known(wanted)
        self._store.remove([item_id for item_id in wanted if item_id in known])
        self._served.changed()
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
        index = self._served.index
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
        return self._served.refresh_beside() if beside else self._served.refresh()

    def index_report(self) -> str:
        """How it is searched, and the recall that was measured when the index was built."""
        index = self._served.index
        return f"{index}, {index.items} items, {len(index.rows)} photos, version {index.version}"

    def items(self, where: str = "") -> Iterator[Item]:
        """All items (or those that pass a filter) in the order of their ids, each with its photos."""
        index = self._served.index
        rows = index.rows.filter(index.columns.passing(where)) if where.strip() else index.rows
        yield from row_items(rows.to_pylist())

    def count(self, where: str = "") -> int:
        """Number of items, or of those that pass a filter.

        Raises:
            BadFilter: the filter cannot be read, or names a column that no item has.
        """
        index = self._served.index
        if not where.strip():
            return index.items
        passing = index.rows.filter(index.columns.passing(where))
        return len(set(passing["item_id"].to_pylist()))

    def contents(self, item_ids: Iterable[str]) -> list[dict[str, Any]]:
        """Every row of some items as the store holds it, vectors and thumbnails too."""
        rows: list[dict[str, Any]] = self._store.read([*TEXTS, "vector", "thumbnail"], item_ids)[1].to_pylist()
        return rows

    def texts(self) -> list[dict[str, str]]:
        """Every row of the newest version without vector and thumbnail."""
        rows: list[dict[str, str]] = self._store.read(list(TEXTS))[1].to_pylist()
        return rows

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Every row of the newest version as the store holds it, a part at a time."""
        yield from self._store.scan(columns)[1]

    def vectors(self) -> Iterator[tuple[list[str], FloatArray]]:
        """All photos of the newest version, a part at a time: whose each is, and its (n, D) vector."""
        for batch in self.scan(["item_id", "vector"]):
            table = batch.column("vector").flatten().to_numpy().reshape(-1, self.size)
            yield batch.column("item_id").to_pylist(), table

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
        self._served.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _store(self) -> VectorStore:
        return self._served.store

    def _known(self, item_ids: Sequence[str]) -> set[str]:
        return set(self._store.read(["item_id"], item_ids)[1]["item_id"].to_pylist()) if item_ids else set()

    def _checked(self, vectors: FloatArray, owners: Sequence[str]) -> FloatArray:
        return unit_vectors(vectors, owners, self.size, shown(self.address))
