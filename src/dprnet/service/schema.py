"""The tables, how older ones become newer ones, and how a job is taken; in SQL that SQLite and PostgreSQL both speak
(but for three types, see ``postgres``)."""

from __future__ import annotations

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
    # The address that is told of a job's end, as long as that is to be done: due, delivered, failed.
    """
    ALTER TABLE jobs ADD COLUMN webhook TEXT;
    ALTER TABLE jobs ADD COLUMN hook_state TEXT;
    ALTER TABLE jobs ADD COLUMN hook_attempts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN hook_next_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN hook_note TEXT;
    CREATE INDEX jobs_by_hook ON jobs (hook_next_s) WHERE hook_state = 'due';
    """,
)
# What a worker asks before it works: in one transaction, in this order.
CANCEL_LOST = """
    UPDATE jobs SET state = 'cancelled', revision = revision + 1
    WHERE id IN (SELECT id FROM jobs WHERE cancel = 1 AND state = 'running' AND lease_until_s < ? {skip})"""
GIVE_UP = """
    UPDATE jobs SET state = 'failed', code = 'worker_lost', revision = revision + 1,
        sentence = name || ': the worker died ' || attempts || ' times on this video, so it was given up'
    WHERE id IN (SELECT id FROM jobs WHERE attempts >= ? AND state = 'running' AND lease_until_s < ? {skip})"""
CLAIM = """
    UPDATE jobs SET state = 'running', attempts = attempts + 1, lease = ?, lease_until_s = ?, live = '{{}}',
        revision = revision + 1
    WHERE id = (SELECT id FROM jobs WHERE state = 'queued' OR (state = 'running' AND lease_until_s < ?)
        ORDER BY created_s, id LIMIT 1 {skip}) RETURNING *"""
