"""The lease table: which videos wait, who works on which, and what became of them.

A worker holds a job by a lease, a random word in the job's row with a time until which it counts. Whoever writes
names the lease; once it has passed to somebody else, nothing the former holder writes counts. So a job whose worker
dies is done again, and no job has two results.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dprnet.service.database import Database, Row, open_database
from dprnet.service.schema import CANCEL_LOST, CLAIM, GIVE_UP

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    """One video to be searched."""

    id: str
    state: State
    created_s: float
    expires_s: float
    name: str
    sha256: str
    request: Mapping[str, Any]
    attempts: int
    live: Mapping[str, Any]
    revision: int
    """Grows with every change that a page would show."""
    result: str | None
    summary: Mapping[str, Any]
    code: str | None
    sentence: str | None
    hook_state: Literal["due", "delivered", "failed"] | None
    """Of the webhook, where there is one."""
    hook_attempts: int
    hook_note: str | None

    @property
    def is_final(self) -> bool:
        """Nothing will change any more."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job."""

    job: Job
    word: str


class QueueFull(Exception):
    """As many jobs wait as may."""


class KeyUsed(Exception):
    """The idempotency key belongs to another request."""


class Jobs:
    """The table. One object a process; threads may share it.

    Args:
        where: a file, or ``postgresql://...[#SCHEMA]``; see :func:`dprnet.service.database.open_database`.
    """

    def __init__(self, where: Path | str) -> None:
        self.database: Database = open_database(where)
        self.writing, self.rows, self.close = self.database.writing, self.database.rows, self.database.close

    # -- the sender ------------------------------------------------------------------------------------------------

    def add(
        self,
        job_id: str,
        *,
        name: str,
        sha256: str,
        request: Mapping[str, Any],
        keep_s: float,
        max_queue: int,
        key: str | None = None,
        webhook: str | None = None,
    ) -> Job:
        """Put a job into the queue; the job that has this key already, if it asks for the same.

        Args:
            webhook: the address that is to be told of its end; it has been checked.

        Raises:
            QueueFull: ``max_queue`` jobs wait.
            KeyUsed: the key belongs to another video, or to other settings.
        """
        wanted = json.dumps(dict(request) | ({"webhook": webhook} if webhook else {}), sort_keys=True)
        with self.writing() as db:
            db.alone()  # of two senders with one key the second finds the job of the first
            now = db.now()
            if key is not None and (old := self.by_key(key)) is not None:
                if (old.sha256, json.dumps(dict(old.request), sort_keys=True)) != (sha256, wanted):
                    raise KeyUsed(key)
                return old
            if self.waiting() >= max_queue:
                raise QueueFull
            db.execute(
                "INSERT INTO jobs (id, state, created_s, expires_s, name, sha256, request, key, webhook, hook_state)"
                " VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
                (job_id, now, now + keep_s, name, sha256, wanted, key, webhook, "due" if webhook else None),
            )
        found = self.get(job_id)
        assert found is not None, "a job that was just written is there"
        return found

    def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        return next((job_of_row(row) for row in self.rows("SELECT * FROM jobs WHERE id = ?", job_id)), None)

    def by_key(self, key: str) -> Job | None:
        """A job by its idempotency key."""
        return next((job_of_row(row) for row in self.rows("SELECT * FROM jobs WHERE key = ?", key)), None)

    def page(self, limit: int, before_s: float | None = None) -> list[Job]:
        """Jobs, newest first, made before a time."""
        query = "SELECT * FROM jobs WHERE created_s < ? ORDER BY created_s DESC, id LIMIT ?"
        return [job_of_row(row) for row in self.rows(query, float(before_s or 1e18), limit)]

    def waiting(self) -> int:
        """How many jobs wait."""
        return int(self.rows("SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued'")[0]["n"])

    def ahead(self, job: Job) -> int:
        """How many jobs wait before this one."""
        query = "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued' AND (created_s, id) < (?, ?)"
        return int(self.rows(query, job.created_s, job.id)[0]["n"])

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        return {row["state"]: row["n"] for row in self.rows("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state")}

    def cancel(self, job_id: str) -> Job | None:
        """End a job: at once where it waits, at the next frame where it runs; a finished one stays as it is."""
        with self.writing() as db:
            db.execute(
                "UPDATE jobs SET state = 'cancelled', revision = revision + 1 WHERE id = ? AND state = 'queued'",
                (job_id,),
            )
            db.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = 'running'", (job_id,))
        return self.get(job_id)

    def delete(self, job_id: str) -> bool:
        """Forget a job and its feedback; a worker that holds it finds its lease gone. True where there was one."""
        with self.writing() as db:
            db.execute("DELETE FROM feedback WHERE job = ?", (job_id,))
            return db.execute("DELETE FROM jobs WHERE id = ?", (job_id,)).rowcount == 1

    def expire(self) -> list[str]:
        """Forget the jobs whose time has come (feedback stays) and say which."""
        with self.writing() as db:
            gone = db.execute("DELETE FROM jobs WHERE expires_s <= ? RETURNING id", (db.now(),)).fetchall()
        return [str(row["id"]) for row in gone]

    # -- the worker ------------------------------------------------------------------------------------------------

    def claim(self, lease_s: float, attempts: int) -> Lease | None:
        """The oldest job that waits or whose worker is lost; None where there is none.

        A job that has been begun ``attempts`` times already has failed: it takes its workers with it.
        """
        word, skip = secrets.token_hex(16), self.database.skip
        with self.writing() as db:
            now = db.now()
            db.execute(CANCEL_LOST.format(skip=skip), (now,))
            db.execute(GIVE_UP.format(skip=skip), (attempts, now))
            row = db.execute(CLAIM.format(skip=skip), (word, now + lease_s, now)).fetchone()
        return None if row is None else Lease(job_of_row(row), word)

    def hold(self, lease: Lease, lease_s: float, live: Mapping[str, Any] | None = None) -> bool:
        """Hold on to a job, and tell how far it is; False where it is lost, deleted or to be cancelled."""
        with self.writing() as db:
            row = db.execute(
                "UPDATE jobs SET lease_until_s = ? WHERE id = ? AND lease = ? AND state = 'running' RETURNING cancel",
                (db.now() + lease_s, lease.job.id, lease.word),
            ).fetchone()
            if row is not None and live is not None:
                told = json.dumps(dict(live))
                db.execute(
                    "UPDATE jobs SET live = ?, revision = revision + 1 WHERE id = ? AND live != ?",
                    (told, lease.job.id, told),
                )
        return row is not None and not row["cancel"]

    def finish(self, lease: Lease, result: str, summary: Mapping[str, Any]) -> bool:
        """Name the folder of the result; False where the lease has passed to another, whose result counts.

        To be said again where the database went away before it answered.
        """
        if self._end(lease, "done", result=result, summary=json.dumps(dict(summary))):
            return True
        query = "SELECT 1 AS told FROM jobs WHERE id = ? AND lease = ? AND state = 'done' AND result = ?"
        return bool(self.rows(query, lease.job.id, lease.word, result))

    def fail(self, lease: Lease, code: str, sentence: str) -> bool:
        """Say why there is no result; False where the lease has passed to another."""
        return self._end(lease, "failed", code=code, sentence=sentence)

    def stop(self, lease: Lease) -> bool:
        """End a job that was to be cancelled."""
        return self._end(lease, "cancelled")

    def release_all(self) -> int:
        """End all leases: when a service starts alone, no worker of an earlier one is left. How many there were."""
        with self.writing() as db:
            return db.execute("UPDATE jobs SET lease_until_s = 0 WHERE state = 'running'").rowcount

    def _end(self, lease: Lease, state: State, **values: str) -> bool:
        names = "".join(f", {name} = ?" for name in values)
        with self.writing() as db:
            done = db.execute(
                f"UPDATE jobs SET state = ?, revision = revision + 1{names}"  # noqa: S608 - names are ours
                " WHERE id = ? AND lease = ? AND state = 'running'",
                (state, *values.values(), lease.job.id, lease.word),
            )
            return done.rowcount == 1


def job_of_row(row: Row) -> Job:
    """A job from its row."""
    plain = {name: row[name] for name in Job.__slots__ if name not in {"request", "live", "summary"}}
    return Job(**plain, **{name: json.loads(row[name]) for name in ("request", "live", "summary")})
