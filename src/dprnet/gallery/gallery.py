"""The gallery: a catalogue's photos as vectors, bound to the embedder that made them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dprnet.core.errors import BadGallery, BadVector, MissingFile, printable
from dprnet.core.records import FloatArray, Match
from dprnet.gallery.address import ServerAddress, is_server, shown
from dprnet.gallery.card import CARD, MAX_SIZE, SCHEMA, GalleryCard
from dprnet.gallery.index import ExactIndex
from dprnet.gallery.items import Item
from dprnet.gallery.store import TEXTS, VectorStore, schema, store_class

if TYPE_CHECKING:
    import pyarrow as pa


class Gallery:
    """Items with their photos' vectors: filled by :meth:`upsert`, asked by :meth:`search`. Use it with ``with``.

    A search sees one version of the store: the one read at the first search, or at :meth:`refresh`, or after a change
    made through this object. Not for use by several threads at once while it is being changed.
    """

    def __init__(self, address: str, store: VectorStore) -> None:
        self.address = address
        self.card = store.card
        self._store = store
        self._index: ExactIndex | None = None

    @classmethod
    def create(cls, address: Path | str, *, embedder: str, size: int, preparation: str = "") -> Self:
        """A new, empty gallery for vectors of ``size`` numbers made by ``embedder``.

        Args:
            address: a folder, ``postgresql://...#name`` or ``milvus://...#name``.
            preparation: what is done to photos before they are embedded.

        Raises:
            BadGallery: a gallery is there already, or the place cannot be used.
            NoSpace: the disk is full.
        """
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"size must lie in [1, {MAX_SIZE}], got {size}")
        now = datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")
        card = GalleryCard(SCHEMA, embedder, size, "cosine", now, preparation)
        return cls(str(address), store_class(address).create(str(address), card))

    @classmethod
    def open(cls, address: Path | str, *, embedder: str | None = None) -> Self:
        """An existing gallery.

        Args:
            address: where it is.
            embedder: identity of the embedder that will ask; None looks at the gallery without asking.

        Raises:
            MissingFile: nothing there.
            BadGallery: not a gallery, damaged, of a newer version, or built by another embedder.
        """
        store = store_class(address).open(str(address))
        if embedder is not None and embedder != store.card.embedder:
            store.close()
            raise BadGallery(
                shown(str(address)),
                f"built by the embedder {printable(store.card.embedder, 80)}, loaded is {printable(embedder, 80)}; "
                f"load that bundle, or rebuild with `dprnet index CATALOGUE` into another folder",
                reason="other_embedder",
            )
        return cls(str(address), store)

    @classmethod
    def exists(cls, address: Path | str) -> bool:
        """Whether a gallery is at an address; a damaged one, and one of a newer version, is there too.

        Raises:
            BadGallery: a server is out of reach.
        """
        if not is_server(address):
            return (Path(address) / CARD).is_file()
        try:
            store_class(address).open(str(address)).close()
        except MissingFile:
            return False
        return True

    @property
    def folder(self) -> Path:
        """The folder of an embedded gallery.

        Raises:
            BadGallery: it is on a server.
        """
        if is_server(self.address):
            raise BadGallery(shown(self.address), "has no folder: it is on a server")
        return Path(self.address)

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
        """``folder name@version (n photos)``: what a report records."""
        name = ServerAddress.parse(self.address).name if is_server(self.address) else self.folder.resolve().name
        return f"{name}@{self.version} ({self._store.count()} photos)"

    def __len__(self) -> int:
        """Number of items."""
        return self._searched().items

    def upsert(self, items: Sequence[Item], vectors: FloatArray, thumbnails: Sequence[bytes] = ()) -> None:
        """Write items in one commit, all or none; an item that was there is replaced with all its photos.

        Args:
            items: each item_id once.
            vectors: (N, D), one for every photo: ``[photo for item in items for photo in item.images]``; of any
                length but zero, normalised here.
            thumbnails: (N,) small JPEGs for reports, or none.

        Raises:
            BadVector: NaN, infinite, zero, or of another size; nothing is written.
            NoSpace: the disk is full; nothing is written.
        """
        owners = [item.item_id for item in items for _ in item.images]
        if len({item.item_id for item in items}) != len(items):
            raise ValueError("upsert: every item_id may appear once")
        if len(vectors) != len(owners) or (thumbnails and len(thumbnails) != len(owners)):
            raise ValueError(f"upsert: {len(owners)} photos, {len(vectors)} vectors, {len(thumbnails)} thumbnails")
        unit = self._checked(vectors, owners)
        if owners:
            self._store.upsert(_rows(items, unit, thumbnails or [b""] * len(owners), self.size))
            self._index = None

    def remove(self, item_ids: Iterable[str]) -> tuple[str, ...]:
        """Remove items with all their photos, in one commit; the ids that were not there come back."""
        wanted = list(dict.fromkeys(item_ids))
        _, rows = self._store.read(["item_id"], wanted)
        known = set(rows["item_id"].to_pylist())
        self._store.remove([item_id for item_id in wanted if item_id in known])
        self._index = None
        return tuple(item_id for item_id in wanted if item_id not in known)

    def search(self, vectors: FloatArray, k: int = 10) -> list[tuple[Match, ...]]:
        """The k most similar items of each query vector, (N, D) -> N tuples, best first.

        Each item comes once, with its most similar photo; an empty gallery gives empty tuples, a small one fewer.

        Raises:
            BadVector: NaN, infinite, zero, or of another size.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        unit = self._checked(vectors, [f"query {n}" for n in range(len(vectors))])
        index = self._searched()
        found = index.search(unit, k)
        distinct = sorted({row for rows, _ in found for row in rows})
        records = dict(zip(distinct, index.rows.take(distinct).to_pylist(), strict=True)) if distinct else {}
        return [
            tuple(_match(records[row], similarity) for row, similarity in zip(*pair, strict=True)) for pair in found
        ]

    def refresh(self) -> bool:
        """Let searches see the newest version; True where it had moved on."""
        moved = self._index is not None and self._index.version != self._store.version
        if moved:
            self._index = None
        return moved

    def items(self) -> Iterator[Item]:
        """All items in the order of their ids, each with its photos."""
        rows = self._searched().rows.to_pylist()
        start = 0
        for stop in range(1, len(rows) + 1):
            if stop == len(rows) or rows[stop]["item_id"] != rows[start]["item_id"]:
                first = rows[start]
                photos = tuple(Path(row["photo"]) for row in rows[start:stop])
                texts = (first["category"], first["title"], first["url"], first["price"])
                yield Item(first["item_id"], photos, *texts, metadata=json.loads(first["metadata"]))
                start = stop

    def thumbnails(self, matches: Iterable[Match]) -> dict[tuple[str, str], bytes]:
        """Small JPEGs of matches by ``(item_id, photo)``; those written without one are left out."""
        wanted = {(match.item_id, match.photo) for match in matches}
        if not wanted:
            return {}
        _, rows = self._store.read(["item_id", "photo", "thumbnail"], {item_id for item_id, _ in wanted})
        keyed = {(row["item_id"], row["photo"]): row["thumbnail"] for row in rows.to_pylist()}
        return {key: keyed[key] for key in wanted if keyed.get(key)}

    def close(self) -> None:
        """Let go of files and memory."""
        self._index = None
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _searched(self) -> ExactIndex:
        if self._index is None:
            version, rows = self._store.read([*TEXTS, "vector"])
            self._index = ExactIndex(version, rows, self.size)
        return self._index

    def _checked(self, vectors: FloatArray, owners: Sequence[str]) -> FloatArray:
        """The vectors at unit length, or BadVector naming the first wrong one."""
        array = np.asarray(vectors, np.float32)
        if array.ndim != 2 or (len(array) and array.shape[1] != self.size):
            shape = f"shape {array.shape}"
            raise BadVector(
                owners[0] if owners else shown(self.address), f"{shape}, this gallery takes (n, {self.size})"
            )
        if not len(array):
            return array.reshape(0, self.size)
        lengths = np.linalg.norm(array.astype(np.float64), axis=1)
        wrong = np.flatnonzero(~np.isfinite(array).all(axis=1) | ~(lengths > 1e-12))
        if wrong.size:
            row = int(wrong[0])
            what = "is zero" if np.isfinite(array[row]).all() else "holds NaN or infinity"
            raise BadVector(owners[row], f"its vector {what}; nothing was written")
        unit: FloatArray = (array / lengths[:, None]).astype(np.float32)
        return unit


def _rows(items: Sequence[Item], vectors: FloatArray, thumbnails: Sequence[bytes], size: int) -> pa.Table:
    import pyarrow as pa

    pairs = [(item, str(photo)) for item in items for photo in item.images]
    columns: dict[str, Any] = {name: [getattr(item, name, "") for item, _ in pairs] for name in TEXTS}
    columns["photo"] = [photo for _, photo in pairs]
    columns["metadata"] = [json.dumps(dict(item.metadata), ensure_ascii=False, sort_keys=True) for item, _ in pairs]
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), size)
    columns["thumbnail"] = list(thumbnails)
    return pa.table(columns, schema=schema(size))


def _match(row: Mapping[str, Any], similarity: float) -> Match:
    texts = {name: row[name] for name in ("item_id", "photo", "category", "title", "url", "price")}
    return Match(similarity=similarity, metadata=json.loads(row["metadata"]), **texts)
