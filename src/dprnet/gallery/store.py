"""The truth of a gallery: one row a photo, kept by a vector store behind a short protocol.

A row is whole or absent, a batch too: every change is one commit and makes a new version. Searching is not the
store's work (see `index`). An address says which store: a folder, ``s3://...``, ``postgresql://...`` or
``milvus://...``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from dprnet.core.errors import BadGallery
from dprnet.gallery.address import shown
from dprnet.gallery.card import GalleryCard

if TYPE_CHECKING:
    import pyarrow as pa

DETAILS = ("category", "title", "url", "price", "metadata")
TEXTS = ("item_id", "photo", *DETAILS, "content")
"""``metadata`` is JSON; ``content`` is a hash of what was embedded, empty where nobody knows it."""
# Ours: the embedded store leaves a small file a commit; reading 200 of them takes ten times as long as reading one.
TIDY_EVERY = 100
KEEP_S = 3600.0  # ours: how long a version that was replaced can still be read; far longer than any read lasts

STORES = {
    "s3": "lance_s3.ObjectLanceStore",
    "postgresql": "postgres.PostgresStore",
    "postgres": "postgres.PostgresStore",
    "milvus": "milvus.MilvusStore",
}


class VectorStore(Protocol):
    """Rows of :func:`schema`. Every method may raise NoSpace or BadGallery; earlier rows are intact after either."""

    @classmethod
    def create(cls, address: str, card: GalleryCard) -> Self:
        """A new, empty store.

        Raises:
            BadGallery: a gallery or something else is there already, or the place cannot be used.
        """

    @classmethod
    def open(cls, address: str) -> Self:
        """The store at an address.

        Raises:
            MissingFile: nothing there.
            BadGallery: not a gallery, damaged, of a newer version, or out of reach.
        """

    @property
    def card(self) -> GalleryCard:
        """What the gallery says of itself."""

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it."""

    def count(self) -> int:
        """Number of rows (photos) in the newest version."""

    def upsert(self, rows: pa.Table) -> None:
        """Write rows in one commit; all earlier rows of the items named in them go in the same commit."""

    def update(self, rows: pa.Table) -> None:
        """Write the DETAILS of items (one row an ``item_id``) to all their photos in one commit; the rest stays.

        An unknown id does nothing.
        """

    def remove(self, item_ids: Iterable[str]) -> None:
        """Remove all rows of these items in one commit; an unknown id does nothing."""

    def read(self, columns: Sequence[str], item_ids: Iterable[str] | None = None) -> tuple[int, pa.Table]:
        """A version and its rows (of these items, or all), in no particular order; nothing of a later version."""

    def scan(self, columns: Sequence[str]) -> tuple[int, Iterator[pa.RecordBatch]]:
        """As :meth:`read` of all rows, a part at a time: for galleries larger than memory."""

    def compact(self) -> None:
        """Let go of what no version of the last hour needs; not being able to is no harm."""

    def close(self) -> None:
        """Let go of files, connections and memory; the store is not used again."""


def schema(size: int) -> pa.Schema:
    """Columns of a store whose vectors hold ``size`` numbers."""
    import pyarrow as pa

    texts = [pa.field(name, pa.string(), nullable=False) for name in TEXTS]
    vector = pa.field("vector", pa.list_(pa.float32(), size), nullable=False)
    return pa.schema([*texts, vector, pa.field("thumbnail", pa.binary(), nullable=False)])


def details_schema() -> pa.Schema:
    """Columns of :meth:`VectorStore.update`."""
    import pyarrow as pa

    return pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("item_id", *DETAILS)])


def store_class(address: str | Path) -> type[VectorStore]:
    """The kind of store that an address means: by its scheme, or a folder."""
    scheme, mark, _ = str(address).partition("://")
    if mark and scheme.lower() not in STORES:
        raise BadGallery(
            shown(str(address)), f"no kind of gallery; give a folder, {', '.join(f'{s}://' for s in STORES)}"
        )
    module, _, name = STORES[scheme.lower()].partition(".") if mark else ("lance", "", "LanceStore")
    kind: type[VectorStore] = getattr(importlib.import_module(f"dprnet.gallery.{module}"), name)
    return kind
