"""Where the tables are: in a file of this machine, or in PostgreSQL, which several services may share."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from dprnet.core.errors import BadReport, DprnetError
from dprnet.service.schema import STEPS

Row = Mapping[str, Any]
BUSY_S = 30.0  # ours: a writer waits so long for another one


class DatabaseGone(DprnetError):
    """The database does not answer now; nothing that was told to be kept is lost."""

    code = "database_gone"


class Answer(Protocol):
    """What a statement answers."""

    @property
    def rowcount(self) -> int:
        """Rows that were changed."""

    def fetchone(self) -> Row | None:
        """The next row."""

    def fetchall(self) -> Sequence[Row]:
        """All rows."""


class Statements(Protocol):
    """One transaction."""

    def execute(self, query: str, values: Sequence[Any] = ()) -> Answer:
        """One statement; ``?`` stands for a value."""

    def now(self) -> float:
        """Seconds since 1970 by the clock that all who share the tables share."""

    def alone(self) -> None:
        """Let no other transaction that asks for this run until this one has ended."""


class Database(Protocol):
    """The tables. One object a process; its threads may share it."""

    shared: bool
    """Other services may work on the same tables."""
    skip: str
    """Ends a selection of rows that are to be changed: those that another holds are left to it."""

    def writing(self) -> AbstractContextManager[Statements]:
        """One transaction.

        Raises:
            DatabaseGone: it does not answer; the transaction did not happen, or its end was not heard of.
        """

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        """What a query finds."""

    def close(self) -> None:
        """Let go of it."""


def open_database(where: Path | str) -> Database:
    """The tables at a path or at ``postgresql://...[#SCHEMA]``, brought to this version where they are older.

    Raises:
        BadReport: of a newer version, or no database.
        BadRecipe: an address that is none, or a server that refuses.
        MissingExtra: psycopg is not installed.
    """
    if "://" in str(where):
        from dprnet.service.postgres import Postgres

        return Postgres(str(where))
    return Sqlite(Path(where))


class Sqlite:
    """The tables in one file; see :class:`Database`."""

    shared = False
    skip = ""  # a file has one writer at a time

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = _connect(path)
        self._lock = threading.RLock()

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        """See :class:`Database`."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        """See :class:`Database`."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        """See :class:`Database`."""
        with self._lock:
            self._db.close()

    def execute(self, query: str, values: Sequence[Any] = ()) -> Answer:
        """See :class:`Statements`."""
        answer: Answer = self._db.execute(query, values)
        return answer

    def now(self) -> float:
        """See :class:`Statements`."""
        return time.time()

    def alone(self) -> None:
        """See :class:`Statements`."""


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a job that was accepted survives the loss of power
        _bring_up(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        raise BadReport(path, f"the table of jobs cannot be used ({error}); move it away to begin anew") from None
    except BaseException:
        db.close()
        raise
    return db


def _bring_up(db: sqlite3.Connection, path: Path) -> None:
    if _version(db) == len(STEPS):
        return
    db.execute("BEGIN IMMEDIATE")  # of two that start at once, one does it
    try:
        for step in steps_from(_version(db), path):
            db.execute(step)
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()["user_version"])


def steps_from(version: int, where: object) -> list[str]:
    """The statements that take tables of a version to this one.

    Raises:
        BadReport: they are of a newer version.
    """
    if version > len(STEPS):
        sentence = f"written in version {version}, this program reads up to {len(STEPS)}; upgrade dprnet"
        raise BadReport(where, sentence)
    return [statement for step in STEPS[version:] for statement in step.split(";\n") if statement.strip()]
