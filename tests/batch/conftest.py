"""A web server that counts, for the tests of many videos."""

from __future__ import annotations

import collections
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

Site = tuple[str, collections.Counter[str]]
"""Its address, and how often each file was fetched."""


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Site]]:
    """Serves folders until the test ends."""
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(_served(folder))


@contextmanager
def _served(folder: Path) -> Iterator[Site]:
    asked: collections.Counter[str] = collections.Counter()

    class Counting(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Nothing on stderr."""

        def do_GET(self) -> None:
            asked[self.path.strip("/")] += 1
            super().do_GET()

    handler = functools.partial(Counting, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}", asked
        finally:
            running.shutdown()
            thread.join()
