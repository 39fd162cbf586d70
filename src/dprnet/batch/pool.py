"""The processes of a run: started when there is work, killed when a task costs too much, replaced when they die."""

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
from typing import Any, Generic, Protocol, TypeVar

from dprnet.batch.config import WorkerConfig
from dprnet.batch.worker import Job, work
from dprnet.core.errors import BadRecipe, printable

log = logging.getLogger(__name__)

POLL_S = 0.2  # ours: how often limits are looked at
MOST_STARTS = 3  # ours: workers that die in a row before any task was given to them
PAGE = os.sysconf("SC_PAGE_SIZE")

Trouble = tuple[str, str]
"""A short reason and a sentence."""


class Task(Protocol):
    """What a worker is given."""

    attempts: int
    """How often it was given."""

    @property
    def message(self) -> tuple[Any, ...]:
        """What its job is called with."""
        ...

    def __str__(self) -> str:
        """What the log calls it."""
        ...


T = TypeVar("T", bound=Task)


@dataclass(slots=True, eq=False)
class _Worker(Generic[T]):
    process: SpawnProcess
    connection: Connection
    since: float = field(default_factory=time.monotonic)
    ready: bool = False
    task: T | None = None


class OneAtATime(Generic[T]):
    """One worker, called with a task; with the limits and further tries of a whole crew."""

    def __init__(self, config: WorkerConfig, job: Job, threads: int) -> None:
        self._attempts = config.attempts
        self._crew: Crew[T] = Crew(config.model_copy(update={"workers": 1}), job, threads)

    def __call__(self, task: T) -> tuple[Any, Trouble]:
        """The answer; None with the trouble where no attempt gave one.

        Raises:
            BadRecipe, MissingFile, BadBundle, BadGallery: no worker can be started.
        """
        waiting = deque([task])
        while True:
            self._crew.give(waiting)
            for done, found, trouble in self._crew.look(POLL_S):
                if found is not None or not tried_again(done, trouble, self._attempts):
                    return found, trouble
                waiting.append(done)

    def dismiss(self) -> None:
        """Kill the worker."""
        self._crew.dismiss()


def tried_again(task: Task, trouble: Trouble, attempts: int) -> bool:
    """Whether a task whose worker was lost, or failed, is given once more."""
    if task.attempts < attempts:
        log.warning("%s: %s; trying again", printable(str(task)), trouble[1])
    return task.attempts < attempts


class Crew(Generic[T]):
    """Workers, each with one task at a time."""

    def __init__(self, config: WorkerConfig, job: Job, threads: int) -> None:
        self._config, self._job, self._threads = config, job, threads
        self._workers: list[_Worker[T]] = []
        self._died_at_start = 0

    @property
    def busy(self) -> bool:
        """Whether any worker has a task."""
        return any(worker.task for worker in self._workers)

    def give(self, waiting: deque[T]) -> None:
        """Hand tasks to those who are free; start workers while there are more tasks."""
        for worker in self._workers:
            if waiting and worker.ready and worker.task is None:
                worker.task, worker.since = waiting.popleft(), time.monotonic()
                worker.task.attempts += 1
                with contextlib.suppress(OSError):  # it died just now: the next look tells
                    worker.connection.send(worker.task.message)
        starting = sum(not worker.ready for worker in self._workers)
        if len(waiting) > starting and len(self._workers) < self._config.workers:
            self._workers.append(self._start())

    def look(self, seconds: float) -> Iterator[tuple[T, Any, Trouble]]:
        """Wait a little; then the tasks that are done, with the answer, and those that failed, with the trouble."""
        if not self._workers:
            time.sleep(seconds)
        by_handle: dict[Any, _Worker[T]] = {worker.connection: worker for worker in self._workers}
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
                yield (
                    (task, value, ("", "")) if kind == "done" else (task, None, ("fault", f"a fault of ours: {value}"))
                )
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

    def _start(self) -> _Worker[T]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._job, self._threads), name="dprnet batch")
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _over(self, worker: _Worker[T]) -> Trouble | None:
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

    def _lost(self, worker: _Worker[T], trouble: Trouble) -> Iterator[tuple[T, Any, Trouble]]:
        _kill(worker.process)
        worker.connection.close()
        self._workers.remove(worker)
        if worker.task is not None:
            yield worker.task, None, trouble
            return
        self._died_at_start += not worker.ready
        if self._died_at_start >= MOST_STARTS:
            sentence = f"{MOST_STARTS} workers in a row were lost before they had anything to do: {trouble[1]}"
            way = "give fewer --workers, or work in one process to see why"
            raise BadRecipe(self._config.command, f"{sentence}; {way}")


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
