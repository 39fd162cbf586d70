"""Clustering of one pool: seconds and peak memory against plain scipy, on two shapes of video.

    python benchmarks/clustering.py [--sizes 1000 10000 100000] [--width 256] [--plain 10000] [--out FILE.csv]

`garments`: 1,000 garments (fewer in small pools) seen equally often, in random order. `one`: one garment seen
throughout, its embedding drifting slowly, so that all detections are one connected component. `cluster` is the
clustering alone, `pick` the whole of picking, `scipy` average linkage over the whole pool. Each row is run in a child
process of its own, so that its peak memory is its own, with one thread. A result that is not scipy's fails the run.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from typing import Any

import numpy as np
from _measure import Table, options
from scipy.cluster.hierarchy import fcluster, linkage

from dprnet.core.records import Detections, FloatArray, IntArray
from dprnet.pick import PickConfig, cluster, pick

WIDTH = 256  # numbers in an embedding (the paper-size detector; with colours beside them tiny has 688)
CUT = 0.3
AIMS = {10_000: 2, 100_000: 60}  # processor seconds
MOST_MB = 2048


def garments(n: int, width: int, rng: np.random.Generator) -> FloatArray:
    """At most 1,000 garments; views of one are 0.2 apart on average, of two about 1."""
    centres = rng.standard_normal((min(1000, n // 10), width), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    points: FloatArray = centres[rng.integers(len(centres), size=n)]
    return points + np.float32(0.5 / width**0.5) * rng.standard_normal((n, width), np.float32)


def one(n: int, width: int, rng: np.random.Generator) -> FloatArray:
    """One garment: slow drift within a narrow cone, and noise."""
    turn = np.linspace(0, 40 * np.pi, n, dtype=np.float32)
    points = np.float32(0.1 / width**0.5) * rng.standard_normal((n, width), np.float32)
    points[:, 0] += 1
    points[:, 1] += 0.3 * np.sin(turn)
    points[:, 2] += 0.3 * np.cos(turn * 1.7)
    return points


SHAPES = {"garments": garments, "one": one}


def as_detections(embeddings: FloatArray) -> Detections:
    """One good view a frame, all of one class."""
    n = len(embeddings)
    likely = np.float32([[0.9, 0.05, 0.05]]).repeat(n, 0)
    return Detections(
        boxes_xyxy=np.float32([[10, 10, 90, 190]]).repeat(n, 0),
        labels=np.zeros(n, np.int64),
        scores=np.full(n, 0.9, np.float32),
        viewpoint=likely,
        occlusion=likely,
        crop=np.float32([[0.9, 0.1]]).repeat(n, 0),
        embeddings=embeddings,
        frame_index=np.arange(n),
        time_s=np.arange(n, dtype=np.float32) / 2,
        source=np.zeros(n, np.int64),
    )


def measure(shape: str, n: int, width: int, method: str, pipe: Any) -> None:
    embeddings = SHAPES[shape](n, width, np.random.default_rng(0))
    config = PickConfig(cut_distance=CUT)
    detections = as_detections(embeddings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    folded = 0
    if method == "cluster":
        labels, folded = cluster(embeddings, config)
    elif method == "pick":
        picks = pick(detections, config)
        labels, folded = picks.instance, picks.folded
    else:
        tree = linkage(embeddings.astype(np.float64), "average", metric="cosine")
        labels = fcluster(tree, CUT, criterion="distance")
    row = {
        "shape": shape,
        "detections": n,
        "width": width,
        "method": method,
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "clusters": len(np.unique(labels)),
        "folded": folded,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "before_mb": before // 1024,
    }
    pipe.send((row, np.unique(labels, return_inverse=True)[1]))


def measured(shape: str, n: int, width: int, method: str) -> tuple[dict[str, Any], IntArray]:
    """A row and the labels, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=measure, args=(shape, n, width, method, there))
    child.start()
    there.close()
    row, labels = here.recv()
    child.join()
    return row, labels


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 1000, 10000, 100000])
    parser.add_argument("--width", type=int, default=WIDTH, help="numbers in an embedding")
    parser.add_argument("--plain", type=int, default=10000, help="largest pool that plain scipy is given")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the children: the time of one core
    table = Table("clustering", given.out)
    for shape in given.shapes:
        for n in given.sizes:
            tell(shape, n, given.width, ["cluster", "pick", "scipy"][: 3 if n <= given.plain else 2], table)


def tell(shape: str, n: int, width: int, methods: list[str], table: Table) -> None:
    """Rows of one pool; the clusters must be those of plain average linkage wherever that is run."""
    found = {method: measured(shape, n, width, method) for method in methods}
    plain = found["scipy"][0]["cpu_s"] if "scipy" in found else 0.0
    for method, (row, _) in found.items():
        name = f"{shape}, {n} detections of {width} numbers: {method}"
        aim = f"< {AIMS[n]}" if method == "cluster" and n in AIMS else ""
        told = f"{row['clusters']} clusters" + (f", {row['folded']} folded" if row["folded"] else "")
        table.row(f"{name} ({told})", row["cpu_s"], "processor s", aim=aim)
        if plain and method == "cluster":
            table.row(f"{name}, scipy takes", plain, "processor s", "ours", plain / max(row["cpu_s"], 1e-3))
        if n == max(AIMS):
            table.row(f"{name}, peak memory", row["peak_mb"], "MB", aim=f"<= {MOST_MB}")
    if "scipy" in found:
        pairs = np.unique(np.stack([labels for _, labels in found.values()]), axis=1).shape[1]
        if any(len(np.unique(labels)) != pairs for _, labels in found.values()):
            raise SystemExit(f"{shape}, {n} detections: other clusters than plain average linkage")


if __name__ == "__main__":
    main()
