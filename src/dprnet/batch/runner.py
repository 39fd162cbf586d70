"""Hands videos to workers, watches over them, and keeps what they find."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dprnet.batch.config import BatchConfig
from dprnet.batch.ledger import BAD, Ledger, Row
from dprnet.batch.pool import Crew, Task
from dprnet.batch.videos import content_of
from dprnet.batch.worker import empty_row, load, search
from dprnet.core.bundle import Bundle
from dprnet.core.errors import MissingFile, printable
from dprnet.core.progress import SILENT, Progress
from dprnet.gallery import Gallery, shown

log = logging.getLogger(__name__)

POLL_S = 0.2  # ours: how often limits are looked at


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    folder: Path
    searched: int
    """Videos searched by this call, whatever came of them."""
    already: int
    """Videos whose content had its result before."""
    bad: tuple[tuple[str, str], ...]
    """Path and reason of the videos of this call that failed or were put into quarantine."""


def run_batch(
    videos: Sequence[Path],
    out: Path,
    config: BatchConfig,
    *,
    again: bool = False,
    progress: Progress = SILENT,
) -> Outcome:
    """Search every video once; a run that was stopped goes on, and redoes at most one video a worker.

    A result belongs to a video's content, to the settings and to the bundle: a copy of a video is not searched again.

    Args:
        again: also search those again that failed or were put into quarantine.

    Raises:
        MissingFile, BadBundle: no such bundle or gallery.
        BadGallery: built by another embedder.
        BadRecipe: the folder holds a run of other settings, or another process works in it.
        NoSpace: the disk is full; what was found before is kept.
    """
    bundle = Bundle.from_pretrained(config.bundle)
    if config.gallery:
        Gallery.open(config.gallery, embedder=bundle.embedder_identity).close()
    depends = config.matters() | {"bundle": bundle.identity, "gallery": shown(config.gallery)}
    with Ledger(out, depends, config.block) as ledger:
        tasks = _Tasks(videos, ledger, again)
        rows = _here(tasks, config) if config.workers == 0 else _crew(tasks, config)
        searched, bad = 0, []
        for row in progress.track(rows, "Searching videos", len(videos)):
            if row is None:
                continue
            searched += 1
            ledger.add(row)
            if row["status"] in BAD:
                bad.append((row["path"], row["reason"]))
        return Outcome(out, searched, tasks.already, tuple(bad))


class _Tasks:
    """The videos that have no result yet, each content once; their bytes are read when their turn comes."""

    def __init__(self, videos: Sequence[Path], ledger: Ledger, again: bool) -> None:
        self._videos = iter(videos)
        self._ledger = ledger
        self._again = again
        self._given: set[str] = set()
        self.already = 0

    def __iter__(self) -> Iterator[Task | Row | None]:
        """A task, a row where there is nothing to search, None for a video that has its result."""
        for video in self._videos:
            try:
                content = content_of(video)
            except MissingFile as error:
                yield empty_row(video, f"path:{video}", "failed", error.reason, str(error))
                continue
            if content in self._given or self._ledger.done(content, again=self._again):
                self.already += 1
                yield None
            else:
                self._given.add(content)
                yield Task(video, content)


def _here(tasks: _Tasks, config: BatchConfig) -> Iterator[Row | None]:
    """In this process: no limits, and a crash ends the run (which goes on when it is called again)."""
    shop = load(config)
    for task in tasks:
        yield search(shop, task.video, task.content, config) if isinstance(task, Task) else task


def _crew(tasks: _Tasks, config: BatchConfig) -> Iterator[Row | None]:
    """In several processes, each with one video at a time."""
    source = iter(tasks)
    waiting: deque[Task] = deque()
    more = True
    crew = Crew(config, threads=max(1, (os.cpu_count() or 1) // config.workers))
    try:
        while more or waiting or crew.busy:
            while more and len(waiting) < config.workers:
                try:
                    task = next(source)
                except StopIteration:
                    more = False
                    break
                if isinstance(task, Task):
                    waiting.append(task)
                else:
                    yield task
            crew.give(waiting)
            for done, row, trouble in crew.look(POLL_S):
                if row is not None:
                    yield row | {"attempts": done.attempts}
                elif done.attempts < config.attempts:
                    log.warning("%s: %s; trying again", printable(str(done.video)), trouble[1])
                    waiting.append(done)
                else:
                    yield empty_row(done.video, done.content, "quarantined", *trouble, done.attempts)
    finally:
        crew.dismiss()
