"""Every verb that measures, from the command line to the figures, on a set of one video."""

from __future__ import annotations

import json
import shutil

import pytest

from dprnet.cli import run
from dprnet.core.bundle import Bundle


def figures(capsys, arguments):
    assert run(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_picking(square_set, random_bundle, tmp_path, capsys):
    arguments = ["evaluate", "picking", str(square_set), "--bundle", str(random_bundle), "--cache", str(tmp_path)]
    found = figures(capsys, arguments)
    assert found["counts"]["instances"] == 1
    assert 0 <= found["r_pick"]["value"] <= 1
    kept = list(tmp_path.rglob("square.npz"))
    assert len(kept) == 1
    assert figures(capsys, arguments) == found  # now from what was kept


def test_video_to_shop(square_set, random_bundle, tmp_path, capsys):
    gallery = str(tmp_path / "gallery")
    arguments = ["evaluate", "video-to-shop", str(square_set), "--bundle", str(random_bundle), "--gallery", gallery]
    found = figures(capsys, arguments)
    assert (found["garments"], found["videos"]) == (1, 1)
    assert set(found["recall"]) >= {"1", "5"}


def test_retrieval_and_detection_to_a_file(square_set, random_bundle, tmp_path, capsys):
    for verb in ("retrieval", "detection"):
        out = tmp_path / f"{verb}.json"
        assert run(["evaluate", verb, str(square_set), "--bundle", str(random_bundle), "--out", str(out)]) == 0
        assert capsys.readouterr().out.strip() == str(out)
        assert json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_calibration_goes_into_the_bundle(square_set, random_bundle, tmp_path, capsys):
    folder = tmp_path / "bundle"
    shutil.copytree(random_bundle, folder)
    before = Bundle.from_pretrained(folder)
    table = tmp_path / "table.csv"
    assert run(["calibrate", "picking", str(square_set), "--bundle", str(folder), "--table", str(table)]) == 0
    fitted = json.loads(capsys.readouterr().out)
    after = Bundle.from_pretrained(folder)
    assert dict(after.settings("picking")) == fitted
    assert after.identity != before.identity
    assert after.embedder_identity == before.embedder_identity  # galleries stay valid
    assert table.read_text(encoding="utf-8").count("\n") > 10


def test_a_folder_without_data_is_one_sentence(random_bundle, tmp_path, capsys):
    for verb in ("detection", "retrieval", "picking", "video-to-shop"):
        assert run(["evaluate", verb, str(tmp_path), "--bundle", str(random_bundle)]) == 2
        error = capsys.readouterr().err
        assert sum(line.startswith("dprnet: ") for line in error.splitlines()) == 1
