"""Clips that are made for the decoding benchmark: one picture, in codecs and groups of pictures as people send them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class Clip:
    """How a clip is coded; 720p, 25 frames a second."""

    name: str
    codec: str
    frames: int
    options: tuple[tuple[str, str], ...]
    suffix: str = ".mp4"


def _x264(gop: int, more: str = "") -> tuple[tuple[str, str], ...]:
    return ("preset", "fast"), ("x264-params", f"keyint={gop}:min-keyint={gop}:scenecut=0{more}")


_X265 = "keyint=48:min-keyint=48:scenecut=0:log-level=none:pools=none:frame-threads=1"
GOP_48 = Clip("H.264, GOP 48", "libx264", 600, _x264(48))
QUICK = Clip("a short clip", "libx264", 90, _x264(30))
CLIPS = (
    GOP_48,
    Clip("H.264, GOP 12", "libx264", 300, _x264(12)),
    Clip("H.264, GOP 250", "libx264", 500, _x264(250)),
    Clip("H.264, open GOP", "libx264", 300, _x264(48, ":open-gop=1")),
    Clip("H.265", "libx265", 300, (("preset", "superfast"), ("x265-params", _X265))),
    Clip("VP9", "libvpx-vp9", 300, (("deadline", "realtime"), ("cpu-used", "8"), ("g", "48"), ("b", "2M")), ".webm"),
)


def make(clip: Clip, folder: Path) -> Path:
    """A textured picture that moves and flickers."""
    path = folder / f"{clip.name.replace(',', '').replace(' ', '-')}{clip.suffix}"
    rng = np.random.default_rng(0)
    world = rng.integers(0, 255, (90, 200, 3), np.uint8).repeat(12, axis=0).repeat(12, axis=1)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(clip.codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = dict(clip.options)
        for n in range(clip.frames):
            x, y = int(500 + 450 * np.sin(n / 40)), int(150 + 140 * np.sin(n / 23))
            picture = world[y : y + 720, x : x + 1280].copy()
            picture[200:500, (n * 7) % 1000 : (n * 7) % 1000 + 200] = rng.integers(0, 255, (300, 200, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
