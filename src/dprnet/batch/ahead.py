"""The next videos, fetched and hashed in a thread while the workers are watched over."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_S = 0.2  # ours: how soon the thread sees that nobody wants more


class Ahead(Generic[T]):
    """What an iterable gives, without waiting for it."""

    def __init__(self, source: Iterable[T], most: int) -> None:
        self._source, self._stop = source, threading.Event()
        self._ready: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(most)
        self._thread = threading.Thread(target=self._run, name="videos ahead", daemon=True)
        self.over = False
        """Nothing more comes."""

    def take(self) -> Iterator[T]:
        """What is ready now, perhaps nothing; an error of the source is raised here."""
        while not self.over:
            try:
                kind, value = self._ready.get_nowait()
            except queue.Empty:
                return
            if kind == "end":
                self.over = True
            elif isinstance(value, BaseException):
                self.over = True
                raise value
            else:
                yield value  # type: ignore[misc]  # what is neither the end nor an error came from the source

    def _run(self) -> None:
        try:
            for value in self._source:
                if not self._put("value", value):
                    return
            self._put("end", None)
        except BaseException as error:
            self._put("error", error)

    def _put(self, kind: str, value: T | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put((kind, value), timeout=LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    @classmethod
    @contextmanager
    def of(cls, source: Iterable[T], most: int) -> Iterator[Ahead[T]]:
        """Run the source in a thread, at most so many values ahead; it is stopped at the end."""
        ahead = cls(source, most)
        ahead._thread.start()
        try:
            yield ahead
        finally:
            ahead._stop.set()
            ahead._thread.join()
