"""The demonstration as a newcomer runs it, with networks of random weights."""

from __future__ import annotations

import json

import pytest

from dprnet.cli import run

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
def test_demo_names_its_page_and_keeps_its_samples(random_bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DPRNET_DATA", raising=False)
    out = tmp_path / "demo"
    assert run(["demo", "--out", str(out), "--bundle", str(random_bundle)]) == 0
    printed = capsys.readouterr().out
    assert str(out / "report.html") in printed
    assert str(out / "report.json") in printed
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert len(report["sources"]) == 3
    assert all(6 < source["duration_s"] < 14 for source in report["sources"])
    assert f"{len(report['garments'])} garments" in printed
    photos = list((out / "samples" / "gallery").glob("*.jpg"))
    assert 90 <= len(photos) <= 110
    made = (out / "samples" / "set.json").stat().st_mtime_ns
    assert run(["demo", "--out", str(out), "--bundle", str(random_bundle)]) == 0
    assert (out / "samples" / "set.json").stat().st_mtime_ns == made
