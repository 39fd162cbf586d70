"""Fit the settings of picking on validation videos; the fitted values go into the bundle, never into code."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadDataset
from dprnet.core.progress import Progress, Silent
from dprnet.evaluate.figures import plain
from dprnet.evaluate.objective import Grid, Objective
from dprnet.evaluate.pick_counts import PickCounts
from dprnet.evaluate.picking import RATIOS, PickingFigures, count_picks, evaluate_picking
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.stills import StillCounts, Stills
from dprnet.pick import PickConfig, pick

log = logging.getLogger(__name__)

STARTS: tuple[Mapping[str, float], ...] = (  # ours: from a loose, a middling and a strict filter
    {"viewpoint": 0.2, "occlusion": 0.2, "crop": 0.2, "cut_distance": 0.2},
    {"viewpoint": 0.5, "occlusion": 0.5, "crop": 0.5, "cut_distance": 0.4},
    {"viewpoint": 0.7, "occlusion": 0.7, "crop": 0.7, "cut_distance": 0.6},
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of picking that was tried."""

    config: PickConfig
    counts: PickCounts
    objective: float
    stills: StillCounts | None = None
    """On photos, where there are any."""
    varied: str = ""
    """In the sweeps: which setting differs from the fitted ones."""

    def row(self) -> dict[str, Any]:
        """Settings and figures side by side, for a table."""
        settings = {name: getattr(self.config, name) for name in Grid.model_fields}
        figures = {name: round(getattr(self.counts, name), 4) for name in RATIOS}
        if self.stills is not None:
            figures |= {
                "photos_recall": round(self.stills.recall, 4),
                "photos_precision": round(self.stills.precision, 4),
            }
        return {"varied": self.varied, **settings, **figures, "objective": round(self.objective, 4)}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted settings, what they give on the videos they were fitted on, and what other values would give."""

    config: PickConfig
    figures: PickingFigures
    """On the validation videos themselves, so a little too good; the test set is the judge."""
    objective: Objective
    value: float
    tradeoff: tuple[Trial, ...]
    """One sweep a setting, the others as fitted."""
    tried: int
    stills: StillCounts | None = None
    """What passes on the validation photos, where there were any."""

    def write_table(self, path: Path) -> None:
        """Write the trade-off table as CSV, one row a trial."""
        rows = [trial.row() for trial in self.tradeoff]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def calibrate_picking(
    seen: Sequence[Seen],
    *,
    stills: Stills | None = None,
    objective: Objective | None = None,
    grid: Grid | None = None,
    base: PickConfig | None = None,
    set_id: str = "",
    detector: str = "",
    every: str = "",
    rounds: int = 6,
    progress: Progress | None = None,
) -> Calibration:
    """Fit the three limits, detector score, cut distance, views and same-frame rule by coordinate ascent.

    From each of three starts one setting after the other takes its best value of the grid, until none changes. Of
    equal values the middle one of the longest run is taken, so that the choice does not sit on an edge.

    Args:
        seen: validation videos, as :func:`dprnet.evaluate.seen.see` gives them; never the test set.
        stills: validation photos of real people; the limits are fitted on both.
        objective: what is made large.
        grid: the values tried.
        base: the settings that are not fitted (linkage, limits of folding).
        set_id, detector, every: what was fitted on; copied into the figures.
        rounds: at most so many times through all settings from each start.
        progress: shows the settings done.

    Raises:
        BadDataset: the videos hold no instance that counts.
    """
    objective, grid, base = objective or Objective(), grid or Grid(), base or PickConfig()
    if not any(video.truth.counted for video in seen):
        raise BadDataset(set_id or "validation videos", f"no garment to fit on in {len(seen)} videos")
    judge = _Judge(seen, objective, stills)
    best: Trial | None = None
    for start in (progress or Silent()).track(STARTS, "calibrating", len(STARTS)):
        found = _ascend(judge, grid, _on_grid(base.model_copy(update=dict(start)), grid), rounds)
        if best is None or found.objective > best.objective:
            best = found
    assert best is not None, "STARTS is not empty"
    sweeps = [trial for name in Grid.model_fields for trial in _sweep(judge, grid, best.config, name)]
    config = _for_longer_intervals(best.config, seen)
    figures = evaluate_picking(seen, config, set_id=set_id, detector=detector, every=every)
    passed = stills.counts(config) if stills is not None else None
    value = objective.of_both(figures.counts, passed)
    log.info("picking fitted in %d trials: objective %.3f", len(judge.known), value)
    return Calibration(config, figures, objective, value, tuple(sweeps), len(judge.known), passed)


def _for_longer_intervals(config: PickConfig, seen: Sequence[Seen]) -> PickConfig:
    """With the time that ``min_views`` frames take at the interval of these videos, so that it holds for longer ones.

    Without it three frames, fitted at half a second, would ask two seconds of a garment where a frame is looked at
    every second. A tenth is taken off, since a frame may come a little after its time.
    """
    gaps = [np.diff(np.unique(video.detections.time_s)) for video in seen]
    if config.min_views == 1 or not sum(map(len, gaps)):
        return config.model_copy(update={"min_span_s": None})
    interval_s = float(np.median(np.concatenate(gaps)))
    return config.model_copy(update={"min_span_s": round(0.9 * (config.min_views - 1) * interval_s, 3)})


def save_picking(folder: Path, calibration: Calibration) -> Bundle:
    """Write fitted settings into a bundle (``settings.picking``), with where they came from; weights stay.

    Raises:
        MissingFile: no bundle in the folder.
        BadBundle: its manifest is damaged.
    """
    bundle = Bundle.from_pretrained(folder)
    figures = calibration.figures
    origin = {
        "set": figures.set_id,
        "detector": figures.detector,
        "every": figures.every,
        "objective": calibration.objective.model_dump(),
        "trials": calibration.tried,
        "figures": {name: plain(getattr(figures, name)) for name in RATIOS},
    }
    if calibration.stills is not None:
        origin["stills"] = asdict(calibration.stills)
    settings = {"picking": calibration.config.model_dump()}
    return save_pretrained(folder, bundle.name, settings, {}, origin={"picking": origin})


class _Judge:
    """Tries a setting once and remembers."""

    def __init__(self, seen: Sequence[Seen], objective: Objective, stills: Stills | None) -> None:
        self.seen, self.objective, self.stills = seen, objective, stills
        self.known: dict[PickConfig, Trial] = {}

    def __call__(self, config: PickConfig) -> Trial:
        if config not in self.known:
            counts = reduce(add, (count_picks(video, pick(video.detections, config)) for video in self.seen))
            passed = self.stills.counts(config) if self.stills is not None else None
            self.known[config] = Trial(config, counts, self.objective.of_both(counts, passed), passed)
        return self.known[config]


def _ascend(judge: _Judge, grid: Grid, config: PickConfig, rounds: int) -> Trial:
    here = judge(config)
    for _ in range(rounds):
        before = here
        for name in Grid.model_fields:
            best = _middle_of_best(_sweep(judge, grid, here.config, name))
            if best.objective >= here.objective:
                here = best
        if here.config == before.config:
            break
    return here


def _sweep(judge: _Judge, grid: Grid, config: PickConfig, name: str) -> list[Trial]:
    trials = [judge(config.model_copy(update={name: value})) for value in getattr(grid, name)]
    return [replace(trial, varied=name) for trial in trials]


def _middle_of_best(trials: Sequence[Trial]) -> Trial:
    """The middle of the longest run of trials with the highest objective."""
    top = max(trial.objective for trial in trials)
    runs: list[list[Trial]] = [[]]
    for trial in trials:
        if trial.objective == top:
            runs[-1].append(trial)
        elif runs[-1]:
            runs.append([])
    longest = max(runs, key=len)
    return longest[(len(longest) - 1) // 2]


def _on_grid(config: PickConfig, grid: Grid) -> PickConfig:
    def nearest(name: str) -> Any:
        return min(getattr(grid, name), key=lambda value: abs(value - getattr(config, name)))

    return config.model_copy(update={name: nearest(name) for name in Grid.model_fields})
