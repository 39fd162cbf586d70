"""Small videos whose frames carry their own number."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

WIDTH, HEIGHT, BITS = 96, 64, 10


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Grey, a red square that moves, and the number as ten black or white cells along the top."""
    image = np.full((height, width, 3), 90, np.uint8)
    x, y = (number * 3) % (width - 20), height // 4 + number % (height // 2)
    image[y : y + 12, x : x + 20] = (200, 30, 60)
    cell = width // BITS
    for bit in range(BITS):
        image[: height // 4, bit * cell : (bit + 1) * cell] = 255 * (number >> bit & 1)
    return image


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """SVT-AV1's encoder, run by root, makes its caller real-time for good, and what its caller starts later."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


class Films:
    """Writes videos into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def path(self, suffix: str) -> Path:
        self._count += 1
        return self.folder / f"film{self._count}.{suffix}"

    def greedy(self, suffix: str = "mp4") -> Path:
        """24 pictures of 8192x4352, of which sixteen are referred to: decoding them takes more than a gibibyte."""
        options = {"preset": "ultrafast", "refs": "16", "bf": "0"}
        return self.make(suffix, frames=24, size=(8192, 4352), gop=24, bframes=0, options=options)

    def make(
        self,
        suffix: str = "mp4",
        *,
        frames: int = 96,
        rate: int = 24,
        codec: str = "libx264",
        gop: int = 48,
        bframes: int = 3,
        open_gop: bool = False,
        size: tuple[int, int] = (WIDTH, HEIGHT),
        pix_fmt: str = "yuv420p",
        times_ms: Sequence[int] | None = None,
        matrix: Sequence[int] | None = None,
        options: dict[str, str] | None = None,
        trc: int | None = None,
        container_options: dict[str, str] | None = None,
        first_pts: int = 0,
        container_format: str | None = None,
    ) -> Path:
        path = self.path(suffix)
        with (
            ordinary_priority(),
            av.open(str(path), "w", format=container_format, options=container_options or {}) as container,
        ):
            stream: Any = container.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
            stream.codec_context.thread_count = 1
            stream.options = self._options(codec, gop, bframes, open_gop) | (options or {})
            if times_ms is not None:
                from fractions import Fraction

                stream.codec_context.time_base = Fraction(1, 1000)
            if matrix is not None:
                stream.set_display_matrix(matrix)
            if trc is not None:
                stream.codec_context.color_trc = trc
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
                frame.pts = first_pts + (number if times_ms is None else times_ms[number])
                if times_ms is not None:
                    frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    @staticmethod
    def _options(codec: str, gop: int, bframes: int, open_gop: bool) -> dict[str, str]:
        shape = f"keyint={gop}:min-keyint=1:bframes={bframes}:open-gop={int(open_gop)}:scenecut=0"
        if codec == "libx264":
            return {"preset": "veryfast", "x264-params": shape + ":force-cfr=0"}
        if codec == "libx265":
            return {"preset": "ultrafast", "x265-params": shape + ":pools=none:frame-threads=1:log-level=none"}
        if codec == "libvpx-vp9":
            return {"g": str(gop), "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "12", "auto-alt-ref": "1"}
        return {"g": str(gop), "bf": str(bframes)} if codec in {"mpeg4", "mpeg2video"} else {}

    def sound(self, suffix: str = "m4a") -> Path:
        """A second of sound and nothing else."""
        path = self.path(suffix)
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("aac", rate=16000)
            stream.layout = "mono"
            for start in range(0, 16000, 1024):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16000, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path


class Reading:
    """Reads the number back from a frame, whatever its size."""

    def __call__(self, image: np.ndarray) -> int:
        height, width = image.shape[:2]
        cell, row = (width // BITS if width % WIDTH == 0 else width / BITS), height // 8
        return sum(int(image[row, int((bit + 0.5) * cell)].mean() > 128) << bit for bit in range(BITS))


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def number() -> Reading:
    return Reading()


@pytest.fixture(scope="session")
def film(films: Films) -> Path:
    """4 s at 24 frames a second, H.264 with B-frames, key frames 48 apart."""
    return films.make()


@pytest.fixture(scope="session")
def large_film(films: Films) -> Path:
    """3840x2160, twelve frames: slow enough to be caught in the act."""
    return films.make(frames=12, size=(3840, 2160), gop=12, bframes=0, options={"preset": "ultrafast"})


@pytest.fixture(scope="session")
def greedy_film(films: Films) -> Path:
    return films.greedy()


@pytest.fixture(scope="session")
def box_patcher() -> Any:
    """Overwrites 32-bit fields of an MP4 box: ``patch(path, b"mdhd", {16: value})``, offsets from the box's name."""

    def patch(path: Path, name: bytes, fields: dict[int, int]) -> None:
        data = bytearray(path.read_bytes())
        at = data.index(name)
        for offset, value in fields.items():
            struct.pack_into(">I", data, at + offset, value)
        path.write_bytes(bytes(data))

    return patch
