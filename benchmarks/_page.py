"""What a run of all benchmarks found, as one table in Markdown and one plot: ratios by row, with their aims."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str]
COLOURS = {"met": "#2a7f3f", "missed": "#b3372f", "": "#7a8594"}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def markdown(rows: Sequence[Row]) -> str:
    """Dated tables, one a benchmark; the machine above them."""
    first = rows[0]
    met = sum(row["met"] == "met" for row in rows)
    missed = [row for row in rows if row["met"] == "missed"]
    lines = [f"{first['date']}, {first['machine']}: {met} aims met, {len(missed)} missed", ""]
    lines += [f"- missed: {row['benchmark']}, {row['row']}: {_told(row)}" for row in missed]
    for name in dict.fromkeys(row["benchmark"] for row in rows):
        lines += ["", f"## {name}", "", "| row | value | ratio | against | processor share | aim |", "|" + "---|" * 6]
        for row in rows:
            if row["benchmark"] == name:
                cells = (row["row"], f"{row['value']} {row['unit']}", row["ratio"], row["against"])
                lines.append(f"| {' | '.join(cells)} | {row['processor_share']} | {row['aim']} {row['met']} |")
    return "\n".join(lines) + "\n"


def _told(row: Row) -> str:
    found = f"{row['ratio']} of {row['against']}" if row["against"] else f"{row['value']} {row['unit']}"
    return f"{found}, aim {row['aim']}"


def plot(rows: Sequence[Row], path: Path) -> None:
    """A bar for each ratio, a panel for each benchmark; green met its aim, red missed it, grey had none."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ratios = [row for row in rows if row["ratio"]]
    names = list(dict.fromkeys(row["benchmark"] for row in ratios))
    heights = [sum(row["benchmark"] == name for row in ratios) for name in names]
    tall = 0.22 * sum(heights) + 1.2 * len(names) + 1
    figure, panels = pyplot.subplots(
        len(names), figsize=(11, tall), height_ratios=[1 + one for one in heights], squeeze=False, layout="constrained"
    )
    for name, panel in zip(names, panels[:, 0], strict=True):
        here = [row for row in ratios if row["benchmark"] == name]
        values = [float(row["ratio"]) for row in here]
        panel.barh(range(len(here)), values, color=[COLOURS[row["met"]] for row in here])
        panel.set_yticks(range(len(here)), [f"{row['row']} / {row['against']}" for row in here], fontsize=6)
        panel.axvline(1, color="black", linewidth=0.6)
        panel.invert_yaxis()
        panel.set_xscale("log" if max(values) > 20 else "linear")
        panel.set_title(name, loc="left", fontsize=9)
        panel.tick_params(axis="x", labelsize=6)
    figure.suptitle(f"{rows[0]['date']}, {rows[0]['machine']}", fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
