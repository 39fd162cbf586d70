"""Events as JSON Lines, and the best views as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from dprnet.live.watch import Watch, WatchEvent
from dprnet.report.json_report import write_whole


def write_lines(watch: Watch, tell: Callable[[str], object], out: Path | None = None) -> None:
    """Tell of every event as one line of ASCII; the best view of garment N is ``out/N.jpg``, always whole.

    Raises:
        BadVideo: the stream cannot be read, or was lost; what was found until then has been told.
        NoSpace: a picture cannot be written.
    """
    try:
        for event in watch:
            tell(_line(event, out))
    finally:
        watch.stop()


def _line(event: WatchEvent, out: Path | None) -> str:
    told = event.to_json()
    if event.kind in {"new", "better"}:
        told["picture"] = None
        if out is not None and event.jpeg is not None:
            path = out / f"{told['garment']}.jpg"
            write_whole(path, event.jpeg)
            told["picture"] = str(path)
    if event.kind == "merged" and out is not None:
        (out / f"{told['garment']}.jpg").unlink(missing_ok=True)
    return json.dumps(told, allow_nan=False)
