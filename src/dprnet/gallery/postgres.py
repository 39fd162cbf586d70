# ruff: noqa: S608 - what is put into statements are names of ours; every value travels beside its statement
"""A store in PostgreSQL with pgvector: one table a gallery, its card and version in ``dprnet_galleries``.

Every change is one transaction that takes the row of its gallery first: writers queue there, readers never wait. Any
other program may read the tables; who writes to them by hand must raise ``version`` in the same transaction.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dprnet.core.errors import BadGallery, MissingExtra, MissingFile, NoSpace
from dprnet.core.records import FloatArray
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.card import GalleryCard, parse_card
from dprnet.gallery.store import DETAILS, TEXTS, schema

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection
    from psycopg.sql import Composed

logger = logging.getLogger(__name__)

CARDS = "dprnet_galleries"
MAX_SIZE = 16_000  # pgvector's limit
CONNECT_S = 10  # ours
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
        with _told(where), closing(_connect(where, vectors=False)) as connection, connection.transaction():
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
            connection.execute(
                _sql(f"CREATE TABLE {{}} ({texts}, vector vector({card.size}) NOT NULL, thumbnail bytea NOT NULL)",
                     where)
            )  # fmt: skip
            connection.execute(_sql("CREATE INDEX ON {} (item_id)", where))
            connection.execute(f"INSERT INTO {CARDS} VALUES (%s, %s, 1)", (where.name, card.to_json()))
        return cls.open(address)

    @classmethod
    def open(cls, address: str) -> Self:
        """The gallery of that name in a database."""
        where = ServerAddress.parse(address)
        with _told(where), closing(_connect(where, vectors=False)) as connection:
            there = connection.execute("SELECT to_regclass(%s)", (CARDS,)).fetchone()
            row = None
            if there and there[0] is not None:
                row = connection.execute(f"SELECT card FROM {CARDS} WHERE name = %s", (where.name,)).fetchone()
            if row is None:
                raise MissingFile(where, "no gallery here; make one with `dprnet index CATALOGUE --gallery ADDRESS`")
            return cls(where, parse_card(row[0], where), _connect(where))

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it."""
        with self._connection() as connection:
            return self._version(connection)

    def count(self) -> int:
        """Number of rows (photos)."""
        with self._connection() as connection:
            row = connection.execute(_sql("SELECT count(*) FROM {}", self.address)).fetchone()
            return int(row[0]) if row else 0

    def upsert(self, rows: pa.Table) -> None:
        """Write rows in one transaction; all earlier rows of the items named in them go in the same."""
        if not rows.num_rows:
            return
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
        others = zip(*(rows[name].to_pylist() for name in (*TEXTS, "thumbnail")), strict=True)
        with self._change() as connection, connection.cursor() as cursor:
            self._delete(connection, rows["item_id"].to_pylist())
            statement = _sql(f"COPY {{}} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)", self.address)
            with cursor.copy(statement) as copy:
                copy.set_types(["text"] * len(TEXTS) + ["vector", "bytea"])
                for vector, (*texts, thumbnail) in zip(vectors, others, strict=True):
                    copy.write_row((*texts, vector, thumbnail))

    def update(self, rows: pa.Table) -> None:
        """Write the details of items to all their photos in one transaction."""
        if not rows.num_rows:
            return
        set_to = ", ".join(f"{name} = new.{name}" for name in DETAILS)
        arrays = ", ".join(["%s::text[]"] * (1 + len(DETAILS)))
        statement = (
            f"UPDATE {{}} AS old SET {set_to} FROM unnest({arrays}) AS new(item_id, {', '.join(DETAILS)})"
            " WHERE old.item_id = new.item_id"
        )
        with self._change() as connection:
            values = [rows[name].to_pylist() for name in ("item_id", *DETAILS)]
            connection.execute(_sql(statement, self.address), values)

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
        with self._connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            version = self._version(connection)
            cursor.execute(self._select(columns, condition), values)
            return version, self._table(columns, cursor.fetchall())

    def scan(self, columns: Sequence[str]) -> tuple[int, Iterator[pa.RecordBatch]]:
        """As :meth:`read` of all rows, a part at a time, over a connection of its own."""
        with _told(self.address):
            connection = _connect(self.address)
            connection.autocommit = False
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            version = self._version(connection)

        def parts() -> Iterator[pa.RecordBatch]:
            with _told(self.address), connection, connection.cursor("dprnet_scan", binary=True) as cursor:
                cursor.itersize = BATCH_ROWS
                cursor.execute(self._select(columns, ""))
                while rows := cursor.fetchmany(BATCH_ROWS):
                    yield from self._table(columns, rows).to_batches()

        return version, parts()

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
        connection.execute(_sql("DELETE FROM {} WHERE item_id = ANY(%s)", self.address), (sorted(set(ids)),))

    def _select(self, columns: Sequence[str], condition: str) -> Composed:
        if not set(columns) <= set(COLUMNS):
            raise ValueError(f"columns must be of {COLUMNS}, got {columns}")
        # vector_send is the vector in PostgreSQL's own binary form: a tenth of the time of its text.
        wanted = ", ".join("vector_send(vector)" if name == "vector" else name for name in columns)
        return _sql(f"SELECT {wanted} FROM {{}}{condition}", self.address)

    def _table(self, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> pa.Table:
        import pyarrow as pa

        form = schema(self.card.size)
        values = list(zip(*rows, strict=True)) or [()] * len(columns)
        arrays = []
        for name, column in zip(columns, values, strict=True):
            if name == "vector":
                flat = pa.array(_numbers(column, self.card.size).ravel(), pa.float32())
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, self.card.size))
            else:
                arrays.append(pa.array(column, form.field(name).type))
        return pa.table(arrays, schema=pa.schema([form.field(name) for name in columns]))

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        """One transaction that holds the gallery's row from its first statement on."""
        with self._connection() as connection, connection.transaction():
            statement = f"UPDATE {CARDS} SET version = version + 1 WHERE name = %s"
            if connection.execute(statement, (self.address.name,)).rowcount != 1:
                raise BadGallery(self.address, "the gallery was dropped while it was open")
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """The connection, made anew where the server went away in between."""
        with self._lock, _told(self.address):
            if self._kept is None or self._kept.closed or self._kept.broken:
                self._kept = _connect(self.address)
            yield self._kept


