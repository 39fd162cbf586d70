"""A search by one image is done for somebody: once they have gone away it is not begun, or goes no step further."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.requests import ClientDisconnect

from dprnet.core.bundle import Bundle
from dprnet.service.config import ServiceConfig
from dprnet.service.problems import Problem
from dprnet.service.searching import GivenUp, Searcher
from dprnet.service.shelves import Shelves

from .conftest import DEADLINE_S, Running
from .test_api import photo
from .test_killing import until

LEAVING = 6
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, random_bundle: Path, indexed: Path) -> Iterator[Searcher]:
    config = ServiceConfig(folder=tmp_path_factory.mktemp("searcher"), galleries={"shop": indexed}, max_searches=2)
    made = Searcher(config, Bundle.from_pretrained(random_bundle))
    yield made
    made.close()


async def gone() -> bool:
    return True


def test_what_was_not_begun_for_somebody_who_left_is_never_begun(searcher: Searcher) -> None:
    free, begun = threading.Event(), []

    async def ask() -> None:
        busy = asyncio.create_task(searcher.alone(lambda _: free.wait(PATIENCE_S)))
        await asyncio.sleep(0)
        for _ in range(5):  # more than may wait: those who left take no place
            with pytest.raises(ClientDisconnect):
                await searcher.alone(lambda _: begun.append("for nobody"), gone)
        waits = asyncio.create_task(searcher.alone(lambda _: begun.append("for somebody")))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="2 searches wait already"):
            await searcher.alone(lambda _: begun.append("too much"))
        free.set()
        await asyncio.gather(busy, waits)

    asyncio.run(ask())
    assert begun == ["for somebody"]


def test_what_runs_for_somebody_who_left_is_told(searcher: Searcher) -> None:
    told = []

    async def ask() -> None:
        with pytest.raises(ClientDisconnect):
            await searcher.alone(lambda given_up: told.append(given_up.wait(PATIENCE_S)), gone)
        assert await searcher.alone(lambda _: "the next") == "the next"

    asyncio.run(ask())
    assert told == [True]


class AtLook(threading.Event):
    """Is set once it has been looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_a_search_ends_at_any_of_its_steps(searcher: Searcher) -> None:
    shelves = Shelves(searcher.config, searcher.embedder.identity, 64)

    def search(looks: int) -> AtLook:
        event = AtLook(looks)
        searcher.search(photo(), "image", shelves, "shop", items=5, where="", box=None, whole=False, given_up=event)
        return event

    for looks in range(4):
        with pytest.raises(GivenUp):
            search(looks)
    assert search(4).looks == 0, "it is looked before reading, detecting, embedding and searching"
    shelves.close()


def test_who_hangs_up_is_not_searched_for(front: Running) -> None:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8)).save(out, "PNG")
    body = out.getvalue()  # takes a good part of a second to read and look at
    head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1:{front.port}\r\nContent-Length: {len(body)}\r\n\r\n"
    lines = [socket.create_connection(("127.0.0.1", front.port), timeout=DEADLINE_S) for _ in range(LEAVING)]
    for line in lines:
        line.sendall(head.encode() + body)
        line.close()

    def counted(status: int) -> int:
        start = f'dprnet_requests_total{{method="POST",route="/v1/search",status="{status}"}} '
        text = front.ask("GET", "/v1/metrics").body.decode()
        return sum(int(float(line.removeprefix(start))) for line in text.splitlines() if line.startswith(start))

    until(lambda: counted(200) + counted(400) == LEAVING, "all of them have ended")
    assert counted(400) >= LEAVING // 2, "most were given up"
    assert front.ask("POST", "/v1/search", photo()).status == 200
