"""PostgreSQL's client: connections, statements about one gallery, and its errors as ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dprnet.core.errors import BadGallery, MissingExtra, NoSpace
from dprnet.core.records import FloatArray
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.conditions import compared

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

logger = logging.getLogger(__name__)

CONNECT_S = 10  # ours
CELLS = "cells"
"""Column of what filters compare, as JSON; null in rows that another program wrote, not there in older galleries."""


def sent_vectors(column: Sequence[bytes], size: int) -> FloatArray:
    """Vectors as ``vector_send`` writes them: two int16 of header, then big-endian float32."""
    form = np.dtype([("header", ">i2", 2), ("numbers", ">f4", size)])
    return np.frombuffer(b"".join(column), form)["numbers"].astype(np.float32)


def about_photos(statement: str, where: ServerAddress) -> Composed:
    """A statement about the gallery's table, whose name goes in as an identifier, never as text."""
    from psycopg import sql

    return sql.SQL(statement).format(sql.Identifier(table_of(where)))


def table_of(where: ServerAddress) -> str:
    """The gallery's table; its name is one that needs no quotes."""
    return f"dprnet_photos_{where.name}"


def connect(where: ServerAddress, *, vectors: bool = True) -> Connection:
    """A connection in which every statement is a transaction of its own; with ``vectors``, pgvector's type is known."""
    try:
        import psycopg
        from pgvector.psycopg import register_vector
    except ImportError:
        raise MissingExtra(where, "galleries in PostgreSQL need psycopg: pip install 'dprnet[pgvector]'") from None
    connection = psycopg.connect(
        where.server, autocommit=True, connect_timeout=CONNECT_S, application_name="dprnet", client_encoding="utf8"
    )
    try:
        if vectors:
            register_vector(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def has_cells(connection: Connection, where: ServerAddress) -> bool:
    """Whether the gallery's table has the column CELLS; another process may have added it since."""
    statement = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped"
    return connection.execute(statement, (table_of(where), CELLS)).fetchone() is not None


def sent_cells(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any]]:
    """What filters compare of each row, as the client library sends it."""
    from psycopg.types.json import Jsonb

    return [(Jsonb(compared(row)),) for row in rows]


@contextmanager
def told(where: ServerAddress) -> Iterator[None]:
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
