"""Pictures of the figures: reliability and confusion of the scoring branches, same/different of the instance branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.errors import MissingExtra
from dprnet.evaluate.detection.branches import BRANCHES, BranchFigures
from dprnet.evaluate.detection.figures import DetectionFigures
from dprnet.evaluate.detection.instances import InstanceFigures

STYLES = ("-", "--", ":", "-.")


def plot_branches(figures: DetectionFigures, path: Path) -> None:
    """Draw reliability diagram and confusion matrix of each scoring branch (PNG, SVG or PDF by suffix).

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    figure = _figure(12, 7.5)
    axes = figure.subplots(2, len(BRANCHES))
    for column, (name, classes) in enumerate(BRANCHES.items()):
        branch = figures.branches[name]
        _reliability(axes[0][column], branch, f"{name}: score of '{classes[0]}'")
        _confusion(axes[1][column], branch, classes)
    figure.suptitle(f"Scoring branches, {figures.images} images")
    figure.savefig(path, dpi=110)


def plot_instances(figures: InstanceFigures, path: Path) -> None:
    """Draw the same/different curves and the F1 and adjusted Rand index at every cut (PNG, SVG or PDF by suffix).

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    figure = _figure(13, 4.2)
    left, middle, right = figure.subplots(1, 3)
    for number, method in enumerate(figures.methods):
        style, colour = STYLES[number % len(STYLES)], f"C{number}"
        if method.roc:
            false, true = zip(*method.roc, strict=True)
            left.plot(false, true, style, color=colour, label=f"{method.name}, area {method.auc:.3f}")
        cuts = [point.cut for point in method.curve]
        middle.plot(cuts, [point.f1 for point in method.curve], style, color=colour, label=method.name)
        right.plot(cuts, [point.adjusted_rand for point in method.curve], style, color=colour)
        for axis in (middle, right):
            axis.axvline(method.cut, linestyle=style, color=colour, linewidth=0.8, alpha=0.6)
    left.set(xlabel="pairs of two garments below the distance", ylabel="pairs of one garment below it")
    middle.set(xlabel="cut: distance (tracker: overlap); thin line: fitted", ylabel="clustering F1", ylim=(0, 1.02))
    right.set(xlabel="cut", ylabel="adjusted Rand index", ylim=(-0.02, 1.02))
    left.legend(loc="lower right", fontsize="small")
    right.legend(*middle.get_legend_handles_labels(), loc="best", fontsize="small")
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    figure.suptitle(f"Telling garments apart: {figures.views} views in {figures.videos} videos")
    figure.savefig(path, dpi=110)


def _reliability(axis: Any, branch: BranchFigures, title: str) -> None:
    full = [bar for bar in branch.reliability if bar.boxes]
    width = 1 / max(len(branch.reliability), 1)
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
    axis.bar([(bar.low + bar.high) / 2 for bar in full], [bar.good for bar in full], width * 0.9, alpha=0.6)
    axis.plot([bar.score for bar in full], [bar.good for bar in full], "o", markersize=4)
    for bar in full:
        axis.annotate(str(bar.boxes), ((bar.low + bar.high) / 2, 0.01), ha="center", fontsize=7)
    if not full:
        axis.text(0.5, 0.5, "no labels", ha="center", color="0.4")
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score", ylabel="truly so")
    axis.set_title(f"{title}, calibration error {branch.calibration_error:.3f}", fontsize=10)


def _confusion(axis: Any, branch: BranchFigures, classes: Any) -> None:
    table = np.array(branch.confusion, float).reshape(len(classes), len(classes))
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(classes)):
        for column in range(len(classes)):
            colour = "white" if shares[row, column] > 0.6 else "black"
            text = f"{shares[row, column]:.0%}\n{int(table[row, column])}"
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    names = [name.replace("_", " ") for name in classes]
    axis.set_xticks(range(len(classes)), names, fontsize=8)
    axis.set_yticks(range(len(classes)), names, fontsize=8)
    axis.set(xlabel="judged", ylabel="true")
    axis.set_title(f"balanced accuracy {branch.balanced_accuracy:.3f}", fontsize=10)


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "the plot needs it; install dprnet[train]") from None
    return Figure(figsize=(width, height), layout="constrained")
