"""Every bad file on the command line, as video, photo and catalogue: nothing is lost, nothing is a traceback."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dprnet.cli import run

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def bad_files(data_root: Path) -> list[Path]:
    files = sorted(path for path in (data_root / "badinput").rglob("*") if path.is_file())
    assert len(files) > 400
    return files


@pytest.mark.timeout(600)
def test_one_search_of_all_of_them_loses_none(bad_files, random_bundle, moving_square, capsys):
    command = ["search", *map(str, bad_files), str(moving_square), "--every", "10s", "--until", "pick", "--json"]
    assert run([*command, "--bundle", str(random_bundle), "--runtime", "torch"]) == 3
    sources = json.loads(capsys.readouterr().out)["sources"]
    assert [source["path"] for source in sources] == [*map(str, bad_files), str(moving_square)]
    failed = [source for source in sources if source["status"] == "failed"]
    assert all(source["note"] and "\n" not in source["note"] for source in failed)
    assert all(source["frames"] > 0 for source in sources if source not in failed)
    assert sources[-1]["status"] == "complete"
    assert len(sources) - len(failed) > 15


def test_one_catalogue_of_all_of_them_loses_none(bad_files, random_bundle, tmp_path, capsys):
    with (tmp_path / "catalogue.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item_id", "image"))
        writer.writerows((f"item {number}", path) for number, path in enumerate(bad_files))
    gallery = tmp_path / "gallery"
    command = ["index", str(tmp_path / "catalogue.csv"), "--gallery", str(gallery), "--bundle", str(random_bundle)]
    assert run(command) == 3
    told = capsys.readouterr().out
    with (gallery / "problems.csv").open(encoding="utf-8", newline="") as file:
        problems = list(csv.DictReader(file))
    left_out = {row["where"] for row in problems if row["problem"].startswith("left out")}
    assert f"{len(bad_files) - len(left_out)} items" in told
    assert len(bad_files) - len(left_out) >= 70


def catalogues(files: list[Path]) -> Iterator[Path]:
    """One of each ending, and all that could be a table."""
    seen = set()
    for path in files:
        if path.suffix in {".csv", ".tsv", ".json", ".jsonl", ".txt"} or path.suffix not in seen:
            seen.add(path.suffix)
            yield path


@pytest.mark.timeout(600)
def test_each_as_a_catalogue_and_to_check_is_a_result_or_one_sentence(bad_files, random_bundle, tmp_path, capsys):
    for number, path in enumerate(catalogues(bad_files)):
        for command in (["index", str(path), "--gallery", str(tmp_path / str(number))], ["check", str(path)]):
            bundle = ["--bundle", str(random_bundle)] if command[0] == "index" else []
            code = run([*command, *bundle])
            printed = capsys.readouterr()
            assert code in {0, 2, 3}, (path, code)
            assert "Traceback" not in printed.err
            if code == 2 and command[0] == "index":
                assert sum(line.startswith("dprnet: ") for line in printed.err.splitlines()) == 1, path
