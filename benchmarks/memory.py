"""Peak memory for a 10-second clip and for two hours of it: the difference must stay within 200 MB.

    python benchmarks/memory.py [VIDEO] [--stage decode|search] [--every 2s] [--hours 2] [--bundle tiny]
                                [--out FILE.csv]

The long video is the clip's packets copied one loop after another, with no re-encoding. Each run has a process of its
own; its peak is its own largest resident memory plus that of the decoder's process and of the one it is forked from.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from _measure import Table, options

ALLOWED_MB = 200


def clip(path: Path) -> None:
    """10 s, 640x360, 24 frames a second, key frames two seconds apart, B-frames."""
    rng = np.random.default_rng(0)
    world = rng.integers(0, 255, (40, 90, 3), np.uint8).repeat(14, axis=0).repeat(14, axis=1)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "fast", "crf": "30", "x264-params": "keyint=48:min-keyint=48:scenecut=0"}
        for n in range(240):
            x, y = int(200 + 190 * np.sin(n / 40)), int(80 + 70 * np.sin(n / 23))
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(world[y : y + 360, x : x + 640].copy(), format="rgb24"))
            )
        container.mux(stream.encode())


def loop(path: Path, hours: float, target: Path) -> None:
    """The clip again and again, packets copied."""
    with av.open(str(target), "w") as output:
        stream: Any = None
        offset = 0.0
        while offset < hours * 3600:
            with av.open(str(path)) as source:
                old: Any = source.streams.video[0]
                stream = stream or output.add_stream_from_template(old)
                shift = round(offset / float(old.time_base))
                end = 0
                for packet in source.demux(old):
                    if packet.dts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    output.mux(packet)
                offset += end * float(old.time_base)


def peak_kb(process: str) -> int:
    """Largest resident memory of a process since it started its program, in KB; 0 once it has gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


class Decoders:
    """The largest peak of any decoder's process, looked at twenty times a second, and of the one they are forked from
    (what it has loaded is theirs too: counted twice here, since no page of it is known to be shared still)."""

    def __init__(self) -> None:
        self.peak_kb = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process().children():
                    decoders = [peak_kb(str(one.pid)) for one in child.children()]
                    self.peak_kb = max(self.peak_kb, peak_kb(str(child.pid)) + max(decoders, default=0))

    def stop(self) -> int:
        self._end.set()
        self._thread.join()
        return self.peak_kb


def decode(path: str, every: str) -> int:
    from dprnet.decode import open_video

    with open_video(path, every, short_side=480) as video:
        return sum(1 for _ in video)


def search(path: str, every: str, bundle: str) -> int:
    from dprnet.pipeline import VideoToShop

    report = VideoToShop.from_pretrained(bundle).search([path], every=every)
    return report.sources[0].frames


def one_run(given: argparse.Namespace) -> None:
    decoders = Decoders()
    start = time.monotonic()
    run = decode if given.stage == "decode" else lambda path, every: search(path, every, given.bundle)
    frames = run(str(given.video), given.every)
    result = {
        "frames": frames,
        "seconds": time.monotonic() - start,
        "child_kb": decoders.stop(),
        "own_kb": peak_kb("self"),
    }
    print(json.dumps(result))


def measured(path: Path, given: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, str(path), "--one-run", "--stage", given.stage, "--every", given.every]
    done = subprocess.run([*command, "--bundle", given.bundle], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--stage", choices=("decode", "search"), default="decode")
    parser.add_argument("--every", default="2s")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--one-run", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one_run:
        one_run(given)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        short = given.video or Path(folder) / "clip.mp4"
        if given.video is None:
            clip(short)
        long = Path(folder) / f"long{short.suffix}"
        loop(short, given.hours, long)
        runs = {"clip": measured(short, given), f"{given.hours:g} h": measured(long, given)}
    table = Table("memory", given.out)
    peaks = []
    for name, run in runs.items():
        own, child = run["own_kb"] / 1024, run["child_kb"] / 1024
        peaks.append(own + child)
        row = f"{given.stage} every {given.every}, {name} ({run['frames']} frames)"
        table.row(f"{row}: {'decoder beside it' if given.stage == 'search' else 'decoder'}", child, "MB")
        table.row(f"{row}: both processes at their peaks", own + child, "MB")
        table.row(f"{row}: time", run["seconds"], "s")
    grown = peaks[1] - peaks[0]
    table.row(f"{given.stage}: the long video takes more", grown, "MB", aim=f"<= {ALLOWED_MB}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
