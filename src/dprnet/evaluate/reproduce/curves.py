"""Drawings of the figures with matplotlib; nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dprnet.core.errors import MissingExtra
from dprnet.core.records import Image
from dprnet.evaluate.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with colour blindness tell apart; the first is ours in every figure.
COLOURS = (
    "#d55e00",
    "#0072b2",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#7f7f7f",
    "#8c564b",
    "#b0b0b0",
    "#5e3c99",
)
MARKERS = "osD^vP*Xhp<"
DPI = 130


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that no window system needs.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "figures are drawn with it; install dprnet[train]") from None
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path) -> str:
    """Write a figure as PNG, in one step; its file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    figure.savefig(partial, dpi=DPI, format="png", metadata={"Software": None})
    partial.replace(path)
    return path.name


def band_lines(axis: Axes, x: Sequence[float], lines: Mapping[str, Sequence[Interval]]) -> None:
    """Lines over x with their intervals as bands; values that are not known are left out."""
    for number, (name, intervals) in enumerate(lines.items()):
        value, low, high = (np.array([getattr(one, part) for one in intervals]) for part in ("value", "low", "high"))
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(x, value, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=5, label=name)
        axis.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)


def bars(axis: Axes, rows: Mapping[str, Interval], label: str, first: str = "") -> None:
    """A dot with its interval a row, best at the top; ``first`` is drawn in our colour with a line down."""
    ordered = sorted(rows.items(), key=lambda pair: np.nan_to_num(pair[1].value, nan=-1.0))
    for place, (name, one) in enumerate(ordered):
        colour = COLOURS[0] if name == first else COLOURS[1]
        axis.plot([one.low, one.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        axis.plot(one.value, place, marker="o", color=colour, markersize=6)
    if first in rows:
        axis.axvline(rows[first].value, color=COLOURS[0], linewidth=0.8, linestyle=":", zorder=0)
    axis.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    axis.set(xlabel=label, ylim=(-0.7, len(ordered) - 0.3))
    axis.grid(axis="x", alpha=0.3)


def sheet(
    rows: Sequence[Sequence[tuple[Image, str, bool]]], titles: Sequence[str], path: Path, *, row_height: float = 2.6
) -> str:
    """Rows of pictures with a few lines of text below each; a marked one has a frame. Its file name.

    ``row_height`` is in inches, a column has 1.75.
    """
    columns = max((len(row) for row in rows), default=1)
    figure = new_figure(1.75 * columns, max(row_height * len(rows), 1.0))
    axes: Any = figure.subplots(max(len(rows), 1), columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for line, row in enumerate(rows):
        for column, (image, text, marked) in enumerate(row):
            axis = axes[line][column]
            axis.imshow(image)
            axis.text(
                0.5,
                -0.03,
                text,
                transform=axis.transAxes,
                fontsize=7,
                ha="center",
                va="top",
                color=COLOURS[0] if marked else "black",
            )
            if marked:
                height, width = image.shape[:2]
                corner = {"xy": (-0.5, -0.5), "width": width, "height": height}
                axis.add_patch(_frame(**corner))
        axes[line][0].text(-0.06, 0.5, titles[line], transform=axes[line][0].transAxes, rotation=90, fontsize=8,
                           ha="right", va="center")  # fmt: skip
    return save_figure(figure, path)


def _frame(**place: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(place["xy"], place["width"], place["height"], fill=False, color=COLOURS[0], linewidth=4)
