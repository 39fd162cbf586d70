"""matches -> report: JSON, JSON Lines, CSV, and one HTML file that works offline."""

from dprnet.report.csv_report import safe_cell, write_csv
from dprnet.report.folder import summary, write_folder
from dprnet.report.html import render_html, write_html
from dprnet.report.json_report import jsonl_line, read_json, report_json, write_json
from dprnet.report.pictures import Pictures, read_photos
from dprnet.report.timeline import Span, spans

__all__ = [
    "Pictures",
    "Span",
    "jsonl_line",
    "read_json",
    "read_photos",
    "render_html",
    "report_json",
    "safe_cell",
    "spans",
    "summary",
    "write_csv",
    "write_folder",
    "write_html",
    "write_json",
]
