"""A table of the first version and a result as it was first written (``golden/page-1.json``) stay readable.

A golden file is never changed: a new form of the page's values gets a file of its own beside it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from dprnet.service.config import ServiceConfig
from dprnet.service.results import PAGE, PAGE_SCHEMA
from dprnet.service.schema import STEPS

from .conftest import started

GOLDEN = Path(__file__).parent / "golden"
JOB = "A" * 22


@pytest.mark.parametrize("schema", range(1, PAGE_SCHEMA + 1))
def test_a_result_of_an_older_version_is_shown(tmp_path: Path, random_bundle: Path, schema: int) -> None:
    golden = GOLDEN / f"page-{schema}.json"
    assert json.loads(golden.read_text())["schema"] == schema
    result = tmp_path / "jobs" / JOB / "result-old"
    result.mkdir(parents=True)
    shutil.copy(golden, result / PAGE)
    (result / "report.json").write_text("{}")
    request = {"every": "0.5s", "items": 5, "fallback": None, "gallery": "gone"}
    summary = {"garments": 1, "picked": 1, "matches": 2, "status": "complete", "note": "", "duration_s": 12.9}
    raw = sqlite3.connect(tmp_path / "jobs.sqlite")
    raw.executescript(STEPS[0])
    raw.execute("PRAGMA user_version = 1")
    raw.execute(
        "INSERT INTO jobs (id, state, created_s, expires_s, name, sha256, request, result, summary)"
        " VALUES (?, 'done', 1, 9e9, 'look.mp4', 'x', ?, 'result-old', ?)",
        (JOB, json.dumps(request), json.dumps(summary)),
    )
    raw.execute(
        "INSERT INTO feedback (at_s, job, garment, label, gallery, item_id, verdict)"
        " VALUES (1, ?, 1, 'top', 'gone', 'an item that went', 'right')",
        (JOB,),
    )
    raw.commit()
    raw.close()
    with started(ServiceConfig(folder=tmp_path, bundle=str(random_bundle), workers=0)) as service:
        assert service.ask("GET", f"/v1/jobs/{JOB}").json["summary"] == summary
        page = service.ask("GET", f"/jobs/{JOB}")
        assert page.status == 200, page.body
        text = page.body.decode()
        for words in ("Burgundy short sleeve top", "62.90", "Unobstructed", "0:09.0", "35 other views", "tiny@"):
            assert words in text, words
        assert "an item that went" in text, "what was said of it stands, though the catalogue has gone"
        assert b"look.mp4" in service.ask("GET", "/").body
        assert service.ask("GET", f"/v1/jobs/{JOB}/report.json").body == b"{}"
