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
    "#a6761d",
    "#66a61e",
)
GREY = "#7f7f7f"
MARKERS = "osD^vP*Xhp<>d"
DPI = 130
TITLE_WIDTH = 0.25  # inches, left of the rows of a sheet


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
    """Write a figure as PNG, and as PDF beside it for a paper, each in one step; the PNG's file name."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with rc_context({"pdf.fonttype": 42}):  # TrueType: many a publisher refuses matplotlib's Type 3
        for kind, metadata in (("pdf", {"CreationDate": None, "Producer": None}), ("png", {"Software": None})):
            figure.savefig(partial, dpi=DPI, format=kind, metadata=metadata)
            partial.replace(path.with_suffix(f".{kind}"))
    return path.name


def band_lines(axis: Axes, x: Sequence[float], lines: Mapping[str, Sequence[Interval]]) -> None:
    """Lines over x with their intervals as bands; values that are not known are left out."""
    for number, (name, intervals) in enumerate(lines.items()):
        value, low, high = (np.array([getattr(one, part) for one in intervals]) for part in ("value", "low", "high"))
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(x, value, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=5, label=name)
        axis.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)


def bars(axis: Axes, rows: Mapping[str, Interval], label: str, first: str = "", ceiling: str = "") -> None:
    """A dot with its interval a row, best at the top, of equals ``first``, which has our colour and a line down.

    ``ceiling`` is drawn hollow: it is no rival.
    """
    ordered = sorted(rows.items(), key=lambda pair: (np.nan_to_num(pair[1].value, nan=-1.0), pair[0] == first))
    for place, (name, one) in enumerate(ordered):
        colour = COLOURS[0] if name == first else GREY if name == ceiling else COLOURS[1]
        axis.plot([one.low, one.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        inside = "white" if name == ceiling else colour
        axis.plot(one.value, place, marker="o", color=colour, markerfacecolor=inside, markersize=6)
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
    figure = new_figure(1.75 * columns + TITLE_WIDTH, max(row_height * len(rows), 1.0))
    shares = [TITLE_WIDTH / 1.75, *[1.0] * columns]
    axes: Any = figure.subplots(max(len(rows), 1), columns + 1, squeeze=False, width_ratios=shares)
    for axis in axes.ravel():
        axis.set_axis_off()
    for line, row in enumerate(rows):
        place = {"transform": axes[line][0].transAxes, "ha": "center", "va": "center"}
        axes[line][0].text(0.5, 0.5, titles[line], rotation=90, fontsize=8, **place)
        for axis, (image, text, marked) in zip(axes[line][1:], row, strict=False):
            _picture(axis, image, text, marked)
    return save_figure(figure, path)


def _picture(axis: Axes, image: Image, text: str, marked: bool) -> None:
    axis.imshow(image)
    axis.set_anchor("S")  # all of a row stand on one line, so that their texts do
    colour = COLOURS[0] if marked else "black"
    axis.text(0.5, -0.03, text, transform=axis.transAxes, fontsize=7, ha="center", va="top", color=colour)
    if marked:
        height, width = image.shape[:2]
        axis.add_patch(_frame(xy=(-0.5, -0.5), width=width, height=height))


def _frame(**place: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(place["xy"], place["width"], place["height"], fill=False, color=COLOURS[0], linewidth=4)
