"""Clustering of one pool: seconds and peak memory against plain scipy, on two shapes of video.

    python benchmarks/clustering.py [--sizes 1000 5000 20000 100000] [--plain 5000] [--out FILE.jsonl]

`garments`: 1,000 garments (fewer in small pools) seen equally often, in random order. `one`: one garment seen
throughout, its embedding drifting slowly, so that all detections are one connected component. Each row is run in a
child process of its own, so that its peak memory is its own; run with OMP_NUM_THREADS=1 for the time of one core.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from dprnet.core.records import FloatArray
from dprnet.pick import PickConfig, cluster

SIZE = 256  # numbers in an embedding (the paper-size detector)
CUT = 0.3


def garments(n: int, rng: np.random.Generator) -> FloatArray:
    """At most 1,000 garments; views of one are 0.2 apart on average, of two about 1."""
    centres = rng.standard_normal((min(1000, n // 10), SIZE), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    points: FloatArray = centres[rng.integers(len(centres), size=n)]
    return points + np.float32(0.5 / SIZE**0.5) * rng.standard_normal((n, SIZE), np.float32)


def one(n: int, rng: np.random.Generator) -> FloatArray:
    """One garment: slow drift within a narrow cone, and noise."""
    turn = np.linspace(0, 40 * np.pi, n, dtype=np.float32)
    points = np.float32(0.1 / SIZE**0.5) * rng.standard_normal((n, SIZE), np.float32)
    points[:, 0] += 1
    points[:, 1] += 0.3 * np.sin(turn)
    points[:, 2] += 0.3 * np.cos(turn * 1.7)
    return points


SHAPES = {"garments": garments, "one": one}


def measure(shape: str, n: int, method: str, pipe: Any) -> None:
    embeddings = SHAPES[shape](n, np.random.default_rng(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    folded = 0
    if method == "dprnet":
        labels, folded = cluster(embeddings, PickConfig(cut_distance=CUT))
    else:
        tree = linkage(embeddings.astype(np.float64), "average", metric="cosine")
        labels = fcluster(tree, CUT, criterion="distance")
    row = {
        "shape": shape,
        "detections": n,
        "method": method,
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "clusters": len(np.unique(labels)),
        "folded": folded,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "before_mb": before // 1024,
    }
    pipe.send((row, np.unique(labels, return_inverse=True)[1] if method == "scipy" else labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 1000, 5000, 20000, 100000])
    parser.add_argument("--plain", type=int, default=5000, help="largest pool that plain scipy is given")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--out", type=Path, help="append the rows as JSON Lines")
    options = parser.parse_args()
    machine = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    context = multiprocessing.get_context("spawn")
    for shape in options.shapes:
        for n in options.sizes:
            answers = {}
            for method in ["dprnet", "scipy"] if n <= options.plain else ["dprnet"]:
                here, there = context.Pipe(duplex=False)
                child = context.Process(target=measure, args=(shape, n, method, there))
                child.start()
                there.close()
                row, answers[method] = here.recv()
                child.join()
                if method == "scipy":
                    pairs = np.unique(np.stack(list(answers.values())), axis=1).shape[1]
                    row["same_clusters"] = all(len(np.unique(a)) == pairs for a in answers.values())
                print(json.dumps(row), flush=True)
                if options.out:
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(machine | row) + "\n")


if __name__ == "__main__":
    main()
