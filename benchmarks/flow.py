"""A clip through all stages: seconds against decoding and detecting, each measured alone in the same run.

    python benchmarks/flow.py [VIDEO] [--gallery FOLDER] [--every 0.5s] [--height 720] [--rounds 3] [--out FILE.csv]

Without a video a 60-second clip is made. The limit is (decode + detect) / cores: stages that overlap without waiting
for one another can do no better. On a busy machine read the processor seconds, which hardly change, not the wall.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from _measure import Table, interleaved, options

from dprnet.core import graphs
from dprnet.core.bundle import Bundle
from dprnet.decode import open_video
from dprnet.evaluate.speed import make_clip
from dprnet.pipeline import VideoToShop


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--gallery", type=Path)
    parser.add_argument("--every", default="0.5s")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--height", type=int, default=720)
    given = parser.parse_args()
    table = Table("flow", given.out)
    shop = VideoToShop.from_pretrained(Bundle.from_pretrained(given.bundle), gallery=given.gallery)
    with tempfile.TemporaryDirectory() as folder:
        path = given.video or Path(folder) / "clip.mp4"
        if given.video is None:
            make_clip(path, given.seconds, given.height)
        with open_video(path, given.every, short_side=shop.detector.short_side) as video:
            frames = list(video)

        def decode() -> None:
            with open_video(path, given.every, short_side=shop.detector.short_side) as video:
                for _ in video:
                    pass

        jobs = {
            "decode": decode,
            "detect": lambda: list(shop.detector(frames)),
            "whole": lambda: shop.search(path, every=given.every),
            "decode again": decode,
        }
        spent = interleaved(jobs, given.rounds)
        report = shop.search(path, every=given.every)
        source = report.sources[0]
    cores = graphs.lanes()
    limit = (spent["decode"].cpu_s + spent["detect"].cpu_s) / cores
    size = f"{source.width} x {source.height}"
    print(f"{size}, {source.duration_s:.1f} s, {source.frames} frames, {len(report.picks)} garments")
    for name in ("decode", "detect"):
        table.row(f"{name} alone", spent[name].cpu_s, "processor s", share=spent[name].share)
    whole = spent["whole"]
    table.row("whole, processor", whole.cpu_s, "processor s", "decode + detect", whole.cpu_s / (limit * cores))
    table.row("whole, wall", whole.wall_s, "s", "(decode + detect) / cores", whole.wall_s / limit, whole.share)
    table.row("whole, of real time", source.duration_s / whole.wall_s, "times real time")
    noise = spent["decode again"].cpu_s / spent["decode"].cpu_s
    table.row("noise: decode again", spent["decode again"].cpu_s, "processor s", "decode", noise)
    total = sum(report.seconds.values())
    for stage, seconds in report.seconds.items():
        table.row(f"stage {stage}", seconds, "s", "all stages", seconds / total)


if __name__ == "__main__":
    main()
