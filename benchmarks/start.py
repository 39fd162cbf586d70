"""Start-up: `dprnet --help`, and the first pick of a 10-second clip, each from a fresh process on a warm disk.

    python benchmarks/start.py [VIDEO] [--rounds 5] [--out FILE.csv]

Against a process that only imports torch and torchvision, and one that does nothing (the floor).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import Table, interleaved, options

from dprnet.evaluate.speed import make_clip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("video", nargs="?", type=Path)
    given = parser.parse_args()
    table = Table("start", given.out)

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    with tempfile.TemporaryDirectory() as folder:
        path = given.video or Path(folder) / "clip.mp4"
        if given.video is None:
            make_clip(path, 10, 720)
        jobs = {
            "nothing": lambda: run("-c", "pass"),
            "import torch, torchvision": lambda: run("-c", "import torch, torchvision"),
            "dprnet --help": lambda: run("-m", "dprnet", "--help"),
            "dprnet search, 10-second clip": lambda: run("-m", "dprnet", "search", str(path), "--until", "pick"),
            "nothing again": lambda: run("-c", "pass"),
        }
        spent = interleaved(jobs, given.rounds)
    floor = spent["nothing"].cpu_s
    for name, one in spent.items():
        table.row(f"{name}, processor", one.cpu_s, "processor s", "nothing", one.cpu_s / floor)
        table.row(f"{name}, wall", one.wall_s, "s", share=one.share)


if __name__ == "__main__":
    main()
