"""What a detector's time buys: boxes of the first stage, size of frames, the least of each that loses next to nothing.

Both matter as much to the time of a frame as the backbone does: what a detector loses with less is measured on
validation images, not guessed. Run before picking is calibrated, since the detections change.
"""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadBundle, MissingExtra
from dprnet.core.progress import SILENT, Progress
from dprnet.detect import Detector
from dprnet.evaluate.figures import plain

log = logging.getLogger(__name__)

MOST_SIDE = 1024  # ours: pixels
LOSS = 0.005  # ours: of AP50, below which less is taken to be as good

Measure = Callable[[Detector], float]
"""A detector -> its AP50 on some validation images."""
Settings = Mapping[str, Any]
"""Of a bundle's detector."""


@dataclass(frozen=True, slots=True)
class Knob:
    """A setting of the detector that trades precision for time: more costs more."""

    name: str
    noun: str
    label: str
    """Of its axis in a plot."""
    values: tuple[int, ...]
    """Tried, beside the bundle's own."""
    read: Callable[[Settings], int]
    put: Callable[[Settings, int], dict[str, Any]]
    """Settings with another value."""
    least: Callable[[Settings], int]
    most: Callable[[Settings], int]
    """What it may be, given the other settings: values beyond are not tried."""


def _put_kept(settings: Settings, kept: int) -> dict[str, Any]:
    return {**settings, "proposals": {**settings["proposals"], "kept": kept}}


def _put_side(settings: Settings, side: int) -> dict[str, Any]:
    return {**settings, "short_side": side, "long_side": round(side * settings["long_side"] / settings["short_side"])}


PROPOSALS = Knob(
    "proposals",
    "proposals",
    "boxes of the first stage an image",
    (20, 30, 50, 75, 100, 150, 200, 300),  # ours
    lambda settings: int(settings["proposals"]["kept"]),
    _put_kept,
    # Validation images show a few people at most; a crowd needs room for all that may be told of one frame.
    lambda settings: int(settings["boxes"]["detections"]),
    lambda settings: int(settings["proposals"]["before"]),  # what the first stage looks at
)
INPUT = Knob(
    "input",
    "pixels on the short side",
    "short side of a frame, in pixels",
    (224, 256, 288, 320, 352, 384, 416, 448, 512),  # ours
    lambda settings: int(settings["short_side"]),
    _put_side,
    lambda _: 1,
    lambda _: MOST_SIDE,
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A value that was tried."""

    value: int
    ap50: dict[str, float]
    """On each of the validation sets."""
    seconds: float
    """Of measuring all of them, on the machine at hand."""

    @property
    def mean(self) -> float:
        """AP50, every set alike."""
        return float(np.mean(list(self.ap50.values())))


@dataclass(frozen=True, slots=True)
class SweepFit:
    """The chosen value and what the others gave."""

    knob: Knob
    chosen: int
    trials: tuple[Trial, ...]
    loss: float

    def write_table(self, path: Path) -> None:
        """One row a value tried, as CSV."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            names = [f"ap50 {name}" for name in self.trials[0].ap50]
            writer.writerow([self.knob.name, *names, "mean", "seconds", "chosen"])
            for trial in self.trials:
                figures = [f"{value:.4f}" for value in (*trial.ap50.values(), trial.mean)]
                writer.writerow([trial.value, *figures, f"{trial.seconds:.1f}", int(trial.value == self.chosen)])

    def plot(self, path: Path) -> None:
        """Draw AP50 and time against the values (PNG, SVG or PDF by suffix).

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtra("matplotlib", "the plot needs it; install dprnet[train]") from None
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axis = figure.subplots()
        values = [trial.value for trial in self.trials]
        for name in self.trials[0].ap50:
            axis.plot(values, [trial.ap50[name] for trial in self.trials], "o-", markersize=4, label=name)
        axis.axvline(self.chosen, color="0.6", linewidth=1, zorder=0)
        axis.set(xlabel=self.knob.label, ylabel="AP50 on validation", ylim=(0, 1))
        axis.legend(loc="lower left", fontsize="small")
        other = axis.twinx()
        other.plot(values, [trial.seconds for trial in self.trials], ":", color="0.4")
        other.set(ylabel="seconds of all images (dotted)", ylim=(0, None))
        axis.set_title(f"{self.chosen} {self.knob.noun} are the least within {self.loss:g} of the best", fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def least(trials: Sequence[Trial], loss: float = LOSS) -> int:
    """The smallest value whose mean AP50 lies within ``loss`` of the best.

    >>> least([Trial(n, {"a": ap}, 0.0) for n, ap in ((20, 0.50), (50, 0.598), (100, 0.60), (300, 0.59))])
    50
    """
    best = max(trial.mean for trial in trials)
    return min(trial.value for trial in trials if trial.mean >= best - loss)


def sweep(
    bundle: Bundle,
    measures: Mapping[str, Measure],
    knob: Knob,
    *,
    values: Sequence[int] | None = None,
    loss: float = LOSS,
    device: str = "cpu",
    runtime: str = "auto",
    progress: Progress = SILENT,
) -> SweepFit:
    """Measure the bundle's detector with every value of a setting.

    Args:
        bundle: with a detector.
        measures: of each validation set by name.
        knob: the setting.
        values: tried beside the bundle's own; those beyond what it may be are left out. None: the knob's.
        loss: of mean AP50 that less may cost.
        device: where the detector runs.
        runtime: what runs it, as for :meth:`dprnet.detect.Detector.from_bundle`.
        progress: shows the values done.

    Raises:
        BadBundle: no detector in it.
        BadDataset: a set without a true box.
    """
    settings = bundle.settings("detector")
    if not settings:
        raise BadBundle(bundle.folder, "holds no detector; train one with `dprnet train detector`")
    wanted = {*(knob.values if values is None else values), knob.read(settings)}
    tried = sorted(value for value in wanted if knob.least(settings) <= value <= knob.most(settings))
    trials = []
    for value in progress.track(tried, knob.noun, len(tried)):
        detector = Detector.from_bundle(turned(bundle, knob, value), device=device, runtime=runtime)
        since = time.monotonic()
        ap50 = {name: measure(detector) for name, measure in measures.items()}
        trials.append(Trial(value, ap50, time.monotonic() - since))
        told = ", ".join(f"{name} {one:.3f}" for name, one in ap50.items())
        log.info("%d %s: AP50 %s", value, knob.noun, told)
    return SweepFit(knob, least(trials, loss), tuple(trials), loss)


def turned(bundle: Bundle, knob: Knob, value: int) -> Bundle:
    """A bundle in memory whose detector has another value; nothing is written."""
    settings = {**bundle.manifest["settings"], "detector": knob.put(bundle.settings("detector"), value)}
    return replace(bundle, manifest={**bundle.manifest, "settings": settings})


def save_sweep(folder: Path, fit: SweepFit) -> Bundle:
    """Write the chosen value into a bundle, with what was tried; weights stay.

    Raises:
        MissingFile: no bundle in the folder.
        BadBundle: its manifest is damaged.
    """
    bundle = Bundle.from_pretrained(folder)
    settings = {"detector": fit.knob.put(bundle.settings("detector"), fit.chosen)}
    trials = [{"value": trial.value, "ap50": plain(trial.ap50)} for trial in fit.trials]
    origin = {fit.knob.name: {"loss": fit.loss, "trials": trials}}
    return save_pretrained(folder, bundle.name, settings, {}, origin=origin)
