from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dprnet.batch.config import BatchConfig
from dprnet.batch.ledger import JOURNAL, QUARANTINE, RESULTS, Ledger, read_results
from dprnet.batch.worker import empty_row
from dprnet.core.errors import BadRecipe, BadReport

DEPENDS = {"every": "0.5s", "bundle": "tiny@1"}


def row(name: str, status: str = "complete", reason: str = "", **more: Any) -> dict[str, Any]:
    return empty_row(Path(f"{name}.mp4"), name, status, reason, "") | more


def stored(folder: Path) -> list[str]:
    return read_results(folder)["sha256"].to_pylist()


def test_results_are_kept_in_blocks(tmp_path: Path) -> None:
    found = {
        "garment": 0,
        "label": "top",
        "rank": 1,
        "item_id": "a",
        "similarity": 0.5,
        "box_xyxy": [0.0, 1.0, 2.0, 3.0],
    }
    with Ledger(tmp_path, DEPENDS, block=2) as ledger:
        for name in "abcde":
            assert not ledger.done(name)
            ledger.add(row(name, found=[found]))
            assert ledger.done(name)
        assert len(list((tmp_path / RESULTS).iterdir())) == 2
        assert len((tmp_path / JOURNAL).read_text("utf-8").splitlines()) == 1
    assert stored(tmp_path) == list("abcde")
    kept = read_results(tmp_path)["found"].to_pylist()[0][0]
    assert {name: kept[name] for name in found} == found
    with Ledger(tmp_path, DEPENDS, block=2) as ledger:
        assert all(ledger.done(name) for name in "abcde")


def test_a_journal_is_taken_up_again_without_its_torn_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, DEPENDS, block=10)
    ledger.add(row("a"))
    ledger.close(whole=False)  # as after a kill
    with (tmp_path / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row("b"))[:40])
    with Ledger(tmp_path, DEPENDS, block=10) as ledger:
        assert (ledger.done("a"), ledger.done("b")) == (True, False)
        ledger.add(row("b"))
    assert stored(tmp_path) == ["a", "b"]


def test_a_kill_between_block_and_journal_doubles_nothing(tmp_path: Path) -> None:
    with Ledger(tmp_path, DEPENDS, block=10) as ledger:
        ledger.add(row("a"))
        journal = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(journal)
    (tmp_path / RESULTS / "part-000002.partial").write_bytes(b"half a block")
    with Ledger(tmp_path, DEPENDS, block=10) as ledger:
        ledger.add(row("b"))
    assert stored(tmp_path) == ["a", "b"]


def test_what_failed_is_listed_and_may_be_tried_again(tmp_path: Path) -> None:
    with Ledger(tmp_path, DEPENDS, block=1) as ledger:
        ledger.add(row("=a", "quarantined", "limit:seconds"))
        ledger.add(row("gone", "failed", "missing_file"))
        ledger.add(row("c"))
        assert ledger.done("=a")
        assert not ledger.done("=a", again=True)
        assert not ledger.done("gone"), "a file that was not there says nothing about its content"
        assert ledger.done("c", again=True)
    lines = (tmp_path / QUARANTINE).read_text("utf-8").splitlines()
    assert lines[1:] == ["'=a.mp4,quarantined,limit:seconds,1,", "gone.mp4,failed,missing_file,1,"]
    with Ledger(tmp_path, DEPENDS, block=9) as ledger:
        ledger.add(row("=a"))
        ledger.add(row("gone"))
    assert sorted(stored(tmp_path)) == ["=a", "c", "gone"]
    assert not (tmp_path / QUARANTINE).exists()


def test_another_run_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path, DEPENDS, block=1).close()
    with pytest.raises(BadRecipe, match=r"another run \(every 0.5s, now 1s\); choose another --out"):
        Ledger(tmp_path, DEPENDS | {"every": "1s"}, block=1)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path, DEPENDS, block=1), pytest.raises(BadRecipe, match=r"process \d+ works in it"):
        Ledger(tmp_path, DEPENDS, block=1)


@pytest.mark.parametrize(
    ("name", "content"), [("run.json", "["), (JOURNAL, "{\n"), ("results/part-000001.parquet", "x")]
)
def test_damage_is_told(tmp_path: Path, name: str, content: str) -> None:
    Ledger(tmp_path, DEPENDS, block=1).close()
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadReport, match="damaged"):
        Ledger(tmp_path, DEPENDS, block=1)


@pytest.mark.parametrize("changed", [{"where": "price < 12"}, {"kind": "exact"}, {"clip": True}])
def test_a_run_is_not_taken_up_with_another_setting_nor_without_it(changed: dict[str, Any], tmp_path: Path) -> None:
    """Settings that came later stand in a run only where they are not the default: runs of before them go on."""
    plain, other = BatchConfig().matters(), BatchConfig(**changed).matters()
    assert set(other) - set(plain) == set(changed)
    for number, (first, then) in enumerate(((plain, other), (other, plain))):
        Ledger(tmp_path / f"{number}", first, block=2).close()
        with pytest.raises(BadRecipe, match=f"another run \\({next(iter(changed))} .*(now not set|not set, now)"):
            Ledger(tmp_path / f"{number}", then, block=2)
        Ledger(tmp_path / f"{number}", first, block=2).close()
