"""The truth of a gallery: one row a photo, kept by a vector store behind a short protocol.

A row is whole or absent, a batch too: every change is one commit and makes a new version. Searching is not the
store's work (see `index`).
"""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dprnet.core.errors import BadGallery, NoSpace

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

TABLE = "photos"
TEXTS = ("item_id", "photo", "category", "title", "url", "price", "metadata")
# Ours: a commit leaves one small file; reading 200 of them takes ten times as long as reading one.
TIDY_EVERY = 100
KEEP_VERSIONS = datetime.timedelta(hours=1)  # ours: far longer than any read lasts
# A full disk, a quota, and a file size limit.
FULL = ("No space left", "Disk quota exceeded", "File too large", "StorageFull", "QuotaExceeded", "FileTooLarge")


class VectorStore(Protocol):
    """Rows of :func:`schema`. Every method may raise NoSpace or BadGallery; earlier rows are intact after either."""

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it."""

    def count(self) -> int:
        """Number of rows (photos) in the newest version."""

    def upsert(self, rows: pa.Table) -> None:
        """Write rows in one commit; all earlier rows of the items named in them go in the same commit."""

    def remove(self, item_ids: Iterable[str]) -> None:
        """Remove all rows of these items in one commit; an unknown id does nothing."""

    def read(self, columns: Sequence[str], item_ids: Iterable[str] | None = None) -> tuple[int, pa.Table]:
        """A version and its rows (of these items, or all), in no particular order; nothing of a later version."""

    def close(self) -> None:
        """Let go of files and memory; the store is not used again."""


def schema(size: int) -> pa.Schema:
    """Columns of a store whose vectors hold ``size`` numbers."""
    import pyarrow as pa

    texts = [pa.field(name, pa.string(), nullable=False) for name in TEXTS]
    vector = pa.field("vector", pa.list_(pa.float32(), size), nullable=False)
    return pa.schema([*texts, vector, pa.field("thumbnail", pa.binary(), nullable=False)])


class LanceStore:
    """The embedded store: a Lance table in a folder of this machine."""

    def __init__(self, folder: Path, table: Any) -> None:
        self._folder = folder
        self._table = table
        self._commits = 0

    @classmethod
    def create(cls, folder: Path, size: int) -> LanceStore:
        """An empty store in the folder; whatever table was there is replaced."""
        with _told(folder):
            return cls(folder, _connect(folder).create_table(TABLE, schema=schema(size), mode="overwrite"))

    @classmethod
    def open(cls, folder: Path) -> LanceStore:
        """The store in a folder.

        Raises:
            BadGallery: no store there, or it is damaged.
        """
        with _told(folder):
            return cls(folder, _connect(folder).open_table(TABLE))

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it."""
        with _told(self._folder):
            self._table.checkout_latest()
            return int(self._table.version)

    def count(self) -> int:
        """Number of rows (photos)."""
        with _told(self._folder):
            self._table.checkout_latest()
            return int(self._table.count_rows())

    def upsert(self, rows: pa.Table) -> None:
        """Write rows in one commit; all earlier rows of the items named in them go in the same commit."""
        if not rows.num_rows:
            return
        with _told(self._folder):
            (
                self._table.merge_insert(["item_id", "photo"])
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .when_not_matched_by_source_delete(_among(rows["item_id"].to_pylist()))
                .execute(rows)
            )
        self._tidy()

    def remove(self, item_ids: Iterable[str]) -> None:
        """Remove all rows of these items in one commit; an unknown id does nothing."""
        ids = list(item_ids)
        if ids:
            with _told(self._folder):
                self._table.delete(_among(ids))
            self._tidy()

    def read(self, columns: Sequence[str], item_ids: Iterable[str] | None = None) -> tuple[int, pa.Table]:
        """A version and its rows (of these items, or all), in no particular order; nothing of a later version."""
        with _told(self._folder):
            # A Lance table stays at the version it was told to look at until it is told again, or written through.
            self._table.checkout_latest()
            query = self._table.search().select(list(columns)).limit(max(self._table.count_rows(), 1))
            rows = (query if item_ids is None else query.where(_among(item_ids))).to_arrow()
            return int(self._table.version), rows

    def close(self) -> None:
        """Let go of files and memory; the store is not used again."""
        self._table = None

    def _tidy(self) -> None:
        """Now and then, join the small files of many commits; not being able to is no harm."""
        self._commits += 1
        if self._commits % TIDY_EVERY == 0:
            try:
                self._table.optimize(cleanup_older_than=KEEP_VERSIONS)
            except (OSError, ValueError, RuntimeError):  # another writer was quicker, or the disk is full
                logger.debug("the store could not be tidied", exc_info=True)


def _connect(folder: Path) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns on stderr of every new table
    import lancedb

    return lancedb.connect(folder)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the store's library raises, as one of our errors."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        text = str(error)
        if any(sign in text for sign in FULL):
            raise NoSpace(folder, "no space left to write; free some and try again, earlier data is intact") from None
        logger.debug("the store failed", exc_info=True)
        raise BadGallery(folder, f"the store cannot be used ({type(error).__name__}: {text[:200]})") from None


def _among(item_ids: Iterable[str]) -> str:
    """A filter in the store's SQL; quotes inside an id are doubled, so that an id is never code."""
    quoted = ", ".join("'" + item_id.replace("'", "''") + "'" for item_id in sorted(set(item_ids)))
    return f"item_id IN ({quoted})" if quoted else "false"
