"""The number of proposals, the size of frames: the least that loses nothing, stored with what was tried."""

from __future__ import annotations

import csv
import shutil

import pytest

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadBundle
from dprnet.detect import Detector
from dprnet.evaluate.detection.sweep import INPUT, PROPOSALS, Trial, least, save_sweep, sweep


def trials(*figures):
    return [Trial(kept, {"a": a, "b": b}, 1.0) for kept, a, b in figures]


def test_every_set_counts_alike_and_the_fewest_of_equals_is_taken():
    assert least(trials((20, 0.9, 0.1), (50, 0.6, 0.6), (100, 0.6, 0.6)), loss=0.0) == 50
    assert least(trials((20, 0.59, 0.59), (50, 0.6, 0.6)), loss=0.011) == 20
    assert least(trials((20, 0.6, 0.6), (300, 0.5, 0.7)), loss=0.0) == 20


def test_the_number_is_measured_and_stored(random_bundle, tmp_path):
    shutil.copytree(random_bundle, tmp_path / "bundle")
    bundle = Bundle.from_pretrained(tmp_path / "bundle")
    seen = []

    def measure(detector: Detector) -> float:
        seen.append(detector.config.proposals.kept)
        return min(detector.config.proposals.kept, 30) / 60

    fit = sweep(bundle, {"set": measure}, PROPOSALS, values=(3, 40, 10, 30, 500), runtime="torch")
    # 20 is the bundle's own; a frame may hold 4 detections, and the first stage looks at no more than 40.
    assert seen == [10, 20, 30, 40]
    assert (fit.chosen, [trial.mean for trial in fit.trials]) == (30, [10 / 60, 20 / 60, 0.5, 0.5])
    fit.write_table(tmp_path / "tables" / "fit.csv")
    rows = list(csv.DictReader((tmp_path / "tables" / "fit.csv").read_text().splitlines()))
    assert [(row["proposals"], row["ap50 set"], row["chosen"]) for row in rows[2:]] == [
        ("30", "0.5000", "1"), ("40", "0.5000", "0")
    ]  # fmt: skip
    pytest.importorskip("matplotlib", reason="the plot needs it")
    fit.plot(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 5_000

    saved = save_sweep(tmp_path / "bundle", fit)
    before, after = dict(bundle.settings("detector")), dict(saved.settings("detector"))
    assert after.pop("proposals") == {**before.pop("proposals"), "kept": 30}
    assert after == before
    assert saved.manifest["weights"] == bundle.manifest["weights"]
    assert saved.settings("picking") == bundle.settings("picking")
    assert [trial["value"] for trial in saved.manifest["origin"]["proposals"]["trials"]] == [10, 20, 30, 40]


def test_frames_keep_their_shape_at_every_size(random_bundle, tmp_path):
    shutil.copytree(random_bundle, tmp_path / "bundle")
    bundle = Bundle.from_pretrained(tmp_path / "bundle")
    before = bundle.settings("detector")
    seen = []

    def measure(detector: Detector) -> float:
        seen.append((detector.short_side, detector.long_side))
        return 0.5 if detector.short_side >= 80 else 0.4

    fit = sweep(bundle, {"set": measure}, INPUT, values=(64, 80, 96, 5000), runtime="torch")
    shape = before["long_side"] / before["short_side"]
    assert [short for short, _ in seen] == sorted({64, 80, 96, before["short_side"]})
    assert all(long == pytest.approx(shape * short, abs=0.5) for short, long in seen)
    assert fit.chosen == 80
    after = save_sweep(tmp_path / "bundle", fit).settings("detector")
    assert (after["short_side"], after["long_side"]) == (80, round(80 * shape))
    assert {**after, "short_side": 0, "long_side": 0} == {**before, "short_side": 0, "long_side": 0}


def test_a_bundle_without_a_detector_is_named(tmp_path):
    with pytest.raises(BadBundle, match="holds no detector"):
        sweep(save_pretrained(tmp_path / "bundle", "empty", {}, {}), {}, PROPOSALS)
