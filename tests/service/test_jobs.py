"""The lease table: nothing is lost, nothing is done twice, an older file opens, a newer one is refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dprnet.core.errors import BadRecipe, BadReport
from dprnet.service.database import DatabaseGone
from dprnet.service.jobs import Jobs, KeyUsed, QueueFull
from dprnet.service.postgres import translated
from dprnet.service.schema import STEPS

from ..contracts.conftest import Postgres

REQUEST = {"every": "0.5s", "items": 5, "fallback": None, "gallery": None}


@pytest.fixture
def jobs(table: Path | str) -> Iterator[Jobs]:
    opened = Jobs(table)
    yield opened
    opened.close()


def add(jobs: Jobs, job_id: str, **changes: Any) -> Any:
    values = {"name": "look.mp4", "sha256": "ab" * 32, "request": REQUEST, "keep_s": 60.0, "max_queue": 100}
    return jobs.add(job_id, **{**values, **changes})


def test_a_job_goes_from_the_queue_to_its_result(jobs: Jobs) -> None:
    assert add(jobs, "a").state == "queued"
    add(jobs, "b")
    lease = jobs.claim(60, 3)
    assert lease is not None
    assert (lease.job.id, lease.job.state, lease.job.attempts) == ("a", "running", 1)
    assert jobs.hold(lease, 60, {"stage": "look"})
    before = jobs.get("a").revision  # type: ignore[union-attr]
    assert jobs.hold(lease, 60, {"stage": "look"})
    assert jobs.get("a").revision == before, "nothing new was told"  # type: ignore[union-attr]
    assert jobs.finish(lease, "result-1", {"garments": 2})
    done = jobs.get("a")
    assert done is not None
    assert (done.state, done.result, done.summary) == ("done", "result-1", {"garments": 2})
    assert not jobs.finish(lease, "result-2", {}), "it has its one result"
    assert jobs.counts() == {"done": 1, "queued": 1}


def test_a_lost_job_is_done_again_and_the_first_worker_writes_in_vain(jobs: Jobs) -> None:
    add(jobs, "a")
    first = jobs.claim(0.0, 3)
    time.sleep(0.01)
    second = jobs.claim(60, 3)
    assert first is not None
    assert second is not None
    assert second.job.attempts == 2
    assert jobs.claim(60, 3) is None
    assert not jobs.hold(first, 60, {"stage": "match"})
    assert not jobs.finish(first, "first", {})
    assert not jobs.fail(first, "x", "y")
    assert jobs.finish(second, "second", {})
    assert jobs.get("a").result == "second"  # type: ignore[union-attr]


def test_a_video_that_takes_its_workers_with_it_is_given_up(jobs: Jobs) -> None:
    add(jobs, "a")
    for _ in range(3):
        assert jobs.claim(0.0, 3) is not None
        time.sleep(0.01)
    assert jobs.claim(60, 3) is None
    job = jobs.get("a")
    assert job is not None
    assert (job.state, job.code) == ("failed", "worker_lost")
    assert job.sentence == "look.mp4: the worker died 3 times on this video, so it was given up"


def test_cancelling_and_deleting(jobs: Jobs) -> None:
    add(jobs, "waits")
    assert jobs.cancel("waits").state == "cancelled"  # type: ignore[union-attr]
    add(jobs, "runs")
    lease = jobs.claim(60, 3)
    assert lease is not None
    assert jobs.cancel("runs").state == "running"  # type: ignore[union-attr]
    assert not jobs.hold(lease, 60), "its worker is told to stop"
    assert jobs.stop(lease)
    assert jobs.get("runs").state == "cancelled"  # type: ignore[union-attr]
    add(jobs, "goes")
    lease = jobs.claim(60, 3)
    assert lease is not None
    assert jobs.delete("goes")
    assert not jobs.hold(lease, 60)
    assert not jobs.finish(lease, "late", {})
    assert jobs.get("goes") is None
    assert not jobs.delete("goes")


def test_a_cancelled_job_whose_worker_died_is_not_begun_again(jobs: Jobs) -> None:
    add(jobs, "a")
    jobs.claim(60, 3)
    jobs.cancel("a")
    assert jobs.release_all() == 1
    assert jobs.claim(60, 3) is None
    assert jobs.get("a").state == "cancelled"  # type: ignore[union-attr]


def test_the_queue_has_an_end(jobs: Jobs) -> None:
    add(jobs, "a", max_queue=1)
    with pytest.raises(QueueFull):
        add(jobs, "b", max_queue=1)
    assert jobs.claim(60, 3) is not None
    add(jobs, "b", max_queue=1)
    assert jobs.ahead(add(jobs, "c")) == 1


def test_a_key_stands_for_one_request(jobs: Jobs) -> None:
    add(jobs, "a", key="k")
    assert add(jobs, "b", key="k").id == "a"
    assert jobs.get("b") is None
    with pytest.raises(KeyUsed):
        add(jobs, "c", key="k", sha256="cd" * 32)
    with pytest.raises(KeyUsed):
        add(jobs, "c", key="k", request={**REQUEST, "items": 7})
    assert add(jobs, "d", key="other").id == "d"


def test_what_has_expired_goes(jobs: Jobs) -> None:
    add(jobs, "old", keep_s=-1.0)
    add(jobs, "new")
    assert jobs.expire() == ["old"]
    assert jobs.get("old") is None
    assert [job.id for job in jobs.page(10)] == ["new"]


def test_pages_go_back_in_time(jobs: Jobs) -> None:
    for name in "abc":
        add(jobs, name)
        time.sleep(0.002)
    first = jobs.page(2)
    assert [job.id for job in first] == ["c", "b"]
    assert [job.id for job in jobs.page(2, first[-1].created_s)] == ["a"]


DRAIN = """
import sys
from dprnet.service.jobs import Jobs

