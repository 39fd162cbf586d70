"""Streams made and served on this machine."""

from __future__ import annotations

import contextlib
import http.server
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dprnet.live.config import WatchConfig
from dprnet.live.watch import Watcher

DEADLINE_S = float(os.environ.get("DPRNET_TEST_DEADLINE_S", "240"))
SECONDS = 6


def _write(path: Path, seconds: int, **options: Any) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w", **options) as file:
        stream = file.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "5", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(10 * seconds):
            image = np.full((120, 160, 3), (30, 60, 160), np.uint8)
            left = 2 * (number % 60)
            image[30:90, left : left + 40] = (200, 30, 30)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())


@pytest.fixture(scope="session")
def walking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of a red square that walks, as MPEG-TS."""
    path = tmp_path_factory.mktemp("stream") / "walking.ts"
    _write(path, SECONDS)
    return path


@pytest.fixture(scope="session")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as an HLS playlist with its segments."""
    folder = tmp_path_factory.mktemp("hls")
    options = {"hls_time": "1", "hls_list_size": "0", "hls_segment_filename": str(folder / "part%d.ts")}
    _write(folder / "live.m3u8", SECONDS, format="hls", options=options)
    assert "#EXT-X-ENDLIST" in (folder / "live.m3u8").read_text()
    return folder


Answering = Callable[[http.server.BaseHTTPRequestHandler], None]


Serving = Callable[[Answering], contextlib.AbstractContextManager[str]]


@pytest.fixture
def serving(web_server: Callable[..., contextlib.AbstractContextManager[str]]) -> Serving:
    """A web server that answers every request in one way, while a ``with`` statement lasts, which gets the address."""

    def by(answer: Answering) -> contextlib.AbstractContextManager[str]:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):  # whoever asked went away
                    answer(self)

        return web_server(Handler)

    return by


def give(handler: http.server.BaseHTTPRequestHandler, data: bytes, kind: str = "video/mp2t") -> None:
    """A whole answer."""
    handler.send_response(200)
    handler.send_header("content-type", kind)
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@pytest.fixture(scope="session")
def watcher(random_bundle: Path) -> Watcher:
    """Networks of random weights, loaded once."""
    return Watcher(random_bundle, config=WatchConfig(idle_s=DEADLINE_S, settle_s=0.5, short_side=96))
