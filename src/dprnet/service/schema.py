"""The tables on disk, how an older file becomes a newer one, and how a job is taken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dprnet.core.errors import BadReport

# Each entry takes the file from the version of its place to the next; entries are never changed, only added.
STEPS = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,              -- queued running done failed cancelled
        created_s REAL NOT NULL,
        expires_s REAL NOT NULL,
        name TEXT NOT NULL,               -- what the sender calls the video
        sha256 TEXT NOT NULL,
        request TEXT NOT NULL,            -- JSON: every, gallery, items, fallback
        key TEXT,                         -- Idempotency-Key
        attempts INTEGER NOT NULL DEFAULT 0,
        lease TEXT,                       -- whose work counts
        lease_until_s REAL NOT NULL DEFAULT 0,
        cancel INTEGER NOT NULL DEFAULT 0,
        live TEXT NOT NULL DEFAULT '{}',  -- JSON: stage, done, total, garments
        revision INTEGER NOT NULL DEFAULT 0,
        result TEXT,                      -- folder of the result within the job's folder
        summary TEXT NOT NULL DEFAULT '{}',
        code TEXT,
        sentence TEXT
    );
    CREATE UNIQUE INDEX jobs_by_key ON jobs (key) WHERE key IS NOT NULL;
    CREATE INDEX jobs_by_state ON jobs (state, created_s);
    CREATE TABLE feedback (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_s REAL NOT NULL,
        job TEXT NOT NULL,
        garment INTEGER NOT NULL,
        label TEXT NOT NULL,
        gallery TEXT NOT NULL,
        item_id TEXT NOT NULL,
        verdict TEXT NOT NULL,            -- right wrong
        similarity REAL,
        picture BLOB,                     -- JPEG of the garment's best view
        UNIQUE (job, garment, item_id)
    );
    """,
)
# What a worker asks before it works: in one transaction, in this order.
CANCEL_LOST = """
    UPDATE jobs SET state = 'cancelled', revision = revision + 1
    WHERE cancel AND state = 'running' AND lease_until_s < ?"""
GIVE_UP = """
    UPDATE jobs SET state = 'failed', code = 'worker_lost', revision = revision + 1,
        sentence = name || ': the worker died ' || attempts || ' times on this video, so it was given up'
    WHERE attempts >= ? AND state = 'running' AND lease_until_s < ?"""
CLAIM = """
    UPDATE jobs SET state = 'running', attempts = attempts + 1, lease = ?, lease_until_s = ?, live = '{}',
        revision = revision + 1
    WHERE id = (SELECT id FROM jobs WHERE state = 'queued' OR (state = 'running' AND lease_until_s < ?)
        ORDER BY created_s, id LIMIT 1) RETURNING *"""
BUSY_S = 30.0


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the tables, brought to this version where they are older.

    Raises:
        BadReport: the file is of a newer version, or no database.
    """
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
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
    if int(db.execute("PRAGMA user_version").fetchone()[0]) == len(STEPS):
        return
    db.execute("BEGIN IMMEDIATE")  # of two that start at once, one does it
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(STEPS):
            raise BadReport(
                path, f"written in version {version}, this program reads up to {len(STEPS)}; upgrade dprnet"
            )
        for step in STEPS[version:]:
            for statement in step.split(";\n"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
