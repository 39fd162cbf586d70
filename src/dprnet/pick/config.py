"""Settings of picking; a bundle holds fitted values under ``picking`` (see `dprnet calibrate picking`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dprnet.core.config import Settings

CoarseName = Literal["top", "outerwear", "trousers", "shorts", "skirt", "dress"]
Linkage = Literal["average", "complete", "single"]


class PickConfig(Settings):
    """How detections become picks.

    The paper names the three limits and the clustering but gives no value of either; the defaults only serve until
    calibration has fitted them on validation videos.
    """

    viewpoint: float = Field(0.5, ge=0, le=1)  # ours: more likely frontal than not, until calibrated
    occlusion: float = Field(0.5, ge=0, le=1)  # ours: likewise
    crop: float = Field(0.5, ge=0, le=1)  # ours: likewise
    min_score: float = Field(0.0, ge=0, le=1)  # ours: off, until calibrated; the detector has a threshold of its own
    cut_distance: float = Field(0.3, ge=0, le=2)  # ours: until calibrated; dissimilarity of Eq. 4, in [0, 2]
    linkage: Linkage = "average"  # ours: the paper says "agglomerative hierarchical clustering", not which linkage
    min_views: int = Field(1, ge=1)  # paper, section 3.2: no such rule, so 1; false detections are seen once
    min_span_s: float | None = Field(None, gt=0)  # ours: views so far apart do too, where T is longer than when fitted
    either: tuple[tuple[CoarseName, CoarseName], ...] = ()  # paper: no class meets another; ours: garments seen as both
    same_frame_apart: bool = False  # paper, section 3.2: no such rule
    apart_overlap: float = Field(
        0.1, ge=0, le=1
    )  # ours: intersection over the smaller box, up to which boxes are apart
    max_component: int = Field(4000, ge=2)  # ours: 64 MB of distances and about a second in scipy
    fold_distance: float = Field(0.01, gt=0, le=2)  # ours: nearly equal embeddings; doubled until the leaders fit

    @property
    def limits(self) -> tuple[float, float, float]:
        """The three limits, in the order of QUALITIES."""
        return (self.viewpoint, self.occlusion, self.crop)
