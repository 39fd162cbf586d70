"""What millions of videos and photos need, by arithmetic from measured costs; nothing is assumed here but what a
:class:`Plan` says openly.

    cores = items x core-seconds an item / seconds of the plan
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import Field

from dprnet.core.config import Settings

DAY_S = 86_400
GB = 1e9
VECTOR_BYTES = 4  # float32, what a store keeps and an exact index holds
CODED_BYTES = 2 + 1 / 8  # half precision to compare again, and one bit to look up (``ivf``, gallery/approximate)


class VideoCosts(Settings):
    """Measured, of one video on average."""

    videos: int = Field(ge=1)
    seconds: float = Field(gt=0)
    """Length."""
    bytes: float
    frames: float
    """That were looked at."""
    picked: float
    """Garments that were embedded and searched."""
    stages: dict[str, float]
    """Core-seconds by stage."""
    each: tuple[float, ...]
    """Core-seconds of each measured video: what the simulation draws from."""
    result_bytes: float
    worker_mb: float
    """Memory of a process that searches, without the gallery's index."""
    start_s: float
    """Core-seconds until such a process has its networks."""
    gpu_s: float = Field(default=0.0, ge=0)
    """Seconds that a GPU was held by the networks, at most; 0 where there was none."""


class PhotoCosts(Settings):
    """Measured, of one photo of a catalogue on average."""

    photos: int = Field(ge=1)
    core_s: float
    """Reading, embedding and storing."""
    bytes: float
    """Of its file."""
    stored_bytes: float
    """In the gallery: vector, texts, thumbnail."""
    numbers: int
    """Of a vector."""
    gpu_s: float = Field(default=0.0, ge=0)
    """As of a video."""


class Costs(Settings):
    """What ``benchmarks/scale.py --measure`` writes."""

    date: str
    machine: str
    bundle: str
    data: str
    video: VideoCosts
    photo: PhotoCosts


class Plan(Settings):
    """What is to be done, and on what; these are assumptions, not measurements."""

    videos: int = 10_000_000
    photos: int = 300_000_000
    days: float = Field(default=14.0, gt=0)
    video_s: float | None = None
    """Mean length of a video; None: as the measured ones. Decoding and detection grow with it."""
    cores: int = 64  # ours: a machine that can be rented anywhere ...
    memory_gb: float = 512.0  # ours
    network_gbit_s: float = 25.0  # ours
    headroom: float = Field(default=1.0, ge=1)
    """Cores bought for each that the arithmetic wants: what the simulation shows to be enough."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is needed."""

    name: str
    amount: float
    unit: str
    machines: float = 0.0
    """Of the plan's machines, where a machine has a share of it; 0 where it has none."""


GROWING = ("decode", "detect", "pick")
"""The stages whose cost grows with the length of a video; the others grow with its garments."""


def video_core_s(costs: VideoCosts, video_s: float | None = None) -> float:
    """Core-seconds of a video of a length; that of the measured ones if none is given."""
    longer = 1.0 if video_s is None else video_s / costs.seconds
    return sum(value * (longer if stage in GROWING else 1.0) for stage, value in costs.stages.items())


def needs(costs: Costs, plan: Plan) -> list[Need]:
    """Cores, network, storage and memory of a plan."""
    seconds = plan.days * DAY_S
    longer = 1.0 if plan.video_s is None else plan.video_s / costs.video.seconds
    of_videos = plan.videos * video_core_s(costs.video, plan.video_s) / seconds * plan.headroom
    of_photos = plan.photos * costs.photo.core_s / seconds * plan.headroom
    read = plan.videos * costs.video.bytes * longer + plan.photos * costs.photo.bytes
    gpus = [
        Need(f"GPUs for {name}", amount, "GPUs")
        for name, amount in (
            ("videos", plan.videos * costs.video.gpu_s * longer / seconds * plan.headroom),
            ("photos", plan.photos * costs.photo.gpu_s / seconds * plan.headroom),
        )
        if amount  # nothing is said of GPUs where none was measured
    ]
    gbit_s = 8 * read / seconds / GB
    exact = plan.photos * costs.photo.numbers * VECTOR_BYTES / GB
    coded = plan.photos * costs.photo.numbers * CODED_BYTES / GB
    work_gb = (of_videos + of_photos) * costs.video.worker_mb / 1000
    return [
        Need("cores for videos", of_videos, "cores", of_videos / plan.cores),
        Need("cores for photos", of_photos, "cores", of_photos / plan.cores),
        Need("cores in all", of_videos + of_photos, "cores", (of_videos + of_photos) / plan.cores),
        *gpus,
        Need("network, reading", gbit_s, "Gbit/s", gbit_s / plan.network_gbit_s),
        Need("memory of the processes, one a core", work_gb, "GB", work_gb / plan.memory_gb),
        Need("videos to keep", plan.videos * costs.video.bytes * longer / GB, "GB"),
        Need("photos to keep", plan.photos * costs.photo.bytes / GB, "GB"),
        Need("results", plan.videos * costs.video.result_bytes / GB, "GB"),
        Need("gallery in its store", plan.photos * costs.photo.stored_bytes / GB, "GB"),
        Need("exact index in memory, each copy", exact, "GB", exact / plan.memory_gb),
        Need("coded index in memory, each copy", coded, "GB", coded / plan.memory_gb),
    ]


def first_to_give(found: list[Need], plan: Plan) -> str:
    """What does not fit, in one sentence."""
    by_name: Mapping[str, Need] = {need.name: need for need in found}
    cores = by_name["cores in all"]
    machines = max(1, math.ceil(cores.machines))
    coded = by_name["coded index in memory, each copy"]
    copies = plan.memory_gb / coded.amount if coded.amount else math.inf
    processes = max(1, math.ceil(cores.amount))
    if copies < min(plan.cores, processes):
        return (
            f"memory: dprnet batch holds an index in every process, {processes} of {coded.amount:.0f} GB want "
            f"{processes * coded.amount:,.0f} GB, and a machine has room for {copies:.1f} of them; the index must be "
            "shared by the processes of a machine, or lie on servers (Milvus)"
        )
    network = by_name["network, reading"]
    if network.machines > machines:
        there = machines * plan.network_gbit_s
        return f"the network: {network.amount:.0f} Gbit/s where {machines} machines have {there:.0f}"
    return f"the processor: {cores.amount:.0f} cores, {cores.machines:.2g} machines of {plan.cores}"


def table(found: list[Need]) -> Iterator[str]:
    """The needs as lines of Markdown."""
    yield "| need | amount | of the plan's machines |"
    yield "|---|---|---|"
    for need in found:
        yield f"| {need.name} | {need.amount:,.4g} {need.unit} | {f'{need.machines:,.3g}' if need.machines else ''} |"
