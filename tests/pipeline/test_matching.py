"""Filters and decisions on their way through the whole flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from dprnet.cli import run
from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadFilter
from dprnet.pipeline import VideoToShop, index_catalogue
from dprnet.report import read_json, report_json


@pytest.fixture(scope="module")
def gallery(random_bundle: Path, small_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matching") / "gallery"
    index_catalogue(small_catalogue, folder, bundle=random_bundle)
    return folder


@pytest.fixture(scope="module")
def calibrated(random_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The random bundle, to which everything is exact that is far enough ahead of the next item."""
    bundle = Bundle.from_pretrained(random_bundle)
    settings = {part: bundle.settings(part) for part in ("detector", "embedder", "picking")}
    matching = {
        "embedder": bundle.embedder_identity,
        "pooled": {"similar": [0, 0, 0], "exact": [5, 0, 0]},
        "exact_above": 0.5,
        "usual_margin": 0.0,
    }
    weights = {part: bundle.weights(part) for part in ("detector", "embedder")}
    folder = tmp_path_factory.mktemp("calibrated") / "bundle"
    return save_pretrained(folder, bundle.name, {**settings, "matching": matching}, weights)


def test_only_items_that_pass(random_bundle: Path, gallery: Path, moving_square: Path) -> None:
    shop = VideoToShop.from_pretrained(random_bundle, gallery=gallery)
    report = shop.search(moving_square, every="1s", where="price < 12")
    assert {match.item_id for items in report.matches.items for match in items} == {"red", "green"}
    assert report.settings["where"] == "price < 12"
    none = shop.search(moving_square, every="1s", where="price > 1000")
    assert set(none.matches.items) == {()}


def test_a_filter_that_cannot_be_applied_costs_no_video(
    random_bundle: Path, gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = VideoToShop.from_pretrained(random_bundle, gallery=gallery)
    absent = tmp_path / "absent.mp4"  # were it looked for first, that would be told
    for where, sentence in (("prise < 5", "did you mean 'price'"), ("price <", "a value is wanted")):
        with pytest.raises(BadFilter, match=sentence):
            shop.search(absent, where=where)
    with pytest.raises(BadFilter, match="name a gallery"):
        VideoToShop.from_pretrained(random_bundle).search(absent, where="price < 5")
    words = ["search", str(absent), "--bundle", str(random_bundle), "--gallery", str(gallery), "--where", "prise < 5"]
    assert run(words) == 2
    assert "did you mean 'price'" in capsys.readouterr().err


def test_decisions_reach_the_report(
    random_bundle: Path,
    calibrated: Bundle,
    gallery: Path,
    moving_square: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = VideoToShop.from_pretrained(random_bundle, gallery=gallery).search(moving_square, every="1s")
    assert set(plain.matches.decisions) == {None}
    shop = VideoToShop.from_pretrained(calibrated, gallery=gallery)
    report = shop.search(moving_square, every="1s", items=1)
    assert max(len(items) for items in report.matches.items) == 1
    searched = [place for place, items in enumerate(report.matches.items) if items]
    assert searched
    assert {report.matches.decisions[place] for place in searched} == {"exact"}
    values = report_json(report)
    assert [garment["decision"] for garment in values["garments"]] == list(report.matches.decisions)
    empty = shop.search(moving_square, every="1s", where="price > 1000")
    assert set(empty.matches.decisions) == {None}  # nothing was compared
    out = tmp_path / "out"
    words = ["search", str(moving_square), "--bundle", str(calibrated.folder), "--gallery", str(gallery)]
    assert run([*words, "--every", "1s", "--out", str(out)]) == 0
    assert "exact" in read_json(out / "report.json").matches.decisions
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 'class="badge exact"' in page
    assert ", exact 99%)" in capsys.readouterr().out
