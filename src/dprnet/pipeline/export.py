"""A bundle's networks as ONNX files, their preprocessing inside, checked against torch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadBundle, MissingExtra
from dprnet.core.images import read_image
from dprnet.core.records import Frame, Image
from dprnet.detect import Detector
from dprnet.detect.graph_runtime import GRAPHS, GraphRuntime
from dprnet.embed.embedder import Embedder
from dprnet.embed.runtime import GRAPH
from dprnet.embed.runtime import GraphRuntime as EmbedGraphRuntime

OPSET = 17  # ours: the first with all that RoIAlign and the heads need, and read by every current runtime
SAME_VECTOR = 1e-4  # ours: an embedding's cosine to torch's may be this far from 1
SAME_SCORE = 1e-3  # ours
SAME_BOX_PX = 0.5  # ours
DESCRIPTION = "export.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how far its answers are from torch's."""

    folder: Path
    files: tuple[Path, ...]
    photos: int
    """Photos that both were asked about."""
    detections: int
    """Detections that were compared."""
    cosine: float
    """Smallest cosine of an embedding to torch's (1 where no photo was given)."""
    box_px: float
    """Largest distance of a box's side to torch's."""
    score: float
    """Largest difference of a score or of a class probability of viewpoint, occlusion or crop."""


def export(bundle: Bundle, folder: Path, photos: Sequence[Path] = ()) -> Exported:
    """Write the networks of a bundle as ONNX, and ask them and torch about photos.

    ``embedder.onnx`` takes prepared images, ``detector-first.onnx`` frames; both as bytes (B, H, W, 3), for scaling
    to the range of the network is part of the graph. What lies between the detector's three graphs (suppression, the
    level of each box) is numpy: :class:`dprnet.detect.graph_runtime.GraphRuntime`.

    Args:
        bundle: whose networks.
        folder: made if it is not there.
        photos: real ones; without any nothing is compared.

    Raises:
        MissingExtra: ONNX or its runtime is not installed.
        BadBundle: the answers are not torch's.
    """
    _needs("onnx", "onnxruntime")
    folder.mkdir(parents=True, exist_ok=True)
    detector, embedder = Detector.from_bundle(bundle, runtime="torch"), Embedder.from_bundle(bundle, runtime="torch")
    parts = {**_detector_parts(detector), **_embedder_parts(embedder)}
    files = {name: _write(part, folder / f"{name}.onnx") for name, part in parts.items()}
    _describe(bundle, parts, folder / DESCRIPTION)
    runs = {name: onnx_graph(path, parts[name][2]) for name, path in files.items()}
    between = {name: runs[f"detector-{name}"] for name in GRAPHS}
    found = _compared(
        Detector(GraphRuntime(between, detector.config, name="onnx"), where=folder),
        detector,
        Embedder(EmbedGraphRuntime(runs["embedder"], embedder.config, name="onnx"), embedder.identity),
        embedder,
        [read_image(path, short_side=2 * detector.short_side).image for path in photos],
    )
    exported = Exported(folder, (*files.values(), folder / DESCRIPTION), len(photos), *found)
    if exported.cosine < 1 - SAME_VECTOR or exported.score > SAME_SCORE or exported.box_px > SAME_BOX_PX:
        raise BadBundle(
            folder,
            f"the ONNX files do not answer as torch does: cosine {exported.cosine:.6f}, boxes {exported.box_px:.2f}"
            f" pixels and scores {exported.score:.4f} apart; do not use them, and tell us",
        )
    return exported


def onnx_graph(path: Path, inputs: Sequence[str]) -> Callable[..., list[NDArray[Any]]]:
    """A graph run by ONNX Runtime on one thread: one array an input in, arrays out.

    Args:
        inputs: names of the arrays in their order; the file lacks those that its network does not use.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    used = {one.name for one in session.get_inputs()}

    def run(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
        answers: list[NDArray[Any]] = session.run(
            None, {name: array for name, array in zip(inputs, arrays, strict=True) if name in used}
        )
        return answers

    return run


def _detector_parts(detector: Detector) -> dict[str, Any]:
    from dprnet.detect.graphs import parts

    return {f"detector-{name}": part for name, part in parts(detector.network).items()}


def _embedder_parts(embedder: Embedder) -> dict[str, Any]:
    from dprnet.embed.graphs import parts

    return {GRAPH: parts(embedder.network)[GRAPH]}


def _write(part: tuple[Any, Sequence[Any], Sequence[str], Sequence[str]], path: Path) -> Path:
    import torch

    module, example, inputs, outputs = part
    # A name of its own for each: equal names would mean equal sizes.
    free = {name: {0: f"rows_{name}"} for name in (*inputs, *outputs)}
    for name in inputs:
        if name == "images" and path.stem != GRAPH:
            free[name] |= {1: f"height_{name}", 2: f"width_{name}"}
        if name.startswith("map"):
            free[name] |= {2: f"height_{name}", 3: f"width_{name}"}
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of the exporter's age; it is the one that traces
        torch.onnx.export(
            module.eval(),
            tuple(example),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
    return path


def _describe(bundle: Bundle, parts: Mapping[str, Any], path: Path) -> None:
    graphs = {name: {"inputs": part[2], "outputs": part[3]} for name, part in parts.items()}
    settings = {part: dict(bundle.settings(part)) for part in ("detector", "embedder", "picking")}
    whole = {"bundle": bundle.identity, "embedder": bundle.embedder_identity, "opset": OPSET, "graphs": graphs}
    path.write_text(json.dumps({**whole, "settings": settings}, indent=1) + "\n", encoding="utf-8")


def _compared(
    detector: Detector, its_torch: Detector, embedder: Embedder, torchs: Embedder, images: Sequence[Image]
) -> tuple[int, float, float, float]:
    """Detections, smallest cosine, largest distances of boxes and of scores; of whole photos and of the crops found."""
    from dprnet.core.images import cut_out

    count, box_px, score = 0, 0.0, 0.0
    crops = list(images)
    frames = [Frame(image, number, 0.0) for number, image in enumerate(images)]
    for frame, found, wanted in zip(frames, detector(frames), its_torch(frames), strict=True):
        if len(found) != len(wanted):
            return count, 0.0, float("inf"), float("inf")
        count += len(wanted)
        crops += [cut_out(frame.image, box) for box in wanted.boxes_xyxy[:5]]
        pairs = [(getattr(found, name), getattr(wanted, name)) for name in ("scores", "viewpoint", "occlusion", "crop")]
        score = max(score, *(_apart(*pair) for pair in pairs))
        box_px = max(box_px, _apart(found.boxes_xyxy, wanted.boxes_xyxy))
    cosines = (embedder(crops) * torchs(crops)).sum(axis=1)
    return count, float(cosines.min(initial=1.0)), box_px, score


def _apart(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    return float(np.abs(found - wanted).max(initial=0.0))


def _needs(*packages: str) -> None:
    from importlib.util import find_spec

    if missing := [name for name in packages if find_spec(name) is None]:
        raise MissingExtra(
            "export", f"{' and '.join(missing)} not installed; get it with: pip install 'dprnet[export]'"
        )
