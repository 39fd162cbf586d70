# ruff: noqa: S608 - what is put into statements are names of ours; every value travels beside its statement
"""A store in PostgreSQL with pgvector: one table a gallery, its card and version in ``dprnet_galleries``.

Every change is one transaction that takes the row of its gallery first: writers queue there, readers never wait. Any
other program may read the tables; who writes to them by hand must raise ``version`` in the same transaction, and set
``cells`` (what filters of :mod:`dprnet.gallery.postgres_search` compare) to null.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadGallery, MissingFile
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.card import GalleryCard, parse_card
from dprnet.gallery.postgres_client import CELLS, about_photos, connect, has_cells, sent_cells, sent_vectors, told
from dprnet.gallery.store import DETAILS, TEXTS, schema

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection
    from psycopg.sql import Composed

CARDS = "dprnet_galleries"
MAX_SIZE = 16_000  # pgvector's limit
BATCH_ROWS = 2_000  # ours: some 20 MB with thumbnails
COLUMNS = (*TEXTS, "vector", "thumbnail")
LOCK = 0x6470726E  # "dprn": two creations at once would collide in the catalogue of PostgreSQL


class PostgresStore:
    """Rows in a PostgreSQL table; see :class:`dprnet.gallery.store.VectorStore`.

    Addresses are those of libpq with the gallery's name behind ``#``: ``postgresql://shop@db.example/clothes#spring``.
    """

    def __init__(self, address: ServerAddress, card: GalleryCard, connection: Connection) -> None:
        self.address = address
        self.card = card
        self._kept: Connection | None = connection
        self._lock = threading.Lock()

    @classmethod
    def create(cls, address: str, card: GalleryCard) -> Self:
        """A new table and its row among the cards, in one transaction; pgvector is switched on where it is not."""
        where = ServerAddress.parse(address)
        if card.size > MAX_SIZE:
            raise BadGallery(where, f"vectors of {card.size} numbers; pgvector keeps at most {MAX_SIZE}")
        with told(where), closing(connect(where, vectors=False)) as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {CARDS}"
                " (name text PRIMARY KEY, card text NOT NULL, version bigint NOT NULL)"
            )
            taken = connection.execute(f"SELECT 1 FROM {CARDS} WHERE name = %s", (where.name,)).fetchone()
            if taken:
                raise BadGallery(where, "already holds a gallery; open it, or choose another name behind #")
            texts = ", ".join(f"{name} text NOT NULL" for name in TEXTS)
            columns = f"{texts}, vector vector({card.size}) NOT NULL, thumbnail bytea NOT NULL, {CELLS} jsonb"
            connection.execute(about_photos(f"CREATE TABLE {{}} ({columns})", where))
            connection.execute(about_photos("CREATE INDEX ON {} (item_id)", where))
            connection.execute(about_photos(f"CREATE INDEX ON {{}} (item_id) WHERE {CELLS} IS NULL", where))
            connection.execute(f"INSERT INTO {CARDS} VALUES (%s, %s, 1)", (where.name, card.to_json()))
        return cls.open(address)

    @classmethod
    def open(cls, address: str) -> Self:
        """The gallery of that name in a database."""
        where = ServerAddress.parse(address)
        with told(where), closing(connect(where, vectors=False)) as connection:
            there = connection.execute("SELECT to_regclass(%s)", (CARDS,)).fetchone()
            row = None
            if there and there[0] is not None:
                row = connection.execute(f"SELECT card FROM {CARDS} WHERE name = %s", (where.name,)).fetchone()
            if row is None:
                raise MissingFile(where, "no gallery here; make one with `dprnet index CATALOGUE --gallery ADDRESS`")
            return cls(where, parse_card(row[0], where), connect(where))

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it."""
        with self.connected() as connection:
            return self._version(connection)

    def count(self) -> int:
        """Number of rows (photos)."""
        with self.connected() as connection:
            row = connection.execute(about_photos("SELECT count(*) FROM {}", self.address)).fetchone()
            return int(row[0]) if row else 0

    def upsert(self, rows: pa.Table) -> None:
        """Write rows in one transaction; all earlier rows of the items named in them go in the same."""
        if not rows.num_rows:
            return
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
        others = zip(*(rows[name].to_pylist() for name in (*TEXTS, "thumbnail")), strict=True)
        with self._change() as connection, connection.cursor() as cursor:
            self._delete(connection, rows["item_id"].to_pylist())
            compares = has_cells(connection, self.address)
            names = (*COLUMNS, CELLS) if compares else COLUMNS
            statement = about_photos(f"COPY {{}} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)", self.address)
            cells = sent_cells(rows.select(["item_id", *DETAILS]).to_pylist()) if compares else [()] * rows.num_rows
            with cursor.copy(statement) as copy:
                copy.set_types(["text"] * len(TEXTS) + ["vector", "bytea"] + ["jsonb"] * compares)
                for vector, (*texts, thumbnail), last in zip(vectors, others, cells, strict=True):
                    copy.write_row((*texts, vector, thumbnail, *last))

    def update(self, rows: pa.Table) -> None:
        """Write the details of items to all their photos in one transaction."""
        if not rows.num_rows:
            return
        values = [rows[name].to_pylist() for name in ("item_id", *DETAILS)]
        names, arrays = list(DETAILS), ["%s::text[]"] * len(values)
        with self._change() as connection:
            if has_cells(connection, self.address):
                names.append(CELLS)
                arrays.append("%s::jsonb[]")
                values.append([cells for (cells,) in sent_cells(rows.to_pylist())])
            set_to = ", ".join(f"{name} = new.{name}" for name in names)
            statement = (
                f"UPDATE {{}} AS old SET {set_to} FROM unnest({', '.join(arrays)}) AS new(item_id, {', '.join(names)})"
                " WHERE old.item_id = new.item_id"
            )
            connection.execute(about_photos(statement, self.address), values)

    def remove(self, item_ids: Iterable[str]) -> None:
        """Remove all rows of these items in one transaction; an unknown id does nothing."""
        ids = list(item_ids)
        if ids:
            with self._change() as connection:
                self._delete(connection, ids)

    def read(self, columns: Sequence[str], item_ids: Iterable[str] | None = None) -> tuple[int, pa.Table]:
        """A version and its rows (of these items, or all), in no particular order; nothing of a later version."""
        condition = "" if item_ids is None else " WHERE item_id = ANY(%s)"
        values = () if item_ids is None else (list(item_ids),)
        with self.reading() as (connection, version), connection.cursor(binary=True) as cursor:
            cursor.execute(self._select(columns, condition), values)
            return version, self._table(columns, cursor.fetchall())

    def scan(self, columns: Sequence[str]) -> tuple[int, Iterator[pa.RecordBatch]]:
        """As :meth:`read` of all rows, a part at a time, over a connection of its own."""
        with told(self.address), ExitStack() as failed:
            connection = failed.enter_context(closing(connect(self.address)))
            connection.autocommit = False
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            version = self._version(connection)
            failed.pop_all()

        def parts() -> Iterator[pa.RecordBatch]:
            with told(self.address), connection, connection.cursor("dprnet_scan", binary=True) as cursor:
                cursor.itersize = BATCH_ROWS
                cursor.execute(self._select(columns, ""))
                while rows := cursor.fetchmany(BATCH_ROWS):
                    yield from self._table(columns, rows).to_batches()

        found = parts()
        weakref.finalize(found, connection.close)  # who only wants the version never starts it
        return version, found

    def compact(self) -> None:
        """Nothing to do: PostgreSQL tidies by itself (autovacuum)."""

    def close(self) -> None:
        """Let go of the connection; the store is not used again."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _version(self, connection: Connection) -> int:
        row = connection.execute(f"SELECT version FROM {CARDS} WHERE name = %s", (self.address.name,)).fetchone()
        if row is None:
            raise BadGallery(self.address, "the gallery was dropped while it was open")
        return int(row[0])

    def _delete(self, connection: Connection, ids: list[str]) -> None:
        connection.execute(about_photos("DELETE FROM {} WHERE item_id = ANY(%s)", self.address), (sorted(set(ids)),))

    def _select(self, columns: Sequence[str], condition: str) -> Composed:
        if not set(columns) <= set(COLUMNS):
            raise ValueError(f"columns must be of {COLUMNS}, got {columns}")
        # vector_send is the vector in PostgreSQL's own binary form: a tenth of the time of its text.
        wanted = ", ".join("vector_send(vector)" if name == "vector" else name for name in columns)
        return about_photos(f"SELECT {wanted} FROM {{}}{condition}", self.address)

    def _table(self, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> pa.Table:
        import pyarrow as pa

        form = schema(self.card.size)
        values = list(zip(*rows, strict=True)) or [()] * len(columns)
        arrays = []
        for name, column in zip(columns, values, strict=True):
            if name == "vector":
                flat = pa.array(sent_vectors(column, self.card.size).ravel(), pa.float32())
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, self.card.size))
            else:
                arrays.append(pa.array(column, form.field(name).type))
        return pa.table(arrays, schema=pa.schema([form.field(name) for name in columns]))

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        """One transaction that holds the gallery's row from its first statement on."""
        with self.connected() as connection, connection.transaction():
            self.hold(connection)
            connection.execute(f"UPDATE {CARDS} SET version = version + 1 WHERE name = %s", (self.address.name,))
            yield connection

    def hold(self, connection: Connection) -> None:
        """Take the gallery's row, as every writer does first, until the transaction ends."""
        statement = f"SELECT 1 FROM {CARDS} WHERE name = %s FOR UPDATE"
        if connection.execute(statement, (self.address.name,)).fetchone() is None:
            raise BadGallery(self.address, "the gallery was dropped while it was open")

    @contextmanager
    def reading(self) -> Iterator[tuple[Connection, int]]:
        """One transaction that sees one state of the gallery, and its version."""
        with self.connected() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection, self._version(connection)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """The connection, made anew where the server went away in between."""
        with self._lock, told(self.address):
            if self._kept is None or self._kept.closed or self._kept.broken:
                self._kept = connect(self.address)
            yield self._kept
