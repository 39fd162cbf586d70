"""What a figure or table of the paper becomes: figures, pictures, and what was published beside what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from dprnet.core.config import Settings
from dprnet.evaluate.bootstrap import Interval


class Claim(Settings):
    """One thing that the paper says, and what we find."""

    published: str
    ours: str
    holds: bool | None
    """None where it cannot be told (too few videos, or not measured)."""
    difference: str = ""
    """One sentence on where we differ, and why."""


class Table(Settings):
    """A table of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Artefact(Settings):
    """One figure or table; the page is made of these alone."""

    name: str
    title: str
    published: str
    """What the paper shows, in a sentence."""
    key: str = ""
    """Hash of all that it was computed from."""
    claims: tuple[Claim, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[str, ...] = ()
    """File names (PNG) beside the JSON."""
    notes: tuple[str, ...] = ()
    wall_s: float = Field(0.0, ge=0)
    """Seconds that making it took; what an earlier artefact left in the cache is not counted again."""
    processor_s: float = Field(0.0, ge=0)
    """Seconds of processor time, all threads and child processes together."""
    figures: dict[str, Any] = Field(default_factory=dict)
    """Everything that was measured, for machines."""


def above(first: str, second: str, difference: Interval, published: str, videos: int) -> Claim:
    """The claim that one method lies above another; it holds where the whole paired interval is above 0."""
    ours = f"{first} less {second}: {difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
    if difference.low > 0:
        return Claim(published=published, ours=ours, holds=True)
    if difference.high < 0:
        sentence = f"Here {second} is the better one, beyond chance over {videos} videos."
        return Claim(published=published, ours=ours, holds=False, difference=sentence)
    side = "The sign agrees" if difference.value > 0 else "The sign does not agree" if difference.value else "Equal"
    sentence = f"{side}, but the paired interval over {videos} videos contains 0: this set does not tell."
    return Claim(published=published, ours=ours, holds=None, difference=sentence)


def interval_text(interval: Interval) -> str:
    """``0.512 [0.430, 0.601]``; a dash where there is nothing to measure."""
    return str(interval) if interval.value == interval.value else "-"


def effort_text(artefacts: Sequence[Artefact]) -> str:
    """How long making them took.

    >>> effort_text([Artefact(name="table1", title="", published="", wall_s=90, processor_s=84)])
    '1.5 minutes, 1.4 of processor time'
    """
    wall, processor = (sum(getattr(one, name) for one in artefacts) / 60 for name in ("wall_s", "processor_s"))
    return f"{wall:.1f} minutes, {processor:.1f} of processor time"


def load(path: Path) -> Artefact | None:
    """An artefact as written by :func:`save`, or None where there is none that can be read."""
    try:
        return Artefact.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def save(artefact: Artefact, folder: Path) -> Path:
    """Write an artefact as JSON, in one step."""
    from dprnet.evaluate.figures import write_figures

    path = folder / f"{artefact.name}.json"
    write_figures(artefact.model_dump(), path)
    return path
