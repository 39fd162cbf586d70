"""How fast a bundle runs on a device: embedder, detector and a whole clip, in one call (`dprnet benchmark`).

Networks are timed with their pictures already on the device, so that rows say what the device does; the clip is
decoded, detected, picked and embedded as `dprnet search` does it. On CUDA all run in bfloat16 and channels-last.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadRecipe
from dprnet.core.graphs import Precision
from dprnet.core.progress import SILENT, Progress
from dprnet.detect import Detector
from dprnet.detect.config import fitted_size
from dprnet.detect.runtime import TorchRuntime as DetectorRuntime
from dprnet.embed.config import EmbedderConfig
from dprnet.embed.embedder import Embedder
from dprnet.embed.runtime import TorchRuntime as EmbedderRuntime
from dprnet.pipeline import VideoToShop

if TYPE_CHECKING:
    from dprnet.embed.model import EmbedderNetwork
    from dprnet.evaluate.speed_on_device import OnDevice

PAPER = EmbedderConfig(backbone="resnet50", image_size=224, batch_norm="live")  # paper-size recipe; weights at random
FRAMES_A_SECOND = 25
GOP = 48  # frames; what encoders for the web use
EVERY = "0.5s"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    name: str
    value: float
    unit: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Speed:
    """All figures of one device."""

    device: str
    """Its name."""
    precision: str
    rows: tuple[Row, ...]


def measure_speed(
    bundle: Bundle,
    device: str = "cpu",
    *,
    seconds: int = 30,
    rounds: int = 5,
    batch: int | None = None,
    paper_size: bool | None = None,
    compiled: bool = False,
    torchcodec: bool = False,
    progress: Progress = SILENT,
) -> Speed:
    """Time a bundle on a device; medians of the rounds, each after one that warms up.

    Args:
        seconds: of the clip (720p, H.264), looked at every half second.
        batch: images of an embedder's call; 512 on CUDA, 8 elsewhere, a quarter of it for frames.
        paper_size: also an untrained ResNet-50 at 224 pixels, the paper's size; by default on CUDA only.
        compiled: run the embedders and the detector's backbone through torch.compile.
        torchcodec: also a clip that torchcodec decodes on the device (NVDEC on CUDA) and that stays there.

    Raises:
        BadRecipe: there is no such device here.
        MissingExtra: torchcodec was asked for and is not there.
    """
    import torch

    check_device(device)
    cuda = torch.device(device).type == "cuda"
    precision: Precision = "bf16" if cuda else "float32"
    batch = batch or (512 if cuda else 8)
    detector = Detector.from_bundle(bundle, device, runtime="torch")
    embedder = Embedder.from_bundle(bundle, device, runtime="torch")
    runtime = DetectorRuntime(detector.network, device, precision)
    networks = {f"embedder {bundle.name}, {embedder.config.image_size} pixels": embedder.network}
    if paper_size or (paper_size is None and cuda):
        from dprnet.embed.model import EmbedderNetwork

        networks[f"embedder {PAPER.backbone}, {PAPER.image_size} pixels, untrained"] = EmbedderNetwork(PAPER)
    steps: list[Callable[[], list[Row]]] = [
        partial(_embedding, name, network, device, precision, batch, rounds, compiled)
        for name, network in networks.items()
    ]
    steps.append(partial(_detecting, runtime, device, max(1, batch // 4), rounds, compiled))
    steps.append(partial(_clip, bundle, runtime, embedder, device, precision, seconds, rounds))
    if torchcodec:
        from dprnet.evaluate.speed_on_device import OnDevice

        encoder = EmbedderRuntime(embedder.network, device, precision)
        whole = OnDevice(bundle, Detector(runtime, device), encoder, device, max(1, batch // 4))
        steps.append(partial(_clip_on_device, whole, device, seconds, rounds))
    rows = tuple(row for step in progress.track(steps, "Measuring") for row in step())
    return Speed(torch.cuda.get_device_name(device) if cuda else "processor", precision, rows)


def check_device(device: str) -> None:
    """Whether torch has such a device here.

    Raises:
        BadRecipe: it has not.
    """
    import torch

    try:
        kind = torch.device(device)
    except RuntimeError:
        raise BadRecipe("device", f"unknown '{device}', expecting cpu, cuda, cuda:1 ... or mps") from None
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise BadRecipe(
            "device",
            f"'{device}' is not here: torch sees {torch.cuda.device_count()} CUDA devices; nothing was measured",
        )


def _embedding(
    name: str, network: EmbedderNetwork, device: str, precision: Precision, batch: int, rounds: int, compiled: bool
) -> list[Row]:
    import torch

    runtime = EmbedderRuntime(network, device, precision)
    if compiled:
        runtime.network = cast(Any, torch.compile(runtime.network))
    side = network.config.image_size
    generator = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, generator=generator).to(device)
    spent = _median(lambda: runtime.vectors(crops), device, rounds)
    return [Row(name, batch / spent, "images/s", f"batches of {batch}, crops on the device")]


def _detecting(runtime: DetectorRuntime, device: str, batch: int, rounds: int, compiled: bool) -> list[Row]:
    import torch

    if compiled:
        runtime.network.backbone.compile()

    height, width = fitted_size(720, 1280, runtime.config.short_side, runtime.config.long_side)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (batch, 3, height // 16 + 1, width // 16 + 1), np.uint8)
    frames = torch.from_numpy(coarse.repeat(16, 2).repeat(16, 3)[:, :, :height, :width].copy()).to(device)
    threshold = runtime.config.boxes.score_threshold
    spent = _median(lambda: runtime.found(list(frames), threshold), device, rounds)
    return [Row("detector", batch / spent, "frames/s", f"{width} x {height}, batches of {batch}, frames on the device")]


def _clip(
    bundle: Bundle,
    runtime: DetectorRuntime,
    embedder: Embedder,
    device: str,
    precision: Precision,
    seconds: int,
    rounds: int,
) -> list[Row]:
    shop = VideoToShop(bundle, device=device)
    if precision != "float32":
        shop.detector = Detector(runtime, device)
        shop.embedder = Embedder(EmbedderRuntime(embedder.network, device, precision), embedder.identity)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(path, seconds, 720)
        spent = _median(lambda: shop.search(path, every=EVERY, until="embed"), device, rounds)
    told = f"720p, every {EVERY}, decoded on the processor, to embeddings; networks in {shop.detector.runtime.name}"
    return [
        Row(f"clip of {seconds} s", spent, "s", told),
        Row("clip, of real time", seconds / spent, "times real time"),
    ]


def _clip_on_device(whole: OnDevice, device: str, seconds: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(path, seconds, 720)
        frames = len(whole.wanted(path, EVERY))
        decoding = _median(lambda: whole.decode(path, EVERY), device, rounds)
        spent = _median(lambda: whole.search(path, EVERY), device, rounds)
    told = f"720p, every {EVERY}, decoded by torchcodec on the device, to embeddings"
    return [
        Row("decoding by torchcodec", frames / decoding, "wanted frames/s", f"720p, every {EVERY}, on the device"),
        Row(f"clip of {seconds} s, on the device throughout", spent, "s", told),
    ]


def _median(work: Callable[[], object], device: str, rounds: int) -> float:
    import torch

    wait: Callable[[], object] = torch.cuda.synchronize if torch.device(device).type == "cuda" else (lambda: None)
    spent = []
    for _ in range(rounds + 1):
        wait()
        start = time.perf_counter()
        work()
        wait()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[1:])


def make_clip(path: Path, seconds: int, height: int) -> None:
    """Write a picture that moves: H.264, 16:9, 25 frames a second, key frames 48 apart, with B-frames."""
    import av

    width = height * 16 // 9 // 2 * 2
    rng = np.random.default_rng(0)
    world = rng.integers(0, 255, (height // 8 + 40, width // 8 + 100, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(FRAMES_A_SECOND))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "fast", "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0"}
        for number in range(FRAMES_A_SECOND * seconds):
            x, y = int(400 + 380 * np.sin(number / 60)), int(150 + 140 * np.sin(number / 37))
            picture = np.ascontiguousarray(world[y : y + height, x : x + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
