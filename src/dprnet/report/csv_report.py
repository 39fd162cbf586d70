"""A report as CSV: one row a match, one row for a garment without any.

A spreadsheet runs a cell that starts with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return as a formula; text
that came from a catalogue or a file name gets a quote in front of it. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from dprnet.core.records import Report
from dprnet.report.json_report import garment_json, write_whole

COLUMNS = (
    "video", "garment", "label", "status", "first_seen_s", "last_seen_s", "best_frame", "best_time_s",
    "x1", "y1", "x2", "y2", "viewpoint", "occlusion", "crop", "overall", "reason",
    "rank", "item_id", "similarity", "decision", "probability", "category", "title", "price", "url", "photo",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula.

    >>> safe_cell("=1+1"), safe_cell("  @SUM(A1)"), safe_cell("blue shirt")
    ("'=1+1", "'  @SUM(A1)", 'blue shirt')
    """
    starts = text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS)
    return "'" + text if starts else text


def rows(report: Report) -> Iterator[dict[str, str | int | float | None]]:
    """The rows of the CSV file, by column name; text is made safe, None is an empty cell."""
    for garment in (garment_json(report, index) for index in range(len(report.picks))):
        best = garment["best_view"]
        facts = {
            "video": report.sources[best["source"]].path,
            **{key: garment[key] for key in ("garment", "label", "status", "first_seen_s", "last_seen_s")},
            **{"best_frame": best["frame"], "best_time_s": best["time_s"]},
            **dict(zip(("x1", "y1", "x2", "y2"), best["box_xyxy"], strict=True)),
            **best["quality"],
            **{"overall": best["overall"], "reason": best["reason"]},
        }
        decision = {"decision": garment["decision"], "probability": garment["probability"]}
        for rank, match in enumerate(garment["matches"], 1):
            yield _safe({**facts, "rank": rank, **decision, **{key: match[key] for key in match if key in COLUMNS}})
        if not garment["matches"]:
            yield _safe({**facts, **decision})


def _safe(row: dict[str, str | int | float | None]) -> dict[str, str | int | float | None]:
    return {key: safe_cell(value) if isinstance(value, str) else value for key, value in row.items()}


def write_csv(report: Report, path: Path) -> None:
    """Write the report as CSV: UTF-8 with a byte order mark (so that Excel reads accents), CR LF, RFC 4180 quotes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows(report))
    write_whole(path, text.getvalue().encode("utf-8-sig", errors="replace"))
