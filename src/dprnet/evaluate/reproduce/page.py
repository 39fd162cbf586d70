"""All artefacts of a folder as one HTML page that works offline: what was published beside what we find."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from dprnet.evaluate.reproduce.artefact import Artefact, Claim, effort_text
from dprnet.report.json_report import write_whole

VERDICTS: Mapping[bool | None, tuple[str, str]] = {
    True: ("yes", "holds"),
    False: ("no", "does not hold"),
    None: ("open", "cannot be told"),
}


def label_of(name: str) -> str:
    """``figure10`` as it is written in a text.

    >>> label_of("figure10"), label_of("table1")
    ('Figure 10', 'Table 1')
    """
    return f"Figure {name[6:]}" if name.startswith("figure") else f"Table {name[5:]}"


def write_page(
    artefacts: Sequence[Artefact], folder: Path, *, title: str, about: str, absent: Mapping[str, str] | None = None
) -> Path:
    """Write ``index.html`` into the folder that holds the artefacts' pictures.

    Args:
        artefacts: in the order of the page.
        folder: where the pictures lie and the page goes.
        title: heading.
        about: of what it is: set, bundle, command.
        absent: artefacts that are not there, and why.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = files("dprnet.evaluate.reproduce") / "templates"
    style = (templates / "page.css").read_text(encoding="utf-8")
    pages = Environment(
        loader=FileSystemLoader(str(templates)), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    absent = absent or {}
    text = pages.get_template("page.html.j2").render(
        title=title,
        about=about,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        artefacts=artefacts,
        absent=absent,
        labels={name: label_of(name) for name in [*(one.name for one in artefacts), *absent]},
        pictures={name: _data_url(folder / name) for one in artefacts for name in one.pictures},
        verdict=verdict,
        effort=effort_text,
    )
    path = folder / "index.html"
    write_whole(path, text.encode("utf-8", errors="replace"))
    return path


def verdict(claim: Claim) -> tuple[str, str]:
    """Class of the style sheet, and words."""
    return VERDICTS[claim.holds]


def _data_url(path: Path) -> str:
    try:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError:
        return ""
