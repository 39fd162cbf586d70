"""The benchmarks: each is run by `make bench`, aims are read as they are written, a run becomes a table and a plot."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in ("all", "_measure", "_page", "_clips", "_decoders"):
        sys.modules.pop(name, None)


def test_every_script_is_run_by_all_or_said_to_stand_apart():
    import all as runner

    scripts = {path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_")}
    run = {Path(arguments[0]).stem for both in runner.SCRIPTS.values() for arguments in both}
    assert run | runner.APART == scripts
    assert not run & runner.APART
    told = (FOLDER / "README.md").read_text()
    assert not [name for name in scripts if f"`{name}.py`" not in told]


def test_aims_and_rows(tmp_path, capsys):
    from _measure import Table, reached

    assert reached(1.2, "<= 1.2")
    assert not reached(0.5, "< 0.5")
    assert not reached(0.89, ">= 0.9")
    table = Table("speed", tmp_path / "rows.csv")
    table.row("whole", 5.0, "s", "the limit", 1.3, 1.9, aim="<= 1.2")
    table.row("help", 0.1, "s", aim="< 0.5")
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [(row["row"], row["met"]) for row in rows] == [("whole", "missed"), ("help", "met")]
    assert "| <= 1.2 missed |" in capsys.readouterr().out

    from _page import markdown, plot

    page = markdown(rows)
    assert "1 aims met, 1 missed" in page
    assert "- missed: speed, whole: 1.3 of the limit, aim <= 1.2" in page
    plot(rows, tmp_path / "ratios.png")
    assert (tmp_path / "ratios.png").read_bytes()[:4] == b"\x89PNG"


def test_rows_of_other_columns_are_not_mixed(tmp_path):
    import all as runner

    rows, out = tmp_path / "rows.csv", tmp_path / "results.csv"
    rows.write_text("a,b\n1,2\n")
    runner.append(rows, out)
    runner.append(rows, out)
    assert out.read_text() == "a,b\n1,2\n1,2\n"
    rows.write_text("a,c\n1,2\n")
    with pytest.raises(SystemExit, match="other columns"):
        runner.append(rows, out)


def test_peers_give_the_frames_that_are_wanted(tmp_path):
    """Those of PyAV, which is here; each in this process."""
    from _clips import Clip, make
    from _decoders import REFERENCE, Job, digests

    clip = Clip("two groups", "libx264", 20, (("preset", "ultrafast"), ("g", "10")))
    job = Job(str(make(clip, tmp_path)), "6f", (0, 6, 12, 18))
    wanted = digests("PyAV, all", job)
    assert len(set(wanted)) == 4
    for way in ("PyAV, to the last of a GOP", "PyAV, seeking", "PyAV, skip_frame by packet"):
        assert digests(way, job) == wanted, way
    wanted = digests(REFERENCE, job)
    assert len(set(wanted)) == 4
    for way in ("ours", "ours, two threads"):
        assert digests(way, job) == wanted, way
