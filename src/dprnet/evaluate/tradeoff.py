"""What other settings of picking would give, as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from dprnet.evaluate.calibrate import Calibration
from dprnet.evaluate.objective import Grid
from dprnet.evaluate.reproduce.curves import new_figure


def plot_tradeoff(calibration: Calibration, path: Path) -> None:
    """Draw the four measures against each fitted setting, the others as fitted (PNG, SVG or PDF by suffix).

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    names = [name for name in Grid.model_fields if name != "same_frame_apart"]
    figure = new_figure(12, 6.5)
    axes = figure.subplots(2, math.ceil(len(names) / 2), sharey=True).ravel()
    styles = {"r_pick": "-", "r_optimal": "--", "r_duplication": ":", "precision": "-."}
    for axis, name in zip(axes, names, strict=False):
        trials = [trial for trial in calibration.tradeoff if trial.varied == name]
        x = [getattr(trial.config, name) for trial in trials]
        for measure, style in styles.items():
            axis.plot(x, [getattr(trial.counts, measure) for trial in trials], style, label=measure)
        axis.axvline(getattr(calibration.config, name), color="0.6", linewidth=1, zorder=0)
        axis.set(xlabel=name.replace("_", " "), ylim=(-0.02, 1.02))
        axis.grid(alpha=0.3)
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    axes[0].legend(loc="lower left", fontsize="small")
    figure.suptitle("Picking on the validation videos: one setting varied, the others as fitted (grey line)")
    figure.savefig(path, dpi=110)
