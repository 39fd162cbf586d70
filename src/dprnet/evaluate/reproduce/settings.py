"""What `dprnet reproduce` measures, at full size and quickly."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from dprnet.core.config import Settings
from dprnet.evaluate.timing import TimingSettings

SHORT = TimingSettings(seconds=0.5, items=(2_000, 21_614), asymnet_batches=(1,), ours_batches=(1, 8))


class ReproduceSettings(Settings):
    """The paper names neither T nor K of its figures, so all are ours."""

    finest: str = "1f"  # ours: figure 6 begins at every frame; every longer T is part of this one pass
    intervals: tuple[str, ...] = ("1f", "0.25s", "0.5s", "1s", "2s", "4s")  # ours
    every: str = "0.5s"  # ours: T of figures 5, 9 and 10; the default of `dprnet search`
    ks: tuple[int, ...] = (1, 5, 10, 20)  # ours
    videos: int = Field(0, ge=0)  # ours: the first so many; 0 takes all
    seeds: int = Field(3, ge=1)  # ours: of the methods that are trained
    epochs: int = Field(60, ge=1)  # ours: of the methods that are trained
    train_videos: int = Field(0, ge=0)  # ours: of each set that they learn from, the first so many; 0 takes all
    sheet_gallery: int = Field(0, ge=0)  # ours: photos of figures 7 and 8 beside the right ones; 0 takes all
    timing: TimingSettings = TimingSettings()

    @classmethod
    def quick(cls) -> Self:
        """A few minutes on two cores: six videos, fifteen to learn from, at most four frames a second, one seed."""
        return cls(
            finest="0.25s",
            intervals=("0.25s", "0.5s", "1s", "2s", "4s"),
            videos=6,
            seeds=1,
            epochs=15,
            train_videos=15,
            sheet_gallery=200,
            timing=SHORT,
        )
