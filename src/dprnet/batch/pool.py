"""The processes of a run: started when there is work, killed when a video costs too much, replaced when they die."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from dprnet.batch.config import BatchConfig
from dprnet.batch.ledger import Row
from dprnet.batch.videos import Local, Video
from dprnet.batch.worker import empty_row, work
from dprnet.core.errors import BadRecipe, printable

log = logging.getLogger(__name__)

POLL_S = 0.2  # ours: how often limits are looked at
MOST_STARTS = 3  # ours: workers that die in a row before any video was given to them
PAGE = os.sysconf("SC_PAGE_SIZE")

Trouble = tuple[str, str]
"""A short reason and a sentence."""


@dataclass(slots=True)
class Task:
    """A video to search."""

    video: Video
    """A file, or the address that it was fetched from."""
    local: Local
    version: str = ""
    attempts: int = 0

    @property
    def content(self) -> str:
        """SHA-256 of its bytes."""
        return self.local.content

    def forget(self) -> None:
        """Let go of what was fetched."""
        if self.local.borrowed:
            self.local.path.unlink(missing_ok=True)


@dataclass(slots=True, eq=False)
class _Worker:
    process: SpawnProcess
    connection: Connection
    since: float = field(default_factory=time.monotonic)
    ready: bool = False
    task: Task | None = None


def judged(task: Task, row: Row | None, trouble: Trouble, attempts: int) -> Row | None:
    """The row of a video that a worker is done with, or lost; None: it is to be tried again."""
    if row is not None:
        return row | {"attempts": task.attempts}
    if task.attempts < attempts:
        log.warning("%s: %s; trying again", printable(str(task.video)), trouble[1])
        return None
    return empty_row(task.video, task.content, "quarantined", *trouble, task.attempts)


class OneAtATime:
    """One worker, called with a video; with the limits and further tries of a whole crew."""

    def __init__(self, config: BatchConfig, threads: int) -> None:
        self._attempts = config.attempts
        self._crew = Crew(config.model_copy(update={"workers": 1}), threads)

    def __call__(self, task: Task) -> Row:
        """The row of a video, whatever came of it.

        Raises:
            BadRecipe, MissingFile, BadBundle, BadGallery: no worker can be started.
        """
        waiting = deque([task])
        while True:
            self._crew.give(waiting)
            for done, found, trouble in self._crew.look(POLL_S):
                row = judged(done, found, trouble, self._attempts)
                if row is not None:
                    return row
                waiting.append(done)


class Crew:
    """Workers, each with one video at a time."""

    def __init__(self, config: BatchConfig, threads: int) -> None:
        self._config = config
        self._threads = threads
        self._workers: list[_Worker] = []
        self._died_at_start = 0

    @property
    def busy(self) -> bool:
        """Whether any worker has a video."""
        return any(worker.task for worker in self._workers)

    def give(self, waiting: deque[Task]) -> None:
        """Hand videos to those who are free; start workers while there are more videos."""
        for worker in self._workers:
            if waiting and worker.ready and worker.task is None:
                worker.task, worker.since = waiting.popleft(), time.monotonic()
                worker.task.attempts += 1
                with contextlib.suppress(OSError):  # it died just now: the next look tells
                    worker.connection.send((str(worker.task.local.path), worker.task.content, str(worker.task.video)))
        starting = sum(not worker.ready for worker in self._workers)
        if len(waiting) > starting and len(self._workers) < self._config.workers:
            self._workers.append(self._start())

    def look(self, seconds: float) -> Iterator[tuple[Task, Row | None, Trouble]]:
        """Wait a little; then the videos that are done, with their row, and those that failed, with the trouble."""
        if not self._workers:
            time.sleep(seconds)
        by_handle: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers}
        for handle in wait(list(by_handle), seconds) if by_handle else ():
            worker = by_handle[handle]
            try:
                kind, value = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._lost(worker, ("worker_died", f"its worker died ({_ending(worker.process)})"))
                continue
            if kind == "refused":
                raise value
            if kind == "ready":
                worker.ready, self._died_at_start = True, 0
            elif worker.task is not None:
                task, worker.task = worker.task, None
                yield (task, value, ("", "")) if kind == "row" else (task, None, ("fault", f"a fault of ours: {value}"))
        for worker in list(self._workers):
            trouble = self._over(worker)
            if trouble:
                _kill(worker.process)
                yield from self._lost(worker, trouble)

    def dismiss(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            _kill(worker.process)
            worker.connection.close()
        self._workers = []

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._config, self._threads), name="dprnet batch")
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _over(self, worker: _Worker) -> Trouble | None:
        """What a worker has too much of."""
        spent = time.monotonic() - worker.since
        if worker.task is None:
            late = not worker.ready and spent > self._config.start_s
            return ("start", f"its worker was not ready within {self._config.start_s:g} s") if late else None
        if spent > self._config.item_s:
            return "limit:seconds", f"took more than {self._config.item_s:g} s"
        held = _memory_mb(worker.process.pid)
        if held > self._config.item_mb:
            return "limit:memory", f"its worker held {held} MB, at most {self._config.item_mb}"
        return None

    def _lost(self, worker: _Worker, trouble: Trouble) -> Iterator[tuple[Task, Row | None, Trouble]]:
        _kill(worker.process)
        worker.connection.close()
        self._workers.remove(worker)
        if worker.task is not None:
            yield worker.task, None, trouble
            return
        self._died_at_start += not worker.ready
        if self._died_at_start >= MOST_STARTS:
            sentence = f"{MOST_STARTS} workers in a row were lost before their first video: {trouble[1]}"
            raise BadRecipe("batch", f"{sentence}; give fewer --workers, or --workers 0 to see why")


def _kill(process: SpawnProcess) -> None:
    """Kill a worker and the decoder it started."""
    if process.pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _ending(process: SpawnProcess) -> str:
    process.join(5)
    code = process.exitcode
    return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"


def _memory_mb(pid: int | None) -> int:
    """What a process holds in memory; 0 where nobody can tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * PAGE >> 20
