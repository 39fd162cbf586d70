"""Detector and embedder of a bundle: images a second against the same network in plain torch, and against a bare run of
the same graphs in OpenVINO (fixed inputs, nothing between the graphs), which is the floor.

    python benchmarks/networks.py [--bundle tiny] [--photos FOLDER] [--rounds 5] [--out FILE.csv]

Processor seconds of one core (one lane); the floor is measured twice in every round.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _measure import Table, interleaved, options

from dprnet.core import graphs
from dprnet.core.bundle import Bundle
from dprnet.core.images import read_image, resize_bilinear
from dprnet.core.records import Frame, Image
from dprnet.detect import Detector
from dprnet.detect.config import fitted_size
from dprnet.embed.embedder import Embedder, prepare

FRAMES, CROPS = 8, 64


def photos(folder: Path | None, height: int, width: int) -> list[Image]:
    """Real photos if there are any; else coarse noise, in which a detector finds as much as its limit allows."""
    found = sorted(folder.rglob("*.jpg"))[:FRAMES] if folder else []
    if found:
        return [resize_bilinear(read_image(path).image, width, height) for path in found]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (FRAMES, height // 16 + 1, width // 16 + 1, 3), np.uint8)
    return list(noise.repeat(16, 1).repeat(16, 2)[:, :height, :width])


def recorded(runtime: Any, images: list[Image], threshold: float) -> list[tuple[str, tuple[Any, ...]]]:
    """The inputs of every graph that a runtime calls for some images."""
    calls: list[tuple[str, tuple[Any, ...]]] = []
    runs = dict(runtime._graphs)

    def noting(name: str) -> Any:
        def run(*arrays: Any) -> Any:
            calls.append((name, tuple(array.copy() for array in arrays)))
            return runs[name](*arrays)

        return run

    runtime._graphs = {name: noting(name) for name in runs}
    for image in images:
        runtime([image], threshold)
    runtime._graphs = runs
    return calls


def detector_rows(bundle: Bundle, folder: Path | None, rounds: int, table: Table) -> None:
    ours, torchs = (Detector.from_bundle(bundle, runtime=name) for name in ("openvino", "torch"))
    height, width = fitted_size(720, 1280, ours.config.short_side, ours.config.long_side)
    images = photos(folder, height, width)
    frames = [Frame(image, number, 0.0) for number, image in enumerate(images)]
    calls = recorded(ours.runtime, images, ours.config.boxes.score_threshold)
    runs = ours.runtime._graphs  # type: ignore[attr-defined]

    def bare() -> None:
        for name, arrays in calls:
            runs[name](*arrays)

    spent = interleaved(
        {"floor": bare, "floor again": bare, "ours": lambda: list(ours(frames)), "torch": lambda: list(torchs(frames))},
        rounds,
    )
    each = {name: 1000 * one.cpu_s / len(images) for name, one in spent.items()}
    found = sum(len(one) for one in ours(frames)) / len(frames)
    print(f"{width} x {height} pixels, {found:.1f} detections a frame")
    table.row("detector, a frame", each["ours"], "ms", "plain torch", each["torch"] / each["ours"])
    table.row("detector, share of OpenVINO's bare run", each["floor"], "ms", "ours", each["floor"] / each["ours"])
    table.row("noise: the floor again", each["floor again"], "ms", "the floor", each["floor again"] / each["floor"])
    branch_rows(ours.runtime, calls, rounds, table)


def branch_rows(runtime: Any, calls: list[tuple[str, tuple[Any, ...]]], rounds: int, table: Table) -> None:
    """What the scoring branches and the instance branch cost by the number of boxes."""
    arrays = next(arrays for name, arrays in calls if name == "views")
    maps = arrays[: len(arrays) - len(runtime.config.levels)]
    one = np.array([[40, 30, 140, 190]], np.float32)

    def with_boxes(count: int) -> Any:
        return lambda: runtime._on_boxes("views", maps, [one.repeat(count, 0)])

    spent = interleaved({str(count): with_boxes(count) for count in (1, 5, 20)}, rounds)
    for count, seen in spent.items():
        table.row(f"branches at {count} boxes a frame", 1000 * seen.cpu_s, "ms")


def embedder_rows(bundle: Bundle, rounds: int, table: Table) -> None:
    ours, torchs = (Embedder.from_bundle(bundle, runtime=name) for name in ("openvino", "torch"))
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (220, 160, 3), np.uint8) for _ in range(CROPS)]
    ready = np.stack([prepare(crop, ours.config) for crop in crops])
    batches = [ready[start : start + ours.batch] for start in range(0, len(ready), ours.batch)]

    def bare() -> None:
        for batch in batches:
            ours.runtime(batch)

    def network() -> None:
        for start in range(0, len(ready), torchs.batch):
            torchs.runtime(ready[start : start + torchs.batch])

    spent = interleaved({"floor": bare, "floor again": bare, "ours": lambda: ours(crops), "torch": network}, rounds)
    each = {name: 1000 * one.cpu_s / len(crops) for name, one in spent.items()}
    table.row("embedder, the network", each["floor"], "ms", "plain torch", each["torch"] / each["floor"])
    table.row("embedder, with preparing the crop", each["ours"], "ms", "the network", each["ours"] / each["floor"])
    table.row("noise: the floor again", each["floor again"], "ms", "the floor", each["floor again"] / each["floor"])
    cores = graphs.lanes()
    table.row(f"embedder on {cores} cores", 1000 * cores / each["floor"], "images/s", "the paper's 850",
              cores * 1000 / each["floor"] / 850)  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--photos", type=Path)
    given = parser.parse_args()
    table = Table("networks", given.out)
    bundle = Bundle.from_pretrained(given.bundle)
    detector_rows(bundle, given.photos, given.rounds, table)
    embedder_rows(bundle, given.rounds, table)


if __name__ == "__main__":
    main()
