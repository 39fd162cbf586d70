"""How many boxes the first stage hands on: the fewest that lose next to no average precision on validation images.

Their number matters as much to the time of a frame as the backbone does, and the best of them come first: what a
detector loses with fewer is measured, not guessed. Run before picking is calibrated, since the detections change.
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

COUNTS = (20, 30, 50, 75, 100, 150, 200, 300)  # ours
LOSS = 0.005  # ours: of AP50, below which fewer boxes are taken to be as good

Measure = Callable[[Detector], float]
"""A detector -> its AP50 on some validation images."""


@dataclass(frozen=True, slots=True)
class ProposalTrial:
    """A number of boxes that was tried."""

    kept: int
    ap50: dict[str, float]
    """On each of the validation sets."""
    seconds: float
    """Of measuring all of them, on the machine at hand."""

    @property
    def mean(self) -> float:
        """AP50, every set alike."""
        return float(np.mean(list(self.ap50.values())))


@dataclass(frozen=True, slots=True)
class ProposalFit:
    """The chosen number and what the others gave."""

    kept: int
    trials: tuple[ProposalTrial, ...]
    loss: float

    def write_table(self, path: Path) -> None:
        """One row a number tried, as CSV."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["kept", *(f"ap50 {name}" for name in self.trials[0].ap50), "mean", "seconds", "chosen"])
            for trial in self.trials:
                figures = [f"{value:.4f}" for value in (*trial.ap50.values(), trial.mean)]
                writer.writerow([trial.kept, *figures, f"{trial.seconds:.1f}", int(trial.kept == self.kept)])

    def plot(self, path: Path) -> None:
        """Draw AP50 and time against the number of boxes (PNG, SVG or PDF by suffix).

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtra("matplotlib", "the plot needs it; install dprnet[train]") from None
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axis = figure.subplots()
        counts = [trial.kept for trial in self.trials]
        for name in self.trials[0].ap50:
            axis.plot(counts, [trial.ap50[name] for trial in self.trials], "o-", markersize=4, label=name)
        axis.axvline(self.kept, color="0.6", linewidth=1, zorder=0)
        axis.set(xlabel="boxes of the first stage an image", ylabel="AP50 on validation", ylim=(0, 1))
        axis.legend(loc="lower left", fontsize="small")
        other = axis.twinx()
        other.plot(counts, [trial.seconds for trial in self.trials], ":", color="0.4")
        other.set(ylabel="seconds of all images (dotted)", ylim=(0, None))
        axis.set_title(f"{self.kept} boxes are the fewest within {self.loss:g} of the best", fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def fewest(trials: Sequence[ProposalTrial], loss: float = LOSS) -> int:
    """The smallest number whose mean AP50 lies within ``loss`` of the best.

    >>> fewest([ProposalTrial(n, {"a": ap}, 0.0) for n, ap in ((20, 0.50), (50, 0.598), (100, 0.60), (300, 0.59))])
    50
    """
    best = max(trial.mean for trial in trials)
    return min(trial.kept for trial in trials if trial.mean >= best - loss)


def fit_proposals(
    bundle: Bundle,
    measures: Mapping[str, Measure],
    *,
    counts: Sequence[int] = COUNTS,
    loss: float = LOSS,
    device: str = "cpu",
    runtime: str = "auto",
    progress: Progress = SILENT,
) -> ProposalFit:
    """Measure the bundle's detector with every number of boxes.

    Args:
        bundle: with a detector.
        measures: of each validation set by name.
        counts: numbers tried; those above what the first stage looks at (``proposals.before``) are left out.
        loss: of mean AP50 that fewer boxes may cost.
        device: where the detector runs.
        runtime: what runs it, as for :meth:`dprnet.detect.Detector.from_bundle`.
        progress: shows the numbers done.

    Raises:
        BadBundle: no detector in it.
        BadDataset: a set without a true box.
    """
    settings = bundle.settings("detector")
    if not settings:
        raise BadBundle(bundle.folder, "holds no detector; train one with `dprnet train detector`")
    most = int(settings["proposals"]["before"])
    tried = sorted({count for count in (*counts, int(settings["proposals"]["kept"])) if 0 < count <= most})
    trials = []
    for kept in progress.track(tried, "number of proposals", len(tried)):
        detector = Detector.from_bundle(with_kept(bundle, kept), device=device, runtime=runtime)
        since = time.monotonic()
        ap50 = {name: measure(detector) for name, measure in measures.items()}
        trials.append(ProposalTrial(kept, ap50, time.monotonic() - since))
        log.info("%d proposals: AP50 %s", kept, ", ".join(f"{name} {value:.3f}" for name, value in ap50.items()))
    return ProposalFit(fewest(trials, loss), tuple(trials), loss)


def with_kept(bundle: Bundle, kept: int) -> Bundle:
    """A bundle in memory whose detector keeps another number of boxes; nothing is written."""
    return replace(bundle, manifest={**bundle.manifest, "settings": _settings(bundle, kept)})


def _settings(bundle: Bundle, kept: int) -> dict[str, Any]:
    detector = dict(bundle.settings("detector"))
    detector["proposals"] = {**detector["proposals"], "kept": kept}
    return {**bundle.manifest["settings"], "detector": detector}


def save_proposals(folder: Path, fit: ProposalFit) -> Bundle:
    """Write the chosen number into a bundle (``detector.proposals.kept``), with what was tried; weights stay.

    Raises:
        MissingFile: no bundle in the folder.
        BadBundle: its manifest is damaged.
    """
    bundle = Bundle.from_pretrained(folder)
    settings = {"detector": _settings(bundle, fit.kept)["detector"]}
    origin = {"loss": fit.loss, "trials": [{"kept": t.kept, "ap50": plain(t.ap50)} for t in fit.trials]}
    return save_pretrained(folder, bundle.name, settings, {}, origin={"proposals": origin})