def _numbers(column: Sequence[bytes], size: int) -> FloatArray:
    """Vectors as ``vector_send`` writes them: two int16 of header, then big-endian float32."""
    form = np.dtype([("header", ">i2", 2), ("numbers", ">f4", size)])
    return np.frombuffer(b"".join(column), form)["numbers"].astype(np.float32)


def _sql(statement: str, where: ServerAddress) -> Composed:
    """A statement about the gallery's table, whose name goes in as an identifier, never as text."""
    from psycopg import sql

    return sql.SQL(statement).format(sql.Identifier(f"dprnet_photos_{where.name}"))


def _connect(where: ServerAddress, *, vectors: bool = True) -> Connection:
    try:
        import psycopg
        from pgvector.psycopg import register_vector
    except ImportError:
        raise MissingExtra(where, "galleries in PostgreSQL need psycopg: pip install 'dprnet[pgvector]'") from None
    connection = psycopg.connect(
        where.server, autocommit=True, connect_timeout=CONNECT_S, application_name="dprnet", client_encoding="utf8"
    )
    if vectors:
        register_vector(connection)
    return connection


@contextmanager
def _told(where: ServerAddress) -> Iterator[None]:
    """What the client library raises, as one of our errors; the server's words never hold the password."""
    try:
        import psycopg
    except ImportError:
        raise MissingExtra(where, "galleries in PostgreSQL need psycopg: pip install 'dprnet[pgvector]'") from None
    try:
        yield
    except psycopg.errors.DiskFull:
        raise NoSpace(where, "no space left on the server; earlier data is intact") from None
    except (psycopg.Error, UnicodeError) as error:
        logger.debug("the store failed", exc_info=True)
        text = json.dumps(" ".join(str(error).split())[:200], ensure_ascii=False)
        raise BadGallery(where, f"the database cannot be used ({type(error).__name__}: {text})") from None
