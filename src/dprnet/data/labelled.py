"""What every reader of this room hands out: an image with its truth, and a photo of one garment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dprnet.core.images import cut_out, read_image
from dprnet.core.records import Image, Truth


@dataclass(frozen=True)
class LabelledImage:
    """An image on disk and what is true of it."""

    path: Path
    truth: Truth
    source: str
    """Where it comes from: ``ccp``, ``world``, ``pasted``, ..."""

    def load(self) -> Image:
        """The pixels: uint8 RGB (H, W, 3), upright."""
        return read_image(self.path).image


@dataclass(frozen=True)
class Photo:
    """A photo of one garment, for metric learning and retrieval."""

    path: Path
    box_xyxy: tuple[float, float, float, float] | None
    """Pixels; None: the whole photo."""
    instance: str
    """Identity: photos of the same garment share it."""
    label: int
    """Index into COARSE_CLASSES, or -1."""
    domain: str
    """``shop`` or ``video``."""
    viewpoint: int = -1
    """Index into VIEWPOINTS, or -1."""
    item: str = ""

    def load(self) -> Image:
        """The garment's pixels, cut out of the photo: uint8 RGB."""
        image = read_image(self.path).image
        return image if self.box_xyxy is None else cut_out(image, self.box_xyxy)
