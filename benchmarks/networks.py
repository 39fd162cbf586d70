"""Detector and embedder of a bundle: against the same network in plain torch, and against OpenVINO's own benchmark of
the same graphs on the same inputs (``benchmark_app``).

    python benchmarks/networks.py [--bundle tiny] [--photos FOLDER] [--part embedder] [--rounds 5] [--seconds 5]
                                   [--out FILE.csv]

Processor seconds of one lane where rows say so: ours, torch, and a bare run of the graphs with nothing in between (the
floor, measured twice in every round). Images a second are of all cores by the clock, as ``benchmark_app`` counts, which
is run in turn with ours: they mean something on a free machine only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import Table, interleaved, options
from _openvino import Beside, beside

from dprnet.core import graphs, int8
from dprnet.core.bundle import Bundle
from dprnet.core.images import read_image, resize_bilinear
from dprnet.core.records import Frame, Image
from dprnet.detect import Detector
from dprnet.detect.config import fitted_size
from dprnet.embed.embedder import Embedder, prepare

FRAMES, CROPS = 8, 64
# Of the rate by the clock: at both ends of a short burst a core is idle, and OpenVINO's benchmark has no ends.
STREAM, CROP_STREAM = 64, 512
BOXES = (1, 5, 20)
Call = tuple[str, tuple[Any, ...]]


def photos(folder: Path | None, height: int, width: int) -> list[Image]:
    """Real photos if there are any; else coarse noise, in which a detector finds hardly anything."""
    found = sorted(folder.rglob("*.jpg"))[:FRAMES] if folder else []
    if found:
        return [resize_bilinear(read_image(path).image, width, height) for path in found]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (FRAMES, height // 16 + 1, width // 16 + 1, 3), np.uint8)
    return list(noise.repeat(16, 1).repeat(16, 2)[:, :height, :width])


def recorded(runtime: Any, images: list[Image], threshold: float) -> list[Call]:
    """The inputs of every graph that a runtime calls for some images, as many in a call as a detector gives it."""
    calls: list[Call] = []
    runs = dict(runtime._graphs)

    def noting(name: str) -> Any:
        def run(*arrays: Any) -> Any:
            calls.append((name, tuple(array.copy() for array in arrays)))
            return runs[name](*arrays)

        return run

    runtime._graphs = {name: noting(name) for name in runs}
    for first in range(0, len(images), runtime.batch):
        runtime(images[first : first + runtime.batch], threshold)
    runtime._graphs = runs
    return calls


def of_a_batch(calls: list[Call], batches: int) -> list[Call]:
    """The calls for the images with the median number of garments: the last graph's boxes say how many."""
    size = len(calls) // batches
    each = [calls[first : first + size] for first in range(0, len(calls), size)]
    return sorted(each, key=lambda one: sum(len(array) for array in one[-1][1] if array.ndim == 2))[len(each) // 2]


def runtimes(bundle: Bundle, part: str, names: tuple[str, ...]) -> list[str]:
    return (
        ["openvino", "int8"] if int8.entry(bundle, part) and int8.ready(bundle, part, names, "int8") else ["openvino"]
    )


def detector_rows(bundle: Bundle, folder: Path | None, rounds: int, seconds: int, table: Table) -> None:
    torchs = Detector.from_bundle(bundle, runtime="torch")
    height, width = fitted_size(720, 1280, torchs.config.short_side, torchs.config.long_side)
    images = photos(folder, height, width)
    frames = [Frame(image, number, 0.0) for number, image in enumerate(images)]
    names = runtimes(bundle, "detector", ("first",))
    detectors = {name: Detector.from_bundle(bundle, runtime=name) for name in names}
    threshold = torchs.config.boxes.score_threshold
    calls = {name: recorded(one.runtime, images, threshold) for name, one in detectors.items()}

    def bare(name: str) -> None:
        for graph, arrays in calls[name]:
            detectors[name].runtime._graphs[graph](*arrays)  # type: ignore[attr-defined]

    jobs: dict[str, Callable[[], object]] = {"torch": lambda: list(torchs(frames))}
    for name in names:
        jobs |= {
            f"{name}: floor": lambda name=name: bare(name),
            f"{name}: floor again": lambda name=name: bare(name),
            f"{name}: ours": lambda name=name: list(detectors[name](frames)),
        }
    spent = interleaved(jobs, rounds)
    found = sum(len(one) for one in detectors["openvino"](frames)) / len(frames)
    print(f"{width} x {height} pixels, {found:.1f} detections a frame")
    cores = graphs.lanes()
    for name in names:
        floor, again, ours = (1000 * spent[f"{name}: {job}"].cpu_s / FRAMES for job in ("floor", "floor again", "ours"))
        plain = 1000 * spent["torch"].cpu_s / FRAMES
        table.row(f"detector {name}, a frame", ours, "processor ms", "plain torch / it", plain / ours, aim=">= 2")
        table.row(f"detector {name}, the graphs alone", floor, "processor ms", "of ours", floor / ours, aim=">= 0.9")
        table.row(f"detector {name}, noise: the graphs again", again, "processor ms", "the graphs", again / floor)
        one = detectors[name]
        stream = beside(
            lambda one=one: list(one(frames * (STREAM // FRAMES))),  # type: ignore[misc]
            STREAM,
            [
                (one.runtime._graphs[graph].path, arrays)  # type: ignore[attr-defined]
                for graph, arrays in of_a_batch(calls[name], FRAMES // one.batch)
            ],
            cores,
            rounds=rounds,
            seconds=seconds,
            batch=one.batch,
        )
        peer_row(f"detector {name}", "frames/s", stream, table)
        branch_rows(name, detectors[name].runtime, calls[name], rounds, table)


def peer_row(name: str, unit: str, stream: Beside, table: Table) -> None:
    table.row(name, stream.rate, unit, "OpenVINO's benchmark", stream.ratio, stream.share, aim=">= 0.9")


def branch_rows(name: str, runtime: Any, calls: list[Call], rounds: int, table: Table) -> None:
    """What the scoring branches and the instance branch cost by the number of boxes."""
    arrays = next(arrays for graph, arrays in calls if graph == "views")
    maps = arrays[: len(arrays) - len(runtime.config.levels)]
    one = np.array([[40, 30, 140, 190]], np.float32)

    def with_boxes(count: int) -> Any:
        return lambda: runtime._on_boxes("views", maps, [one.repeat(count, 0)] * runtime.batch)

    spent = interleaved({str(count): with_boxes(count) for count in BOXES}, rounds)
    for count, seen in spent.items():
        table.row(
            f"detector {name}, branches at {count} boxes a frame", 1000 * seen.cpu_s / runtime.batch, "processor ms"
        )


def embedder_rows(bundle: Bundle, rounds: int, seconds: int, table: Table) -> None:
    names = runtimes(bundle, "embedder", ("embedder",))
    torchs = Embedder.from_bundle(bundle, runtime="torch")
    embedders = {name: Embedder.from_bundle(bundle, runtime=name) for name in names}
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (220, 160, 3), np.uint8) for _ in range(CROPS)]
    ready = np.stack([prepare(crop, torchs.config) for crop in crops])

    def network(embedder: Embedder) -> None:
        for start in range(0, len(ready), embedder.batch):
            embedder.runtime(ready[start : start + embedder.batch])

    jobs: dict[str, Callable[[], object]] = {"torch": lambda: network(torchs)}
    for name in names:
        jobs |= {
            f"{name}: floor": lambda name=name: network(embedders[name]),
            f"{name}: floor again": lambda name=name: network(embedders[name]),
            f"{name}: ours": lambda name=name: embedders[name](crops),
            f"{name}: prepared": lambda name=name: embedders[name](list(ready) * (CROP_STREAM // CROPS)),
        }
    spent = interleaved(jobs, rounds)
    cores = graphs.lanes()
    for name in names:
        floor, again, ours = (1000 * spent[f"{name}: {job}"].cpu_s / CROPS for job in ("floor", "floor again", "ours"))
        plain = 1000 * spent["torch"].cpu_s / CROPS
        table.row(f"embedder {name}, an image", ours, "processor ms", "plain torch / it", plain / ours, aim=">= 2")
        table.row(f"embedder {name}, the network alone", floor, "processor ms", "of ours", floor / ours)
        table.row(f"embedder {name}, noise: the network again", again, "processor ms", "the network", again / floor)
        whole = embedders[name]
        stream = beside(
            lambda whole=whole: whole(crops * (CROP_STREAM // CROPS)),  # type: ignore[misc]
            CROP_STREAM,
            [(whole.runtime._run.path, [ready[: whole.batch]])],  # type: ignore[attr-defined]
            cores,
            rounds=rounds,
            seconds=seconds,
            batch=whole.batch,
        )
        peer_row(f"embedder {name}", "images/s", stream, table)
        one = spent[f"{name}: prepared"]
        rate = CROP_STREAM / one.wall_s
        aim = ">= 1" if name == "int8" else ""
        table.row(
            f"embedder {name}, prepared pictures", rate, "images/s", "the paper's 850", rate / 850, one.share, aim=aim
        )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--bundle", default="tiny")
    data = os.environ.get("DPRNET_DATA")
    parser.add_argument("--photos", type=Path, default=Path(data, "ccp") if data else None, help="else DPRNET_DATA/ccp")
    parser.add_argument("--part", choices=["detector", "embedder"], help="only one of the two")
    parser.add_argument("--seconds", type=int, default=3, help="of each graph in OpenVINO's benchmark, in every round")
    given = parser.parse_args()
    torch.set_num_threads(graphs.lanes())
    table = Table("networks", given.out)
    bundle = Bundle.from_pretrained(given.bundle)
    if given.part != "embedder":
        detector_rows(bundle, given.photos, given.rounds, given.seconds, table)
    if given.part != "detector":
        embedder_rows(bundle, given.rounds, given.seconds, table)


if __name__ == "__main__":
    main()
