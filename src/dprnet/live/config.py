"""Settings of a watch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from dprnet.core.config import Settings
from dprnet.decode import Every
from dprnet.gallery import SearchKind


class WatchConfig(Settings):
    """How a stream is watched, and what it may take."""

    every: str = "0.5s"  # ours: as `dprnet search`
    items: int = Field(5, ge=1, le=100)  # ours: as `dprnet search`
    fallback: Literal["best"] | None = None
    """``best``: also garments none of whose views passes the limits so far."""
    kind: SearchKind = "auto"  # ours: as `dprnet search`
    settle_s: float = Field(2.0, ge=0)  # ours: a garment that improves at every frame is told of so often

    silence_s: float = Field(20.0, gt=0)  # ours: a connection without a picture for so long is given up
    give_up_s: float = Field(300.0, gt=0)  # ours: trying in vain for so long ends the watch
    idle_s: float = Field(10.0, gt=0)  # ours: a file that did not grow for so long is complete
    max_lag_s: float = Field(4.0, gt=0)  # ours: pictures of a live source that are older are skipped

    short_side: int = Field(720, ge=16, le=4320)  # ours: crops are cut from it, several times what networks look at
    max_pixels: int = Field(8192 * 4352, gt=0)  # ours: as `dprnet search`
    max_memory_bytes: int = Field(4 << 30, ge=1 << 29)  # ours: address space of the decoder's process
    max_detections: int = Field(2000, ge=100)  # ours: kept at once; clustering so many takes a tenth of a second
    forget_s: float = Field(600.0, gt=0)  # ours: a garment that was not seen for so long has left
    max_views: int = Field(400, ge=10)  # ours: pictures kept at once, some 16 MB

    @field_validator("every")
    @classmethod
    def _interval(cls, value: str) -> str:
        return str(Every.parse(value))
