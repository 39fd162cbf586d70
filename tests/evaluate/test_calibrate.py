"""Calibration finds better settings than it began with, and puts them into the bundle."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.evaluate import calibrate
from dprnet.evaluate.calibrate import Calibration, calibrate_picking, save_picking
from dprnet.evaluate.objective import Grid, Objective
from dprnet.evaluate.pick_counts import PickCounts
from dprnet.evaluate.picking import evaluate_picking
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.tradeoff import plot_tradeoff
from dprnet.pick import PickConfig

SMALL = Grid(
    viewpoint=(0.0, 0.3, 0.5, 0.7),
    occlusion=(0.0, 0.5, 0.8),
    crop=(0.0, 0.5, 0.95),
    min_score=(0.0, 0.5),
    cut_distance=(0.01, 0.1, 0.3, 0.5, 1.0),
    min_views=(1, 2),
    same_frame_apart=(False,),
)


@pytest.fixture(scope="module")
def videos(seen: Callable[..., Seen]) -> list[Seen]:
    return [seen(seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def calibration(videos: list[Seen]) -> Calibration:
    return calibrate_picking(videos, grid=SMALL, set_id="validation-1", detector="made@1", every="5f")


def test_objective_by_hand() -> None:
    counts = PickCounts(instances=10, picked=8, duplicated=2, optimal=6, picks=12, right=9)
    assert Objective().of(counts) == pytest.approx(0.8 + 0.75 - 0.25 - 0.5 * 0.25)
    assert Objective(pick=2, duplication=0, optimal=0, precision=0).of(counts) == pytest.approx(1.6)
    assert Objective().of(PickCounts(instances=3)) == pytest.approx(-0.5)


def test_fitted_settings_are_the_best_along_every_setting(calibration: Calibration, videos: list[Seen]) -> None:
    objective = Objective()
    assert objective.of(calibration.figures.counts) == pytest.approx(calibration.value)
    assert max(trial.objective for trial in calibration.tradeoff) == pytest.approx(calibration.value)
    for start in calibrate.STARTS:
        assert calibration.value >= objective.of(evaluate_picking(videos, PickConfig(**start)).counts)  # type: ignore[arg-type]
    assert calibration.figures.r_pick.value >= 0.9
    assert calibration.figures.r_duplication.value <= 0.1
    assert calibration.figures.precision.value == 1.0
    assert calibration.config.min_views == 2  # the made-up false detections come once each
    assert calibration.config.cut_distance not in (0.01, 1.0)


def test_what_is_seen_over_the_time_of_these_frames_will_do_at_longer_intervals(videos: list[Seen]) -> None:
    three = calibrate_picking(videos, grid=SMALL.model_copy(update={"min_views": (3,)}))
    gaps = np.diff(np.unique(videos[0].detections.time_s))
    assert three.config.min_span_s == pytest.approx(0.9 * 2 * np.median(gaps), abs=0.001)
    one = calibrate_picking(videos, grid=SMALL.model_copy(update={"min_views": (1,)}))
    assert one.config.min_span_s is None


def test_calibration_is_the_same_again(calibration: Calibration, videos: list[Seen]) -> None:
    again = calibrate_picking(videos[::-1], grid=SMALL, set_id="validation-1", detector="made@1", every="5f")
    assert again.config == calibration.config
    assert again.value == pytest.approx(calibration.value)


def test_tradeoff_table(calibration: Calibration, tmp_path: Path) -> None:
    calibration.write_table(tmp_path / "tradeoff.csv")
    with (tmp_path / "tradeoff.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(getattr(SMALL, name)) for name in Grid.model_fields)
    cuts = [row for row in rows if row["varied"] == "cut_distance"]
    assert [float(row["cut_distance"]) for row in cuts] == [0.01, 0.1, 0.3, 0.5, 1.0]
    assert float(cuts[0]["r_pick"]) == 0  # every view a garment of its own, seen once
    assert float(cuts[-1]["r_pick"]) < float(cuts[2]["r_pick"])  # garments of one class run together


def test_plot(calibration: Calibration, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_tradeoff(calibration, tmp_path / "tradeoff.svg")
    text = (tmp_path / "tradeoff.svg").read_text(encoding="utf-8")
    assert text.rstrip().endswith("</svg>")


def test_saved_into_the_bundle_and_nothing_else_changes(calibration: Calibration, tmp_path: Path) -> None:
    weights = {"detector": {"w": np.ones((2, 2), np.float32)}}
    before = save_pretrained(tmp_path, "mine", {"detector": {"a": 1}}, weights, card="card")
    after = save_picking(tmp_path, calibration)
    assert parse_settings(dict(after.settings("picking")), PickConfig) == calibration.config
    assert after.settings("detector") == before.settings("detector")
    assert after.manifest["weights"] == before.manifest["weights"]
    assert after.identity != before.identity
    assert after.card == "card"
    assert after.manifest["origin"]["picking"]["set"] == "validation-1"
    assert after.manifest["origin"]["picking"]["figures"]["r_pick"]["value"] == calibration.figures.r_pick.value
    assert Bundle.from_pretrained(tmp_path).settings("picking") == after.settings("picking")


def test_no_bundle_and_no_garments_are_refused(
    calibration: Calibration, tmp_path: Path, seen: Callable[..., Seen]
) -> None:
    with pytest.raises(MissingFile):
        save_picking(tmp_path / "nothing", calibration)
    with pytest.raises(BadDataset, match="no garment to fit on in 0 videos"):
        calibrate_picking([])
    with pytest.raises(BadDataset, match="no garment to fit on in 1 videos"):
        calibrate_picking([seen(frames=5)])  # 0.2 s: too short to count


def test_of_equal_values_the_middle_of_the_longest_run() -> None:
    def trial(cut: float, objective: float) -> calibrate.Trial:
        return calibrate.Trial(PickConfig(cut_distance=cut), PickCounts(), objective)

    trials = [trial(0.1, 1.0), trial(0.2, 0.5), trial(0.3, 1.0), trial(0.4, 1.0), trial(0.5, 1.0), trial(0.6, 0.9)]
    assert calibrate._middle_of_best(trials).config.cut_distance == 0.4
