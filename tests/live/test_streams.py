"""Streams as others serve them: RTSP by GStreamer, HLS and a growing file by ffmpeg, on this machine."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dprnet.core.errors import LimitExceeded
from dprnet.core.records import Frame
from dprnet.live.config import WatchConfig
from dprnet.live.connection import Back, Connection, Lost
from dprnet.live.source import LiveSource

from ..decode.conftest import Films
from .conftest import DEADLINE_S, SECONDS, Serving, give

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
CONFIG = WatchConfig(silence_s=60.0, give_up_s=DEADLINE_S, idle_s=8.0, short_side=96)
PYTHON = "/usr/bin/python3"  # Debian's, which has GStreamer's bindings
RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
if len(sys.argv) == 1:
    sys.exit()
Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
camera = GstRtspServer.RTSPMediaFactory()
source = f'filesrc location="{sys.argv[2]}" ! tsdemux ! h264parse'
camera.set_launch(f"( {source} ! rtph264pay name=pay0 config-interval=1 )")
server.get_mount_points().add_factory("/door", camera)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def has_gstreamer() -> bool:
    return (
        Path(PYTHON).exists() and subprocess.run([PYTHON, "-c", RTSP], capture_output=True, timeout=240).returncode == 0
    )


@contextlib.contextmanager
def camera(port: int, video: Path) -> Iterator[subprocess.Popen[str]]:
    """An RTSP server whose one stream begins with each viewer anew."""
    with subprocess.Popen([PYTHON, "-c", RTSP, str(port), str(video)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def ffmpeg(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Debian's ffmpeg, at the speed of the clock."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg: apt-get install ffmpeg")


def test_rtsp_is_read_and_taken_up_again_when_its_server_was_away(walking: Path) -> None:
    if not has_gstreamer():
        pytest.skip("needs GStreamer's RTSP server: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    source = LiveSource.parse(f"rtsp://user:word@127.0.0.1:{port}/door")
    assert source.shown == f"rtsp://***@127.0.0.1:{port}/door", "no password"
    line = Connection(source, CONFIG)
    came: list[Frame | Lost | Back] = []
    with contextlib.ExitStack() as servers:
        server = servers.enter_context(camera(port, walking))
        for one in line:
            came.append(one)
            if isinstance(one, Frame) and line.frames == 3:  # of twelve
                server.kill()
                server.wait()
            if isinstance(one, Lost) and server.poll() is not None:
                server = servers.enter_context(camera(port, walking))
            if isinstance(one, Frame) and any(isinstance(before, Back) for before in came):
                line.close()
    frames = [one for one in came if isinstance(one, Frame)]
    assert frames[0].image.shape[:2] == (96, 128), "upright and as small as wished"
    assert frames[0].image[30, 20, 0] > 120, "what the camera shows: a red square on the left"
    times = [frame.time_s for frame in frames]
    assert times == sorted(times), "the clock goes on"
    assert {type(one) for one in came} == {Frame, Lost, Back}
    assert line.breaks == 1


@needs_ffmpeg
def test_hls_as_ffmpeg_makes_it(walking: Path, tmp_path: Path, serving: Serving) -> None:
    playlist = tmp_path / "live.m3u8"
    hls = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "4", "-hls_flags", "delete_segments", str(playlist)]

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        path = tmp_path / Path(handler.path).name
        if path.is_file():
            give(handler, path.read_bytes())
        else:
            handler.send_error(404)

    with ffmpeg("-re", "-stream_loop", "-1", "-i", str(walking), "-c", "copy", *hls), serving(answer) as address:
        while not playlist.is_file():
            time.sleep(0.05)
        line = Connection(LiveSource.parse(f"{address}/live.m3u8"), CONFIG)
        times = []
        for one in line:
            assert isinstance(one, Frame), one
            times.append(one.time_s)
            if one.time_s > SECONDS + 2:
                line.close()
    assert times[-1] > SECONDS + 2, "it went on after the clip had begun again"
    assert times == sorted(times)


@needs_ffmpeg
def test_a_file_that_ffmpeg_still_writes(walking: Path, tmp_path: Path) -> None:
    growing = tmp_path / "recording.ts"
    with ffmpeg("-re", "-i", str(walking), "-c", "copy", "-flush_packets", "1", "-f", "mpegts", str(growing)) as writer:
        while not growing.is_file() or not growing.stat().st_size:
            time.sleep(0.05)
        line = Connection(LiveSource.parse(str(growing)), CONFIG)
        came = [(writer.poll() is None, one) for one in line]
    assert came[0][0], "pictures come while it is still being written"
    assert all(isinstance(one, Frame) for _, one in came)
    assert len(came) >= 2 * SECONDS - 1


def test_a_stream_whose_decoder_lacks_memory_says_so_and_is_not_tried_again(tmp_path: Path) -> None:
    source = LiveSource.parse(str(Films(tmp_path).greedy("ts")))
    config = CONFIG.model_copy(update={"every": "1s", "idle_s": 1.0, "max_memory_bytes": 1 << 30})
    connection = Connection(source, config)
    with pytest.raises(LimitExceeded, match="too much memory") as caught:
        list(connection)
    assert caught.value.reason == "limit:memory"
    assert connection.breaks == 0
