"""Hands videos to workers, watches over them, and keeps what they find."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dprnet.batch.ahead import Ahead
from dprnet.batch.config import BatchConfig
from dprnet.batch.ledger import BAD, Ledger, Row
from dprnet.batch.mirror import Mirror
from dprnet.batch.on_ray import OnRay
from dprnet.batch.pool import POLL_S, Crew, tried_again
from dprnet.batch.videos import Video, VideoTask, brought_here, fetching_of, version_of
from dprnet.batch.worker import SearchJob, empty_row, load, quarantined, search
from dprnet.core.addresses import is_address
from dprnet.core.bundle import Bundle
from dprnet.core.errors import DprnetError
from dprnet.core.progress import SILENT, Progress
from dprnet.gallery import Gallery, IndexConfig, shown

FETCHED = "fetched"
WORK = "dprnet-batch"


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
    videos: Sequence[Video],
    out: Path | str,
    config: BatchConfig,
    *,
    work: Path | None = None,
    again: bool = False,
    progress: Progress = SILENT,
) -> Outcome:
    """Search every video once; a run that was stopped goes on, and redoes at most one video a worker.

    A result belongs to a video's content, to the settings and to the bundle: a copy of a video is not searched again.

    Args:
        out: a folder, or ``s3://BUCKET/PREFIX``: every block is put there as it is made.
        work: the folder of work of a run whose results go to an address; made from its name if not given.
        again: also search those again that failed or were put into quarantine.

    Raises:
        MissingFile, BadBundle: no such bundle or gallery.
        BadGallery: built by another embedder, or it cannot be searched as the settings say.
        BadRecipe: the folder holds a run of other settings, or another process works in it.
        NoSpace: the disk is full; what was found before is kept.
    """
    bundle = Bundle.from_pretrained(config.bundle)
    if config.gallery:
        index = IndexConfig(kind=config.kind)
        Gallery.open(config.gallery, embedder=bundle.embedder_identity, config=index).close()
    depends = config.matters() | {"bundle": bundle.identity, "gallery": shown(config.gallery)}
    folder, mirror = _places(out, work)
    if mirror is not None:
        mirror.pull()
    with Ledger(folder, depends, config.block, mirror.push if mirror is not None else None) as ledger:
        if mirror is not None:
            mirror.begin()
        tasks, rows = _rows(videos, ledger, again, config)
        searched, bad = 0, []
        for row in progress.track(rows, "Searching videos", len(videos)):
            if row is None:
                continue
            searched += 1
            ledger.add(row)
            if row["status"] in BAD:
                bad.append((row["path"], row["reason"]))
        outcome = Outcome(folder, searched, tasks.already, tuple(bad))
    if mirror is not None:
        mirror.finish()
    return outcome


def _rows(
    videos: Sequence[Video], ledger: Ledger, again: bool, config: BatchConfig
) -> tuple[_Tasks | OnRay, Iterator[Row | None]]:
    """Who knows how many were done already, and the rows of the others."""
    if config.on == "ray":
        on_ray = OnRay(videos, ledger, again, config)
        return on_ray, on_ray.rows()
    tasks = _Tasks(videos, ledger, again, config)
    return tasks, _here(tasks, config) if config.workers == 0 else _crew(tasks, config)


def _places(out: Path | str, work: Path | None) -> tuple[Path, Mirror | None]:
    """The folder of work, and the address that its results go to."""
    if not (isinstance(out, str) and is_address(out)):
        return Path(out), None
    folder = work or Path(WORK) / hashlib.sha256(out.rstrip("/").encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder, Mirror(folder, out)


class _Tasks:
    """The videos that have no result yet, each content once; their bytes are read when their turn comes."""

    def __init__(self, videos: Sequence[Video], ledger: Ledger, again: bool, config: BatchConfig) -> None:
        self._videos = iter(videos)
        self._ledger = ledger
        self._again = again
        self._folder = ledger.folder / FETCHED
        self._fetching = fetching_of(config)
        self._given: set[str] = set()
        self.already = 0
        shutil.rmtree(self._folder, ignore_errors=True)  # of a run that was killed

    def __iter__(self) -> Iterator[VideoTask | Row | None]:
        """A task, a row where there is nothing to search, None for a video that has its result."""
        for video in self._videos:
            try:
                version = version_of(video)
                known = self._ledger.contents.get((str(video), version), "") if version else ""
                if known and self._done(known):
                    yield None
                    continue
                local = brought_here(video, self._folder, self._fetching)
            except DprnetError as error:
                yield empty_row(video, f"path:{video}", "failed", error.reason, str(error))
                continue
            task = VideoTask(video, local, version)
            if self._done(local.content):
                task.forget()
                yield None
            else:
                self._given.add(local.content)
                yield task

    def _done(self, content: str) -> bool:
        done = content in self._given or self._ledger.done(content, again=self._again)
        self.already += done
        return done


def _here(tasks: _Tasks, config: BatchConfig) -> Iterator[Row | None]:
    """In this process: no limits, and a crash ends the run (which goes on when it is called again)."""
    shop = load(config)
    with shop.gallery or contextlib.nullcontext():
        for task in tasks:
            if isinstance(task, VideoTask):
                yield _finished(task, search(shop, task.local.path, task.content, config, str(task.video)))
            else:
                yield task


def _finished(task: VideoTask, row: Row) -> Row:
    task.forget()
    return row | {"version": task.version}


def _crew(tasks: _Tasks, config: BatchConfig) -> Iterator[Row | None]:
    """In several processes, each with one video at a time."""
    waiting: deque[VideoTask] = deque()
    threads = max(1, (os.cpu_count() or 1) // config.workers)
    crew: Crew[VideoTask] = Crew(config, SearchJob(config), threads)
    try:
        with Ahead.of(tasks, config.workers) as ahead:
            while not ahead.over or waiting or crew.busy:
                for task in ahead.take() if len(waiting) < config.workers else ():
                    if isinstance(task, VideoTask):
                        waiting.append(task)
                    else:
                        yield task
                crew.give(waiting)
                for done, found, trouble in crew.look(POLL_S):
                    if found is not None:
                        yield _finished(done, found | {"attempts": done.attempts})
                    elif tried_again(done, trouble, config.attempts):
                        waiting.append(done)
                    else:
                        yield _finished(done, quarantined(done, trouble))
    finally:
        crew.dismiss()
