"""One process of a run: loads the networks once, then does one thing at a time, such as to search a video."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dprnet.batch.config import BatchConfig
from dprnet.core.errors import DprnetError

if TYPE_CHECKING:
    from dprnet.batch.ledger import Row
    from dprnet.batch.videos import VideoTask
    from dprnet.pipeline import VideoToShop

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class Job(Protocol):
    """What a worker does; handed to its process."""

    def load(self, threads: int) -> Callable[..., Any]:
        """Load the networks; what comes back is called with every message.

        Raises:
            DprnetError: what the user can mend.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearchJob:
    """Searches videos; its messages are path, content, and what the row calls it."""

    config: BatchConfig

    def load(self, threads: int) -> Callable[[str, str, str], Row]:
        """See :class:`Job`."""
        shop = load(self.config, threads)
        return lambda video, content, named: search(shop, Path(video), content, self.config, named)


def work(connection: Connection, job: Job, threads: int) -> None:
    """Run by the child: says ("ready", None), then answers each message with ("done", answer).

    What the user can mend at the start comes back as ("refused", error), a fault of ours as ("fault", its words).
    """
    os.setsid()  # so that the decoder that it starts dies with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    with contextlib.suppress(EOFError, BrokenPipeError):
        try:
            answer = job.load(threads)
        except DprnetError as error:
            connection.send(("refused", error))
            return
        connection.send(("ready", None))
        while True:
            message = connection.recv()
            try:
                connection.send(("done", answer(*message)))
            except Exception as error:  # it is told to the one who decides whether to try again
                connection.send(("fault", f"{type(error).__name__}: {error}"))


def load(config: BatchConfig, threads: int | None = None) -> VideoToShop:
    """The networks and the gallery."""
    import torch

    from dprnet.pipeline import VideoToShop

    if threads is not None:
        torch.set_num_threads(threads)
    gallery = config.gallery or None
    return VideoToShop.from_pretrained(config.bundle, gallery=gallery, kind=config.kind, device=config.device)


def search(shop: VideoToShop, video: Path, content: str, config: BatchConfig, named: str = "") -> Row:
    """One video as a row of the results; a video that cannot be read is a row too.

    Args:
        named: what the row calls it, where it was fetched from elsewhere.
    """
    from dprnet.report import jsonl_line, report_json

    started = time.monotonic()
    try:
        report = shop.search(
            video,
            every=config.every,
            fallback=config.fallback,
            items=config.items,
            where=config.where,
            clip=config.clip,
        )
    except DprnetError as error:
        note = str(error).replace(str(video), named) if named else str(error)
        return empty_row(named or video, content, "failed", error.reason, note) | {
            "seconds": time.monotonic() - started
        }
    source = report.sources[0]
    values = report_json(report)
    return empty_row(named or video, content, source.status, "", source.note) | {
        "seconds": time.monotonic() - started,
        "duration_s": source.duration_s,
        "frames": source.frames,
        "bundle": report.bundle,
        "gallery": report.gallery,
        "garments": len(report.picks),
        "picked": int(report.picks.picked.sum()),
        "report": jsonl_line(report) if config.full else "",
        "found": [row for garment in values["garments"] for row in _found(garment)],
    }


def empty_row(video: Path | str, content: str, status: str, reason: str, note: str, attempts: int = 1) -> Row:
    """A row without results."""
    facts = {"path": str(video), "sha256": content, "status": status, "reason": reason, "note": note}
    costs = {"attempts": attempts, "seconds": 0.0, "duration_s": 0.0, "frames": 0, "bundle": "", "gallery": ""}
    return {**facts, **costs, "garments": 0, "picked": 0, "report": "", "version": "", "found": []}


def quarantined(task: VideoTask, trouble: tuple[str, str]) -> Row:
    """The row of a video that every attempt failed at."""
    return empty_row(task.video, task.content, "quarantined", *trouble, task.attempts)


def _found(garment: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a match, one for a garment without any."""
    best = garment["best_view"]
    seen = {name: garment[name] for name in ("garment", "label", "status", "first_seen_s", "last_seen_s")}
    seen |= {"best_time_s": best["time_s"], "box_xyxy": best["box_xyxy"], "overall": best["overall"]}
    seen |= {name: garment[name] for name in ("decision", "probability")}
    matches = [
        {"rank": rank, **{name: match[name] for name in ("item_id", "similarity", "photo")}}
        for rank, match in enumerate(garment["matches"], 1)
    ]
    return [seen | match for match in matches or [dict.fromkeys(("rank", "item_id", "similarity", "photo"))]]
