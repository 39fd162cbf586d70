"""A report as one HTML file that works offline: the shoppable timeline.

No script, no address that loads anything: the page's own policy (Content-Security-Policy) allows its one style sheet,
by hash, and ``data:`` pictures, and nothing else. Every text is escaped by the template engine.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from dprnet.core.records import Report
from dprnet.report.json_report import write_whole
from dprnet.report.page import card_of, clock, track_of
from dprnet.report.pictures import Pictures

if TYPE_CHECKING:
    from jinja2 import Template


def write_html(report: Report, path: Path, pictures: Pictures | None = None, *, title: str = "") -> None:
    """Write the report as one self-contained page.

    Args:
        pictures: crops and photos to show (placeholders where absent); best views also come from ``picks.crops``.
        title: heading of the page; the name of the video where empty.
    """
    write_whole(path, render_html(report, pictures or Pictures(), title=title).encode("utf-8", errors="replace"))


def render_html(report: Report, pictures: Pictures, *, title: str = "") -> str:
    """The page as text."""
    style = (files("dprnet.report") / "templates" / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    shown = np.flatnonzero(~report.picks.doubtful).tolist()
    cards = {garment: card_of(report, pictures, garment) for garment in shown}
    names = [PurePath(source.path).name or source.path for source in report.sources]
    return _template().render(
        title=title or (names[0] if len(names) == 1 else f"{len(names)} videos"),
        report=report,
        names=names,
        style=style,
        style_hash=digest,
        picked=[card for card in cards.values() if card.picked],
        seen=[card for card in cards.values() if not card.picked],
        doubtful=len(report.picks) - len(cards),
        tracks=[track_of(report, cards, source) for source in range(len(report.sources))],
        matches=sum(len(card.offers) for card in cards.values()),
        duration=_length(sum(source.duration_s for source in report.sources)),
        frames=sum(source.frames for source in report.sources),
        calibrated=any(card.decision for card in cards.values()),
    )


def _length(seconds: float) -> str:
    """Whole seconds where nobody asks for tenths.

    >>> _length(31.04), _length(3.04)
    ('0:31', '0:03.0')
    """
    return clock(round(seconds)).removesuffix(".0") if seconds >= 10 else clock(seconds)


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = str(files("dprnet.report") / "templates")
    pages = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("report.html.j2")
