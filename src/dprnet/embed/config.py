"""Sizes and settings of the embedder, and the one preparation of its images; read without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dprnet.core.config import Settings
from dprnet.core.images import Picture, letterbox, resize
from dprnet.core.records import Image

BatchNorm = Literal["folded", "frozen", "live"]


class EmbedderConfig(Settings):
    """What is needed to rebuild the network and to prepare its images."""

    backbone: str = "mobilenet_v2"  # ours; the paper does not state it (resnet50 in the paper-size recipe)
    size: int = Field(default=256, ge=0, le=8192)  # ours; D, and 0 leaves out the fc (a ready-made embedder)
    image_size: int = Field(default=128, ge=16, le=1024)  # ours; measured, see docs/embed.md
    fit: Literal["letterbox", "squash"] = "letterbox"  # ours: the shape of a garment is kept
    fill: int = Field(default=255, ge=0, le=255)  # ours: shop photos stand on white
    pooling: Literal["average", "gem"] = "average"  # paper, figure 4 (GAP)
    strides: tuple[int, ...] = (32,)  # ours; several: pooled features of earlier levels are joined, for colour, cloth
    colour: int = Field(default=0, ge=0, le=64)  # ours; nodes a channel of ColourPool; 0: none
    colour_cells: int = Field(default=64, ge=4, le=256)  # ours; a side, of colours and shades; 32 blurs fine shades
    kept: int = Field(default=0, ge=0, le=2048)  # ours; numbers of the start weights' own features; 0: none
    kept_by: Literal["start", "trained"] = "start"  # ours; a backbone of their own, or a head that imitates them
    kept_share: float = Field(default=0.3, ge=0, lt=1)  # ours; of the cosine of two images; chosen on validation
    shades: int = Field(default=0, ge=0, le=512)  # ours; numbers of plain colours; 0: none
    shades_share: float = Field(default=0.1, ge=0, lt=1)  # ours; as kept_share
    view_kept_share: float | None = Field(default=None, ge=0, lt=1)  # ours; of a view in a video and a shop photo
    view_shades_share: float | None = Field(default=None, ge=0, lt=1)  # ours; None: as between two shop photos
    trained_image_size: int = Field(default=0, ge=0, le=1024)  # ours; px the trained network sees; 0: image_size
    standard: bool = False  # ours; a BatchNorm after fc, whose factors begin at the spread of fc's directions
    batch_norm: BatchNorm = "live"  # ours; folded for weights that come without statistics

    @model_validator(mode="after")
    def _room_for_the_trained(self) -> Self:
        for photos, views in zip(self.shares[1:], self.view_shares[1:], strict=True):
            if views and not photos:
                raise ValueError("a part that counts for views must count between photos too")
        if min(self.shares[0], self.view_shares[0]) <= 0:
            raise ValueError("kept_share and shades_share leave nothing to the trained part")
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of the trained part, the kept features and the shades in the cosine of two shop photos; they sum to 1."""
        return self._all_shares(self.kept_share, self.shades_share)

    @property
    def view_shares(self) -> tuple[float, float, float]:
        """The same of a view in a video and a shop photo."""
        kept = self.kept_share if self.view_kept_share is None else self.view_kept_share
        return self._all_shares(kept, self.shades_share if self.view_shades_share is None else self.view_shades_share)

    def _all_shares(self, kept: float, shades: float) -> tuple[float, float, float]:
        kept, shades = kept if self.kept else 0.0, shades if self.shades else 0.0
        return 1 - kept - shades, kept, shades


def prepare(image: Image | Picture, config: EmbedderConfig) -> Image:
    """One upright RGB image (H, W, 3) uint8 as the network wants it: (S, S, 3) uint8. The same in training.

    What is prepared already comes back as it is.
    """
    if config.fit == "letterbox":
        return letterbox(image, config.image_size, config.fill)
    return resize(image, config.image_size, config.image_size)
