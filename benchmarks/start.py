"""Start-up: `dprnet --help`, the first pick of a 10-second clip and its first search, each from a fresh process on a
warm disk.

    python benchmarks/start.py [VIDEO] [--rounds 5] [--out FILE.csv]

Against a process that only imports torch and torchvision, and one that does nothing (the floor).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _measure import Table, interleaved, options

from dprnet.core.bundle import Bundle
from dprnet.core.images import jpeg_bytes
from dprnet.embed.embedder import Embedder
from dprnet.evaluate.speed import make_clip
from dprnet.gallery import Gallery, Item

FIRST_PICK, FIRST_SEARCH = "dprnet search, 10-second clip, to its picks", "dprnet search, the same, in a gallery"
AIMS = {"dprnet --help": "< 0.5", FIRST_PICK: "<= 5"}
ITEMS = 1000


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
        gallery = Path(folder) / "gallery"
        embedder = Embedder.from_bundle(Bundle.from_pretrained("tiny"))
        with Gallery.create(gallery, embedder=embedder.identity, size=embedder.size) as store:
            vectors = np.random.default_rng(0).standard_normal((ITEMS, embedder.size), np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            photo = jpeg_bytes(np.full((100, 80, 3), 128, np.uint8))
            store.upsert([Item(f"item{n}", (Path(f"{n}.jpg"),)) for n in range(ITEMS)], vectors, [photo] * ITEMS)
        jobs = {
            "nothing": lambda: run("-c", "pass"),
            "import torch, torchvision": lambda: run("-c", "import torch, torchvision"),
            "dprnet --help": lambda: run("-m", "dprnet", "--help"),
            FIRST_PICK: lambda: run("-m", "dprnet", "search", str(path), "--until", "pick"),
            FIRST_SEARCH: lambda: run("-m", "dprnet", "search", str(path), "--gallery", str(gallery)),
            "nothing again": lambda: run("-c", "pass"),
        }
        spent = interleaved(jobs, given.rounds)
    floor = spent["nothing"].cpu_s
    for name, one in spent.items():
        table.row(f"{name}, processor", one.cpu_s, "processor s", "nothing", one.cpu_s / floor)
        table.row(f"{name}, wall", one.wall_s, "s", share=one.share, aim=AIMS.get(name, ""))


if __name__ == "__main__":
    main()
