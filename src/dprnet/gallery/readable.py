"""A gallery as it is asked: what it says of itself, searches, items, rows; `gallery` has what makes and changes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadGallery
from dprnet.core.records import FloatArray, Match
from dprnet.gallery import reading
from dprnet.gallery.address import is_server, shown
from dprnet.gallery.card import GalleryCard
from dprnet.gallery.config import IndexConfig, SearchKind
from dprnet.gallery.items import Item
from dprnet.gallery.rows import unit_vectors
from dprnet.gallery.searching import Answers
from dprnet.gallery.served import Served
from dprnet.gallery.store import TEXTS, VectorStore

if TYPE_CHECKING:
    import pyarrow as pa


class ReadableGallery:
    """An open gallery, without what changes it; see :class:`dprnet.gallery.Gallery`."""

    def __init__(self, address: str, store: VectorStore, config: IndexConfig | None = None) -> None:
        self.address = address
        """What was opened: a gallery's address, or a live name."""
        self._served = Served(address, store, config or IndexConfig())

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
    def kind(self) -> SearchKind:
        """What searches it, as it was asked for."""
        return self._served.config.kind

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

    def replaced(self) -> bool:
        """Whether this gallery was deleted, and another made in its place; :meth:`refresh` sees changes, not this.

        Raises:
            MissingFile: nothing is there any more.
            BadGallery: what is there cannot be used.
        """
        return self._served.replaced()

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
