"""A web server that counts, for the tests of many videos; and what Ray warns of."""

from __future__ import annotations

import collections
import http.server
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

Site = tuple[str, collections.Counter[str]]
"""Its address, and how often each file was fetched."""

# Ray warns of itself, of settings that it reads but nobody set, and of pipes that it leaves to its programs.
RAY_WARNS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def serve(web_server: Callable[..., AbstractContextManager[str]]) -> Iterator[Callable[[Path], Site]]:
    """Serves folders until the test ends."""
    with ExitStack() as stack:

        def served(folder: Path) -> Site:
            asked: collections.Counter[str] = collections.Counter()

            class Counting(http.server.SimpleHTTPRequestHandler):
                def do_GET(self) -> None:
                    asked[self.path.strip("/")] += 1
                    super().do_GET()

            return stack.enter_context(web_server(Counting, directory=str(folder))), asked

        yield served
