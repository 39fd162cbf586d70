"""Key-frame decoding against the floor (decode everything, discard it) and a peer (PyAV, decode everything, keep some).

    python benchmarks/decode.py [VIDEO] [--rounds 5]

Processor seconds of one core, medians of interleaved rounds; only the ratios mean anything on another machine. The
floor is measured twice in every round: what its two medians differ by is the noise.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from dprnet.decode import DecodeLimits, Every, decode_in_process, open_video
from dprnet.decode.sampling import Wanted

INTERVALS = ("5f", "15f", "30f", "60f", "120f")
SHORT_SIDE = 480


def sample(path: Path, frames: int = 600) -> None:
    """720p H.264, key frames 48 apart, preset fast with B-frames: a textured picture that moves and flickers."""
    rng = np.random.default_rng(0)
    world = rng.integers(0, 255, (90, 200, 3), np.uint8).repeat(12, axis=0).repeat(12, axis=1)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "fast", "x264-params": "keyint=48:min-keyint=48:scenecut=0"}
        for n in range(frames):
            x, y = int(500 + 450 * np.sin(n / 40)), int(150 + 140 * np.sin(n / 23))
            picture = world[y : y + 720, x : x + 1280].copy()
            picture[200:500, (n * 7) % 1000 : (n * 7) % 1000 + 200] = rng.integers(0, 255, (300, 200, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def floor(path: Path) -> None:
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass


def peer(path: Path, every: str) -> None:
    """The obvious way: decode all, convert what is wanted."""
    targets = Wanted(Every.parse(every)).targets()
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        stream.codec_context.thread_count = 1
        scale = min(1.0, SHORT_SIDE / min(stream.width, stream.height))
        for index, frame in enumerate(container.decode(stream)):
            if targets.take(index, frame.time):
                frame.reformat(round(frame.width * scale), round(frame.height * scale), "rgb24", threads=1).to_ndarray()


def ours(path: Path, every: str, **options: Any) -> None:
    for _ in decode_in_process(path, every, short_side=SHORT_SIDE, limits=DecodeLimits(threads=1), **options):
        pass


def in_child(path: Path, every: str) -> None:
    """What users get, its process included (processor seconds of both)."""
    with open_video(path, every, short_side=SHORT_SIDE, limits=DecodeLimits(threads=1)) as video:
        for _ in video:
            pass


def seconds(work: Callable[[], None]) -> float:
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.video
        if path is None:
            path = Path(folder) / "sample.mp4"
            sample(path)
        jobs: dict[str, Callable[[], None]] = {"floor": lambda: floor(path), "floor again": lambda: floor(path)}
        for every in INTERVALS:
            jobs[f"ours {every}"] = lambda every=every: ours(path, every)
            jobs[f"process {every}"] = lambda every=every: in_child(path, every)
            jobs[f"peer {every}"] = lambda every=every: peer(path, every)
            jobs[f"intra {every}"] = lambda every=every: ours(path, every, intra_only=True)
        spent: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(given.rounds):
            for name, job in jobs.items():
                spent[name].append(seconds(job))
        median = {name: statistics.median(times) for name, times in spent.items()}
    base = median["floor"]
    date = datetime.datetime.now(tz=datetime.UTC).date()
    print(
        f"{date}  {platform.machine()}, {os.cpu_count()} cores, PyAV {av.__version__}; "
        f"{path.name}, {given.rounds} rounds"
    )
    print(f"floor {base:.2f} s, again {median['floor again'] / base:.2f}")
    print("| every | ours | ours, with its process | decode all | intra only (not exact) |\n|---|---|---|---|---|")
    for every in INTERVALS:
        row = [f"{median[f'{kind} {every}'] / base:.2f}" for kind in ("ours", "process", "peer", "intra")]
        print(f"| {every} | {' | '.join(row)} |")


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"({time.perf_counter() - started:.0f} s)")
