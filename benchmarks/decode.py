"""Key-frame decoding against the floor (decode everything, discard it) and what others use, in one run.

    python benchmarks/decode.py [VIDEO...] [--rounds 3] [--out FILE.csv] [--clip NAME] [--every FRAMES] [--way NAME]

Processor seconds of one thread, medians of interleaved rounds; only the ratios mean anything on another machine. The
floor is measured twice in every round: what its medians differ by is the noise. Before anything is timed, every frame
of ours is compared with that of the plain way, number by number. A missing peer fails the run.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import av
from _clips import CLIPS, GOP_48, QUICK, make
from _decoders import CAREFUL, PEERS, REFERENCE, WAYS, Job
from _measure import Table, options
from _process import Process

INTERVALS = (5, 15, 30, 60, 120)
FEWER = (15, 60)  # of the other clips
# The best column of the limits this project works by (H.264, GOP 48), of the floor.
BEST = {5: 0.89, 15: 0.69, 30: 0.47, 60: 0.30, 120: 0.16}


def length(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)


def measure(
    name: str, path: Path, intervals: tuple[int, ...], rounds: int, processes: dict[str, Process], table: Table
) -> None:
    count = length(path)
    ways = [way for way in processes if name in {GOP_48.name, QUICK.name} or way not in CAREFUL]
    ways.remove(REFERENCE)
    for every in intervals or (INTERVALS if name == GOP_48.name else FEWER):
        job = Job(str(path), f"{every}f", tuple(range(0, count, every)))
        exact(name, job, processes)
        spent: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                spent[way].append(processes[way].seconds(job, len(job.indices)))
        tell(name, every, {way: statistics.median(each) for way, each in spent.items()}, table)


def exact(name: str, job: Job, processes: dict[str, Process]) -> None:
    """Ours must give the very pixels of the plain way; the first runs also warm up."""
    wanted = processes[REFERENCE].digests(job)
    for way in {"ours", "process"} & processes.keys():
        if processes[way].digests(job) != wanted:
            raise SystemExit(f"{name}, every {job.every}: {way} gave other frames than decoding everything")


def tell(name: str, every: int, median: dict[str, float], table: Table) -> None:
    base = median["floor"]
    row = f"{name}, every {every}"
    for way, seconds in median.items():
        if way != "floor":
            aim = f"<= {1.05 * BEST[every]:.3f}" if way == "ours" and name == GOP_48.name and every in BEST else ""
            table.row(f"{row}: {way}", seconds, "processor s", "floor", seconds / base, aim=aim)
    peers = [peer for peer in PEERS if peer in median]
    if peers and "ours" in median:
        best = min(peers, key=lambda peer: median[peer])
        ratio = median["ours"] / median[best]
        table.row(f"{row}: ours, best peer", median["ours"], "processor s", best, ratio, aim="<= 1")


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--quick", action="store_true", help="one small clip and interval, to see that all ways run")
    parser.add_argument("--clip", choices=[clip.name for clip in CLIPS], help="this one alone")
    parser.add_argument("--every", type=int, nargs="+", default=(), help="these intervals alone, in frames")
    parser.add_argument(
        "--way", nargs="+", choices=[*WAYS, *CAREFUL], default=[*WAYS, *CAREFUL], help="these ways alone"
    )
    given = parser.parse_args()
    table = Table("decode", given.out)
    processes = {way: Process(way) for way in dict.fromkeys(("floor", *given.way, REFERENCE))}
    made = [QUICK] if given.quick else [clip for clip in CLIPS if given.clip in (None, clip.name)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            for clip in () if given.videos else made:
                measure(clip.name, make(clip, Path(folder)), tuple(given.every), given.rounds, processes, table)
            for path in given.videos:
                measure(path.name, path, tuple(given.every), given.rounds, processes, table)
    finally:
        for one in processes.values():
            one.close()


if __name__ == "__main__":
    main()
