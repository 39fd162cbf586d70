"""How far along: a bar on a terminal, now and then a plain line elsewhere, nothing in a library call.

Stages take a :class:`Progress` and never print; only the faces choose which one. Everything goes to stderr, so that
stdout carries results alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")

PLAIN_EVERY_S = 10.0  # ours: one line in ten seconds keeps the log of a long job readable


class Progress(Protocol):
    """Shows how far one named task is."""

    def track(self, items: Iterable[T], name: str, total: float | None = None) -> Iterator[T]:
        """Hand the items on, one step each; ``total`` None where nobody knows how many come."""
        ...


class Silent:
    """Shows nothing: the default of every library call."""

    def track(self, items: Iterable[T], name: str, total: float | None = None) -> Iterator[T]:
        """Hand the items on."""
        del name, total
        yield from items


class Plain:
    """One line at the start, one every ten seconds, one at the end; for logs and pipes."""

    def track(self, items: Iterable[T], name: str, total: float | None = None) -> Iterator[T]:
        """Hand the items on and say so on stderr."""
        of = f" of {total:g}" if total else ""
        started = said = time.monotonic()
        count = 0
        print(f"{name} ...", file=sys.stderr)  # noqa: T201 - stderr is what this class is for
        for item in items:
            yield item
            count += 1
            if time.monotonic() - said > PLAIN_EVERY_S:
                said = time.monotonic()
                print(f"{name}: {count}{of}, {said - started:.0f} s", file=sys.stderr)  # noqa: T201
        print(f"{name}: {count} done in {time.monotonic() - started:.1f} s", file=sys.stderr)  # noqa: T201


class Bar:
    """A live bar of rich, on a terminal."""

    def track(self, items: Iterable[T], name: str, total: float | None = None) -> Iterator[T]:
        """Hand the items on and move the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Rich

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Rich(*columns, console=Console(stderr=True), transient=False) as bar:
            task = bar.add_task(name, total=total)
            for item in items:
                yield item
                bar.advance(task)
            bar.update(task, total=bar.tasks[task].completed)


SILENT = Silent()


def on_stderr() -> Progress:
    """A bar where stderr is a terminal, plain lines where it is not."""
    return Bar() if sys.stderr.isatty() else Plain()


class Counted:
    """A progress for work that counts by itself: called with what is done and what there is to do."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name
        self._steps: Iterator[int] | None = None
        self._taken = 0

    def __call__(self, done: int, total: int) -> None:
        """Move on to ``done`` of ``total``."""
        if self._steps is None:
            self._steps = iter(self._progress.track(range(total), self._name, total))
        while self._taken <= done:  # a step counts as done when the next one is asked for
            next(self._steps, None)
            self._taken += 1


def steps_on_stderr(name: str) -> Callable[[int, int, Mapping[str, float]], None]:
    """A function that tells the steps of a training, at most once in ten seconds, and always the last one."""
    said = 0.0

    def tell(step: int, steps: int, values: Mapping[str, float]) -> None:
        nonlocal said
        if step < steps and time.monotonic() - said < PLAIN_EVERY_S:
            return
        said = time.monotonic()
        figures = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
        print(f"{name}: step {step} of {steps}, {figures}", file=sys.stderr)  # noqa: T201

    return tell


class Stopwatch:
    """Wall-clock seconds by stage; side by side, the seconds of all stages add up to the whole.

    >>> watch = Stopwatch()
    >>> with watch("pick"):
    ...     pass
    >>> list(watch.seconds)
    ['pick']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the seconds of the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._add(stage, time.perf_counter() - started)

    def of_these(self, seconds: float, stage: str, within: str) -> None:
        """Seconds counted as ``within`` that were spent waiting for ``stage``."""
        self._add(stage, seconds)
        self._add(within, -seconds)

    def _add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
