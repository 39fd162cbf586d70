"""The embedded store: a Lance table and a card in a folder of this machine."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadGallery, NoSpace, printable
from dprnet.gallery import store
from dprnet.gallery.card import CARD, SCHEMA, GalleryCard, read_card, write_card
from dprnet.gallery.store import KEEP_S, TEXTS, schema

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

TABLE = "photos"
OURS = {f"{TABLE}.lance", f"{CARD}.partial"}
"""What a creation that was killed leaves behind: it holds nothing yet."""
KEYS = ("item_id", "photo")
KEY = "lance-schema:unenforced-primary-key"
"""Two writers that insert one new photo at the same moment both succeed, and it stands there twice, unless Lance is
told by which columns a row is known: then the later one tries again."""
# A full disk, a quota, and a file size limit.
FULL = ("No space left", "Disk quota exceeded", "File too large", "StorageFull", "QuotaExceeded", "FileTooLarge")


class LanceStore:
    """Rows in a Lance table; see :class:`dprnet.gallery.store.VectorStore`."""

    def __init__(self, folder: Path | str, card: GalleryCard, table: Any) -> None:
        self.folder = folder
        self.card = card
        self._table = table
        self._commits = 0

    @classmethod
    def create(cls, address: str, card: GalleryCard) -> Self:
        """An empty store in a folder that is not there, or empty."""
        folder = Path(address)
        if (folder / CARD).exists():
            raise BadGallery(folder, "already holds a gallery; open it, or choose another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            others = [path.name for path in folder.iterdir() if path.name not in OURS]
            if others:
                raise BadGallery(folder, f"is not empty (it holds {printable(others[0], 60)}); choose another folder")
            with told(folder):
                table = connect(folder).create_table(TABLE, schema=keyed(schema(card.size)), mode="overwrite")
            write_card(folder, card)
        except OSError as error:
            if any(sign in str(error) for sign in FULL):
                raise NoSpace(folder, "no space left to create a gallery") from None
            raise BadGallery(folder, f"cannot be created ({error.strerror or error})") from None
        return cls(folder, card, table)

    @classmethod
    def open(cls, address: str) -> Self:
        """The store in a folder."""
        folder = Path(address)
        card = read_card(folder)
        with told(folder):
            return cls(folder, card, connect(folder).open_table(TABLE))

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it."""
        with told(self.folder):
            self._table.checkout_latest()
            return int(self._table.version)

    def count(self) -> int:
        """Number of rows (photos)."""
        with told(self.folder):
            self._table.checkout_latest()
            return int(self._table.count_rows())

    def upsert(self, rows: pa.Table) -> None:
        """Write rows in one commit; all earlier rows of the items named in them go in the same commit."""
        if not rows.num_rows:
            return
        with told(self.folder):
            self._raise_schema()
            (
                self._table.merge_insert(["item_id", "photo"])
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .when_not_matched_by_source_delete(_among(rows["item_id"].to_pylist()))
                .execute(rows)
            )
        self._tidy()

    def update(self, rows: pa.Table) -> None:
        """Write the details of items to all their photos in one commit."""
        if not rows.num_rows:
            return
        with told(self.folder):
            self._table.merge_insert("item_id").when_matched_update_all().execute(rows)
        self._tidy()

    def remove(self, item_ids: Iterable[str]) -> None:
        """Remove all rows of these items in one commit; an unknown id does nothing."""
        ids = list(item_ids)
        if ids:
            with told(self.folder):
                self._table.delete(_among(ids))
            self._tidy()

    def read(self, columns: Sequence[str], item_ids: Iterable[str] | None = None) -> tuple[int, pa.Table]:
        """A version and its rows (of these items, or all), in no particular order; nothing of a later version."""
        with told(self.folder):
            # A Lance table stays at the version it was told to look at until it is told again, or written through.
            self._table.checkout_latest()
            query = self._table.search().select(self._held(columns)).limit(max(self._table.count_rows(), 1))
            rows = (query if item_ids is None else query.where(_among(item_ids))).to_arrow()
            return int(self._table.version), _completed(rows, columns)

    def scan(self, columns: Sequence[str]) -> tuple[int, Iterator[pa.RecordBatch]]:
        """As :meth:`read` of all rows, a part at a time."""
        with told(self.folder):
            table = self._connected().open_table(TABLE)  # a handle of its own: ours moves on with every read
            version = int(table.version)
            table.checkout(version)
            query = table.search().select(self._held(columns)).limit(max(table.count_rows(), 1))
            batches = iter(query.to_batches())

        def parts() -> Iterator[pa.RecordBatch]:
            import pyarrow as pa

            with told(self.folder):
                for batch in batches:
                    yield from _completed(pa.Table.from_batches([batch]), columns).to_batches()

        return version, parts()

    def compact(self) -> None:
        """Join the small files of many commits and let go of versions older than an hour."""
        try:
            self._table.optimize(cleanup_older_than=datetime.timedelta(seconds=KEEP_S))
        except (OSError, ValueError, RuntimeError):  # another writer was quicker, or the disk is full
            logger.debug("the store could not be tidied", exc_info=True)

    def close(self) -> None:
        """Let go of files and memory; the store is not used again."""
        self._table = None

    def _tidy(self) -> None:
        self._commits += 1
        if self._commits % store.TIDY_EVERY == 0:
            self.compact()

    def _held(self, columns: Sequence[str]) -> list[str]:
        """The columns that the table has: one of schema 1 has fewer."""
        names = set(self._table.schema.names)
        return [name for name in columns if name in names] or ["item_id"]

    def _raise_schema(self) -> None:
        """A gallery of an older form gets what it lacks before it is written to, its card last."""
        fields = [self._table.schema.field(name) for name in KEYS]
        untold = [field.name for field in fields if KEY.encode() not in (field.metadata or {})]
        if untold:  # made before tables were told
            self._table.update_field_metadata(*({"path": name, "metadata": {KEY: "true"}} for name in untold))
        if self.card.schema == SCHEMA:
            return
        missing = set(TEXTS) - set(self._table.schema.names)
        if missing:
            self._table.add_columns(dict.fromkeys(sorted(missing), "''"))
        card = replace(self.card, schema=SCHEMA)
        self._keep_card(card)
        self.card = card

    def _connected(self) -> Any:
        return connect(self.folder)

    def _keep_card(self, card: GalleryCard) -> None:
        write_card(Path(self.folder), card)


def keyed(form: pa.Schema) -> pa.Schema:
    """Columns of a table that knows its rows by KEYS."""
    import pyarrow as pa

    return pa.schema([field.with_metadata({KEY: "true"}) if field.name in KEYS else field for field in form])


def _completed(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    for name in columns:
        if name not in rows.column_names:
            rows = rows.append_column(pa.field(name, pa.string(), nullable=False), pa.array([""] * rows.num_rows))
    return rows.select(list(columns))


def connect(place: Path | str, options: Mapping[str, str] | None = None) -> Any:
    """Lance at a folder or an address; with what its object store wants to know."""
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns on stderr of every new table
    import lancedb

    return lancedb.connect(place, storage_options=dict(options)) if options else lancedb.connect(place)


@contextmanager
def told(folder: Path | str) -> Iterator[None]:
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