table = Jobs(sys.argv[1])
while (lease := table.claim(60, 3)) is not None:
    if table.finish(lease, "result", {}):
        print(lease.job.id)
table.close()
"""


def test_workers_at_once_share_the_jobs(jobs: Jobs, table: Path | str) -> None:
    for number in range(40):
        add(jobs, f"job{number}")
    command = [sys.executable, "-c", DRAIN, str(table)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    done = [line for worker in workers for line in worker.communicate(timeout=120)[0].split()]
    assert Counter(done) == {f"job{number}": 1 for number in range(40)}


def test_an_older_table_is_brought_up_and_a_newer_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    table = Jobs(path)
    add(table, "kept")
    table.close()
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA user_version").fetchone()[0] == len(STEPS)
    raw.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    raw.close()
    with pytest.raises(BadReport, match="upgrade dprnet"):
        Jobs(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(BadReport, match="move it away"):
        Jobs(path)


def test_a_table_of_the_first_version_opens(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    raw = sqlite3.connect(path)
    raw.executescript(STEPS[0])
    raw.execute("PRAGMA user_version = 1")
    raw.execute(
        "INSERT INTO jobs (id, state, created_s, expires_s, name, sha256, request)"
        " VALUES ('a', 'queued', 1, 9e9, 'x', 'y', '{}')"
    )
    raw.commit()
    raw.close()
    table = Jobs(path)
    lease = table.claim(60, 3)
    assert lease is not None
    assert lease.job.id == "a"
    table.close()


def test_an_end_may_be_told_again_when_the_answer_was_lost(jobs: Jobs) -> None:
    add(jobs, "a")
    lease = jobs.claim(60, 3)
    assert lease is not None
    assert jobs.finish(lease, "result", {})
    assert jobs.finish(lease, "result", {}), "the same result under the same lease: it is the one that counts"
    assert not jobs.finish(lease, "another", {})


def test_texts_that_a_database_may_not_hold_are_held_all_the_same(jobs: Jobs) -> None:
    job = add(jobs, "a", name="look\0'; DROP TABLE jobs; -- % ? \N{PILE OF POO}.mp4")
    assert job.name.endswith("'; DROP TABLE jobs; -- % ? \N{PILE OF POO}.mp4")
    assert jobs.counts() == {"queued": 1}


def test_jobs_on_servers_are_in_schemas_of_their_own(postgres: Postgres) -> None:
    one, other = Jobs(f"{postgres.address}#one"), Jobs(f"{postgres.address}#other")
    add(one, "a")
    assert (one.waiting(), other.waiting()) == (1, 0)
    one.close()
    again = Jobs(f"{postgres.address}#one")
    assert again.get("a") is not None, "a table that is there is taken as it is"
    again.close()
    other.close()


def test_a_newer_table_on_a_server_is_refused(postgres: Postgres) -> None:
    import psycopg

    Jobs(f"{postgres.address}#newer").close()
    with psycopg.connect(postgres.address, autocommit=True) as raw:
        raw.execute("UPDATE newer.version SET version = 1000")
    with pytest.raises(BadReport, match="upgrade dprnet"):
        Jobs(f"{postgres.address}#newer")


def test_an_older_table_on_a_server_is_brought_up(postgres: Postgres) -> None:
    import psycopg

    with psycopg.connect(postgres.address, autocommit=True) as raw:
        raw.execute("CREATE SCHEMA older")
        raw.execute("SET search_path TO older")
        raw.execute("CREATE TABLE version (version INTEGER NOT NULL)")
        raw.execute("INSERT INTO version VALUES (1)")
        for statement in STEPS[0].split(";\n"):
            raw.execute(translated(statement))
        raw.execute(
            "INSERT INTO jobs (id, state, created_s, expires_s, name, sha256, request)"
            " VALUES ('a', 'queued', 1, 9e9, 'x', 'y', '{}')"
        )
    opened = Jobs(f"{postgres.address}#older")
    lease = opened.claim(60, 3)
    assert lease is not None
    assert lease.job.id == "a"
    opened.close()


@pytest.mark.parametrize("address", ["postgresql://h/d#No", "postgresql://h/d#a;b", "mysql://h/d", "postgresql://%zz"])
def test_an_address_that_is_none_is_said_without_its_password(address: str) -> None:
    with pytest.raises(BadRecipe):
        Jobs(address)
    with pytest.raises(BadRecipe) as refused:
        Jobs("postgresql://me:secret@127.0.0.1:1/nothing")
    assert "secret" not in str(refused.value)


def test_a_server_that_was_away_is_found_again(postgres: Postgres) -> None:
    import psycopg

    opened = Jobs(f"{postgres.address}#away")
    add(opened, "a")
    with psycopg.connect(postgres.address, autocommit=True) as raw:
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dprnet'"
        raw.execute(ours)
        with pytest.raises(DatabaseGone, match="try again soon"), opened.writing() as db:  # noqa: PT012
            raw.execute(ours)  # in the middle of a transaction: nothing of it counts
            db.execute("UPDATE jobs SET state = 'failed'")
    job = opened.get("a")
    assert job is not None
    assert job.state == "queued"
    opened.close()
