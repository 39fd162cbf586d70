"""Settings of a run over many videos."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dprnet.core.config import Settings
from dprnet.gallery import SearchKind


class BatchConfig(Settings):
    """What is done to each video, and what a video may cost."""

    bundle: str = "tiny"
    gallery: str = ""
    device: str = "cpu"
    every: str = "0.5s"  # ours: as a single search
    items: int = Field(default=5, ge=1, le=100)  # ours: as a single search
    where: str = ""
    fallback: Literal["best"] | None = None
    clip: bool = False  # ours: as a single search
    kind: SearchKind = "auto"  # ours: as a single search
    full: bool = False  # ours: a whole report of every video is a hundred times the size of its matches

    on: Literal["here", "ray"] = "here"  # ours: one machine needs no Ray, whose start alone takes seconds
    address: str = ""
    """Of a Ray cluster; empty: one on this machine, for this run."""
    gpus: float | None = Field(default=None, ge=0)
    """Of a cluster's GPUs, for each worker; None: one where ``device`` is a GPU."""
    workers: int = Field(default=1, ge=0)  # ours: networks use several cores by themselves; 0 is this process
    item_s: float = Field(default=1800.0, gt=0)  # ours: seconds on the wall a video may take
    item_mb: int = Field(default=8192, ge=64)  # ours: memory a worker may hold
    attempts: int = Field(default=2, ge=1)  # ours: a worker may die of something else than its video
    block: int = Field(default=64, ge=1)  # ours: videos a Parquet file
    video_bytes: int = Field(default=4 << 30, gt=0)  # ours: of a video that is fetched; some hours of a phone's
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

    def matters(self) -> dict[str, object]:
        """The settings that a result depends on."""
        named = {name: getattr(self, name) for name in ("every", "items", "fallback", "gallery", "full")}
        later = {"where": self.where, "clip": self.clip, "kind": self.kind}  # runs of before there were these go on
        return named | {name: value for name, value in later.items() if value != type(self).model_fields[name].default}
