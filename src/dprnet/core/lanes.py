"""Work on a stream in several threads at once, answers in order, with a bounded number of items in between."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

PATIENCE_S = 1.0  # ours: an interrupted search ends within two seconds, also where a decoder hangs
ASK_S = 0.1  # ours: how often a thread that waits for room looks whether it is still wanted


class Idle:
    """Seconds during which no lane had anything to do: what a stage waited for the one before it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._busy = 0
        self._since: float | None = None
        self._lock = threading.Lock()

    def waits(self) -> None:
        """The stream begins: nothing to do yet."""
        with self._lock:
            self._since = time.perf_counter()

    def enters(self) -> None:
        """A lane has something to do."""
        with self._lock:
            if self._busy == 0 and self._since is not None:
                self.seconds += time.perf_counter() - self._since
                self._since = None
            self._busy += 1

    def leaves(self) -> None:
        """A lane is done."""
        with self._lock:
            self._busy -= 1
            if self._busy == 0:
                self._since = time.perf_counter()

    def ends(self) -> None:
        """The stream is at its end: waiting no longer counts."""
        with self._lock:
            if self._since is not None:
                self.seconds += time.perf_counter() - self._since
            self._since = None


class _Feed(Generic[T, R]):
    """The thread that takes items from the stream and gives them to the lanes."""

    def __init__(self, work: Callable[[T], R], items: Iterable[T], lanes: int, waiting: int, idle: Idle) -> None:
        self._work, self._items, self._idle = work, items, idle
        self._room = threading.Semaphore(lanes + waiting)
        self._unwanted = threading.Event()
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="dprnet-lane")
        self.answers: queue.SimpleQueue[Future[R] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="dprnet-feed", daemon=True)
        self._thread.start()

    def answered(self) -> None:
        """One answer was handed on: there is room for another item."""
        self._room.release()

    def close(self) -> None:
        """Take no more items, and wait for those being worked on; not for ever for an item that does not come."""
        self._unwanted.set()
        self._thread.join(PATIENCE_S)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        self._idle.waits()
        try:
            source = iter(self._items)
            while self._has_room():
                item = next(source)
                self._idle.enters()
                self.answers.put(self._pool.submit(self._one, item))
        except StopIteration:
            pass
        except BaseException as error:
            broken: Future[R] = Future()
            broken.set_exception(error)
            self.answers.put(broken)
        self._idle.ends()
        self.answers.put(None)

    def _has_room(self) -> bool:
        while not self._unwanted.is_set():
            if self._room.acquire(timeout=ASK_S):
                return not self._unwanted.is_set()
        return False

    def _one(self, item: T) -> R:
        try:
            return self._work(item)
        finally:
            self._idle.leaves()


def in_order(
    work: Callable[[T], R], items: Iterable[T], lanes: int, *, waiting: int = 2, idle: Idle | None = None
) -> Iterator[R]:
    """``work`` of each item, in the order of the items, ``lanes`` of them at once; each as soon as it is known.

    The items are taken in a thread of their own, so that whatever makes them goes on meanwhile (with a single lane all
    happens in the caller's thread, an item at a time). At most ``lanes + waiting`` of them have been taken and not
    answered. An error of ``work`` or of the items comes out in its place, after the answers before it.

    Args:
        work: called in several threads at once.
        items: iterated in one thread, which is not the caller's unless there is a single lane.
        lanes: threads that work.
        waiting: items that may be ahead of them.
        idle: counts the seconds during which no lane had an item.

    >>> list(in_order(str, range(3), lanes=2))
    ['0', '1', '2']
    """
    idle = idle or Idle()
    if lanes == 1:
        yield from _one_by_one(work, items, idle)
        return
    feed = _Feed(work, items, lanes, waiting, idle)
    try:
        while (answer := feed.answers.get()) is not None:
            yield answer.result()
            feed.answered()
    finally:
        feed.close()


def _one_by_one(work: Callable[[T], R], items: Iterable[T], idle: Idle) -> Iterator[R]:
    idle.waits()
    try:
        for item in items:
            idle.enters()
            try:
                answer = work(item)
            finally:
                idle.leaves()
            idle.ends()  # what the caller does meanwhile is no waiting for items
            yield answer
            idle.waits()
    finally:
        idle.ends()
