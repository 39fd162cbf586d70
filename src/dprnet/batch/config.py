"""Settings of a run over many videos, or of a catalogue whose photos many machines embed."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dprnet.core.config import Settings
from dprnet.gallery import SearchKind


class WorkerConfig(Settings):
    """Who works, and what an item may cost: a video, or some photos."""

    command: ClassVar[str]
    """What errors call it."""

    bundle: str = "tiny"
    device: str = "cpu"
    on: Literal["here", "ray"] = "here"  # ours: one machine needs no Ray, whose start alone takes seconds
    address: str = ""
    """Of a Ray cluster; empty: one on this machine, for this run."""
    gpus: float | None = Field(default=None, ge=0)
    """Of a cluster's GPUs, for each worker; None: one where ``device`` is a GPU."""
    workers: int = Field(default=1, ge=0)  # ours: networks use several cores by themselves; 0 is this process
    item_s: float = Field(default=1800.0, gt=0)  # ours: seconds on the wall an item may take
    item_mb: int = Field(default=8192, ge=64)  # ours: memory a worker may hold
    attempts: int = Field(default=2, ge=1)  # ours: a worker may die of something else than its item
    private: bool = False  # ours: fetch also from hosts that are not on the public internet
    start_s: float = Field(default=600.0, gt=0)  # ours: seconds a worker may take to load its networks

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.on == "ray" and self.workers == 0:
            raise ValueError("workers: 0 is this process alone; on Ray give at least 1")
        if self.on == "here" and (self.address or self.gpus is not None):
            raise ValueError("address and gpus are for a Ray cluster; give --on ray")
        return self

    def gpus_each(self) -> float:
        """GPUs that a worker holds on a Ray cluster."""
        return self.gpus if self.gpus is not None else float(self.device.startswith("cuda"))


class BatchConfig(WorkerConfig):
    """What is done to each video, and what a video may cost."""

    command = "batch"

    gallery: str = ""
    every: str = "0.5s"  # ours: as a single search
    items: int = Field(default=5, ge=1, le=100)  # ours: as a single search
    where: str = ""
    fallback: Literal["best"] | None = None
    clip: bool = False  # ours: as a single search
    kind: SearchKind = "auto"  # ours: as a single search
    full: bool = False  # ours: a whole report of every video is a hundred times the size of its matches
    block: int = Field(default=64, ge=1)  # ours: videos a Parquet file
    video_bytes: int = Field(default=4 << 30, gt=0)  # ours: of a video that is fetched; some hours of a phone's

    def matters(self) -> dict[str, object]:
        """The settings that a result depends on."""
        named = {name: getattr(self, name) for name in ("every", "items", "fallback", "gallery", "full")}
        later = {"where": self.where, "clip": self.clip, "kind": self.kind}  # runs of before there were these go on
        return named | {name: value for name, value in later.items() if value != type(self).model_fields[name].default}


class CatalogueConfig(WorkerConfig):
    """How a catalogue's photos are embedded, and what a portion of them may cost."""

    command = "index"

    crop_photos: bool = False  # ours: as one process does
    addresses: bool = True  # ours: as the command
    portion: int = Field(default=64, ge=1)  # ours: items a worker gets at once; as many go into a commit
    workers: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _here_is_one_process(self) -> Self:
        if self.on == "here" and self.workers:
            raise ValueError("workers are for a Ray cluster; this process uses every core by itself; give --on ray")
        return self
