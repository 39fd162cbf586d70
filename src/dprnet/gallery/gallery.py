"""The gallery: a catalogue's photos as vectors, bound to the embedder that made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadGallery
from dprnet.core.records import FloatArray, Match
from dprnet.gallery import live, opening, reading, snapshot, writing
from dprnet.gallery.address import is_server, shown
from dprnet.gallery.card import GalleryCard
from dprnet.gallery.engines import IndexConfig
from dprnet.gallery.items import Item
from dprnet.gallery.rows import unit_vectors
from dprnet.gallery.searching import Answers
from dprnet.gallery.served import Served
from dprnet.gallery.store import TEXTS, VectorStore

if TYPE_CHECKING:
    import pyarrow as pa


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
        return self._served.identity

    def __len__(self) -> int:
        """Number of items."""
        return self._served.searched.count("")

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
        queries = [f"query {n}" for n in range(len(vectors))]
        unit = unit_vectors(vectors, queries, self.size, shown(self.address))
        return self._served.searched.answers(unit, k, where)

    def refresh(self, *, beside: bool = False) -> bool:
        """Let searches see the newest version, and the gallery that a live name means now; True where that moved.

        Args:
            beside: build the new index in a thread while the old one answers; the first call after it is done moves
                on. Without it, the next search waits for the new index.
        """
        return self._served.refresh_beside() if beside else self._served.refresh()

    def index_report(self) -> str:
        """How it is searched, and the recall that was measured when the index was built."""
        searched = self._served.searched
        return f"{searched}, {searched.count('')} items, {searched.photos} photos, version {searched.version}"

    def items(self, where: str = "") -> Iterator[Item]:
        """All items (or those that pass a filter) in the order of their ids, each with its photos."""
        yield from self._served.searched.items(where)

    def count(self, where: str = "") -> int:
        """Number of items, or of those that pass a filter.

        Raises:
            BadFilter: the filter cannot be read, or names a column that no item has.
        """
        return self._served.searched.count(where)

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
        yield from reading.vectors_of(self._store)

    def thumbnails(self, matches: Iterable[Match]) -> dict[tuple[str, str], bytes]:
        """Small JPEGs of matches by ``(item_id, photo)``; those written without one are left out."""
        return reading.thumbnails_of(self._store, matches)

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
