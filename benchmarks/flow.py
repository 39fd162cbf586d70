"""A clip through all stages: seconds against decoding and detecting, each measured alone in the same run.

    python benchmarks/flow.py [VIDEO] [--gallery FOLDER] [--every 0.5s] [--heights 720 1080]
                              [--rounds 3] [--out FILE.csv]

Without a video 60-second clips are made. The limit is (decode + detect) / cores: stages that overlap without waiting
for one another can do no better. On a busy machine read the processor seconds, which hardly change, not the wall.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from _measure import Table, interleaved, once, options

from dprnet.core import graphs
from dprnet.core.bundle import Bundle
from dprnet.core.records import Report
from dprnet.decode import open_video
from dprnet.evaluate.speed import make_clip
from dprnet.pipeline import VideoToShop

AIMS = {720: 6.0, 1080: 12.0}  # seconds by the clock, by height; 2 cores


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--gallery", type=Path)
    parser.add_argument("--every", default="0.5s")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--heights", type=int, nargs="+", default=list(AIMS))
    given = parser.parse_args()
    table = Table("flow", given.out)
    spent, wall = once(lambda: VideoToShop.from_pretrained(Bundle.from_pretrained(given.bundle)))
    table.row("start-up apart: a bundle is loaded", wall, "s", share=spent / wall)
    shop = VideoToShop.from_pretrained(Bundle.from_pretrained(given.bundle), gallery=given.gallery)
    with tempfile.TemporaryDirectory() as folder:
        for height in given.heights if given.video is None else [0]:
            path = given.video or Path(folder) / f"clip{height}.mp4"
            if given.video is None:
                make_clip(path, given.seconds, height)
            measure(shop, path, given.every, given.rounds, AIMS.get(height, 0.0), table)


def measure(shop: VideoToShop, path: Path, every: str, rounds: int, aim_s: float, table: Table) -> None:
    short, long = shop.detector.short_side, shop.detector.long_side

    def decode() -> None:
        with open_video(path, every, short_side=short, long_side=long) as video:
            for _ in video:
                pass

    with open_video(path, every, short_side=short, long_side=long) as video:
        frames = list(video)
    reports: list[Report] = []
    jobs = {
        "decode": decode,
        "detect": lambda: list(shop.detector(frames)),
        "whole": lambda: reports.append(shop.search(path, every=every)),
        "decode again": decode,
    }
    spent = interleaved(jobs, rounds)
    _, wall = once(jobs["whole"])
    report = reports[-1]
    source, cores = report.sources[0], graphs.lanes()
    limit = (spent["decode"].cpu_s + spent["detect"].cpu_s) / cores
    size = f"{source.width} x {source.height}"
    print(f"{size}, {source.duration_s:.1f} s, {source.frames} frames, {len(report.picks)} garments")
    for name in ("decode", "detect"):
        table.row(f"{size}: {name} alone", spent[name].cpu_s, "processor s", share=spent[name].share)
    whole = spent["whole"]
    table.row(f"{size}: whole, processor", whole.cpu_s, "processor s", "decode + detect", whole.cpu_s / (limit * cores))
    against = "(decode + detect) / cores"
    table.row(f"{size}: whole", whole.wall_s, "s", against, whole.wall_s / limit, whole.share, aim="<= 1.2")
    if aim_s:
        table.row(f"{size}: whole, by the clock", whole.wall_s, "s", aim=f"<= {aim_s:g}")
    table.row(f"{size}: whole, of real time", source.duration_s / whole.wall_s, "times real time")
    again = spent["decode again"].cpu_s
    table.row(f"{size}: noise: decode again", again, "processor s", "decode", again / spent["decode"].cpu_s)
    total = sum(report.seconds.values())
    for stage, seconds in report.seconds.items():
        table.row(f"{size}: stage {stage}", seconds, "s", "all stages", seconds / total)
    table.row(f"{size}: all stages", total, "s", "that run by the clock", total / wall, aim=">= 0.95")


if __name__ == "__main__":
    main()
