"""All forms of a report, in one folder; and in a few words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import printable
from dprnet.core.records import Report
from dprnet.report.csv_report import write_csv
from dprnet.report.html import write_html
from dprnet.report.json_report import write_json
from dprnet.report.numbers import number_of, reason_of
from dprnet.report.page import clock
from dprnet.report.pictures import Pictures


def write_folder(report: Report, pictures: Pictures, folder: Path, *, title: str = "") -> tuple[Path, Path, Path]:
    """Write ``report.html``, ``report.json`` and ``report.csv`` and say where they are."""
    page, values, table = (folder / f"report.{form}" for form in ("html", "json", "csv"))
    write_html(report, page, pictures, title=title)
    write_json(report, values)
    write_csv(report, table)
    return page, values, table


def summary(report: Report) -> str:
    """The report as lines for a terminal: one a garment, with its best match."""
    picks = report.picks
    lines = [
        f"{printable(source.path)}: {source.status}{f' ({printable(source.note)})' if source.note else ''}"
        for source in report.sources
        if source.status != "complete"
    ]
    shown = np.flatnonzero(~picks.doubtful)
    counted = f"{len(shown)} garments, {int(picks.picked.sum())} in a good view"
    lines.append(f"{counted}, {sum(map(len, report.matches.items))} matches")
    for garment in shown.tolist():
        view = picks.detections[[int(picks.best[garment])]]
        label = COARSE_CLASSES[int(view.labels[0])]
        lines.append(
            f"  {number_of(garment):>2}  {label:<10} best at {clock(float(view.time_s[0]))}, "
            f"quality {float(view.overall[0]):.2f}{_match(report, garment)}"
        )
    return "\n".join(lines)


def _match(report: Report, garment: int) -> str:
    if not report.picks.picked[garment] and not report.matches.items[garment]:
        return f"; {reason_of(report.picks, int(report.picks.best[garment]))}"
    if not report.matches.items[garment]:
        return ""
    match = report.matches.items[garment][0]
    said = report.matches.decisions[garment] if report.matches.decisions else None
    certain = report.matches.probabilities[garment] if report.matches.probabilities else None
    told = f", {said}" + (f" {certain:.0%}" if certain is not None else "") if said else ""
    return f"; {printable(match.title or match.item_id, 60)} ({match.similarity:.2f}{told})"
