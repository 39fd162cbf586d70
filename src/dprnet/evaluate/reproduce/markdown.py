"""The artefacts of a folder as Markdown with small pictures: what a repository keeps of a run."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image as PillowImage
from pydantic import Field

from dprnet.core.config import Settings
from dprnet.core.errors import BadImage
from dprnet.evaluate.reproduce.artefact import Artefact, Table, effort_text
from dprnet.evaluate.reproduce.page import label_of, verdict
from dprnet.report.json_report import write_whole

NAME = "reproduced.md"
PICTURES = "pictures"
WIDTH = 900  # ours: as wide as a page of text shows it
COLOURS = 128  # ours: a sheet of photos in a few hundred kB


class Origin(Settings):
    """How a run came about, as it stands above its figures."""

    about: str
    """Set, bundle, intervals."""
    command: str
    """What follows ``dprnet reproduce NAME`` on the command line."""
    machine: str = ""
    date: str = ""
    absent: tuple[tuple[str, str], ...] = Field(default=())
    """Artefacts that are not there, and why."""


def write_markdown(artefacts: Sequence[Artefact], pictures: Path, folder: Path, *, title: str, origin: Origin) -> Path:
    """Write ``reproduced.md`` and its pictures into a folder, each file whole or not at all.

    Args:
        artefacts: in the order of the text.
        pictures: folder in which their pictures lie.
        folder: where to write; other files in it stay.
        title: heading.
        origin: of what, how, where and when.

    Returns:
        The text's path.

    Raises:
        BadImage: a picture is missing or damaged.
    """
    for one in artefacts:
        for name in one.pictures:
            write_whole(folder / PICTURES / name, small_png(pictures / name))
    path = folder / NAME
    write_whole(path, ("\n".join(_lines(artefacts, title, origin)) + "\n").encode("utf-8", errors="replace"))
    return path


def small_png(path: Path) -> bytes:
    """A picture at most WIDTH pixels wide in COLOURS colours.

    Raises:
        BadImage: it is missing or damaged.
    """
    try:
        with PillowImage.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError) as error:
        raise BadImage(path, f"is no picture that can be read ({type(error).__name__}); make it again") from None
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), PillowImage.Resampling.LANCZOS)
    made = io.BytesIO()
    image.quantize(COLOURS, dither=PillowImage.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of texts in Markdown.

    >>> list(table_lines(("a", "b"), [("1|2", "<x>")]))
    ['| a | b |', '|---|---|', '| 1\\\\|2 | &lt;x> |']
    """
    yield f"| {' | '.join(map(plain_text, columns))} |"
    yield f"|{'---|' * len(columns)}"
    yield from (f"| {' | '.join(map(plain_text, row))} |" for row in rows)


def plain_text(text: str) -> str:
    """A text that Markdown shows as it is: no tag, no end of a cell, no link, no line of its own."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("[", "\\["), ("*", "\\*")):
        text = text.replace(sign, instead)
    return " ".join(text.split())


def _lines(artefacts: Sequence[Artefact], title: str, origin: Origin) -> Iterator[str]:
    yield f"# {plain_text(title)}"
    yield ""
    yield "Written by a command; do not edit."
    yield ""
    yield from _facts(origin)
    yield ""
    yield f"Made in {effort_text([one for one in artefacts if one.wall_s])}."
    yield ""
    claims = [(label_of(one.name), claim) for one in artefacts for claim in one.claims]
    if claims:
        yield "## At a glance"
        yield ""
        rows = [(name, claim.published, claim.ours, verdict(claim)[1]) for name, claim in claims]
        yield from table_lines(("", "the paper says", "we find", "holds"), rows)
        yield ""
    for one in artefacts:
        yield from _section(one, origin)
    yield from (f"{label_of(name)} {plain_text(why)}" for name, why in origin.absent)


def _facts(origin: Origin) -> Iterator[str]:
    yield plain_text(origin.about)
    where = ", ".join(part for part in (origin.machine, origin.date) if part)
    if where:
        yield f"Measured on {plain_text(where)}."


def _section(one: Artefact, origin: Origin) -> Iterator[str]:
    yield f"## {label_of(one.name)}. {plain_text(one.title)}"
    yield ""
    yield f"**Published:** {plain_text(one.published)}"
    yield ""
    yield "```sh"
    yield f"dprnet reproduce {one.name} {origin.command}".rstrip()
    yield "```"
    yield ""
    for name in one.pictures:
        yield f"![{label_of(one.name)}: {plain_text(one.title)}]({PICTURES}/{name})"
        yield ""
    for claim in one.claims:
        if claim.difference:
            said = f"{claim.published}: {verdict(claim)[1]}"
            yield f"- **{plain_text(said)}.** {plain_text(claim.ours)}. {plain_text(claim.difference)}"
    if any(claim.difference for claim in one.claims):
        yield ""
    for table in one.tables:
        yield from _table(table)
    for note in one.notes:
        yield plain_text(note)
        yield ""
    if one.wall_s:
        yield f"Made in {effort_text([one])}."
        yield ""


def _table(table: Table) -> Iterator[str]:
    yield f"**{plain_text(table.title)}**"
    yield ""
    yield from table_lines(table.columns, table.rows)
    yield ""
