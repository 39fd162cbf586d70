"""Images at another size: cut, shrunk, letterboxed; and photos that were not yet copied out of their reader."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pil

from dprnet.core.modes import WHITE, as_array
from dprnet.core.records import FloatArray, Image


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A photo as Pillow holds it, RGB and upright: made small without a copy of all its pixels."""

    held: Pil.Image
    format: str
    """One of ``images.FORMATS``, by content."""
    animated: bool = False
    """True where the file holds more frames or pages than the one that was read, the first."""
    scale: float = 1.0
    """Its pixels per pixel of the photo (below 1 where a short side was said to be enough)."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.held.size

    @property
    def pixels(self) -> Image:
        """uint8 (H, W, 3)."""
        return as_array(self.held)


def cut_out(image: Image, box_xyxy: Sequence[float] | FloatArray, margin: float = 0.0) -> Image:
    """The pixels of a box, clipped to the image; a copy, never empty (a box outside gives the nearest pixel).

    Args:
        image: (H, W, 3).
        box_xyxy: corners in pixels of ``image``; cut pixels reach from floor(x1) to ceil(x2).
        margin: added on each side, as a fraction of the box's width and height.

    >>> cut_out(np.zeros((10, 20, 3), np.uint8), (2, 1, 6, 5)).shape
    (4, 4, 3)
    >>> cut_out(np.zeros((10, 20, 3), np.uint8), (2, 1, 6, 5), margin=0.5).shape
    (7, 8, 3)
    """
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    if not np.isfinite([x1, y1, x2, y2]).all():
        raise ValueError(f"box_xyxy must be finite, got {(x1, y1, x2, y2)}")
    height, width = image.shape[:2]
    dx, dy = margin * max(x2 - x1, 0.0), margin * max(y2 - y1, 0.0)
    left, right = _span(x1 - dx, x2 + dx, width)
    top, bottom = _span(y1 - dy, y2 + dy, height)
    return image[top:bottom, left:right].copy()


def resize(image: Image | Picture, width: int, height: int) -> Image:
    """The image at another size, (H, W, 3) -> (height, width, 3); bicubic, and each pixel counts when shrinking."""
    if _size(image) == (width, height):
        return image.pixels if isinstance(image, Picture) else image
    held = image.held if isinstance(image, Picture) else Pil.fromarray(image)
    return as_array(held.resize((width, height), Pil.Resampling.BICUBIC, reducing_gap=2.0))


def resize_bilinear(image: Image, width: int, height: int) -> Image:
    """As :func:`resize`, with the filter of torch's ``interpolate(mode="bilinear", antialias=True)``."""
    if image.shape[:2] == (height, width):
        return image
    return as_array(Pil.fromarray(image).resize((width, height), Pil.Resampling.BILINEAR))


def shrink(image: Image | Picture, long_side: int) -> Image:
    """The image with its longer side at most ``long_side`` pixels; never enlarged.

    >>> shrink(np.zeros((100, 400, 3), np.uint8), 160).shape
    (40, 160, 3)
    """
    width, height = _size(image)
    return resize(image, *_scaled(width, height, min(1.0, long_side / max(height, width))))


def letterbox(image: Image | Picture, size: int, fill: int = WHITE) -> Image:
    """The whole image centred in a square, aspect ratio kept, (H, W, 3) -> (size, size, 3).

    >>> letterbox(np.zeros((2, 4, 3), np.uint8), 4)[:, 0, 0]
    array([255,   0,   0, 255], dtype=uint8)
    """
    width, height = _size(image)
    square = np.full((size, size, 3), fill, np.uint8)
    inside = unboxed(square, width, height)
    inside[:] = resize(image, inside.shape[1], inside.shape[0])
    return square


def unboxed(square: Image, width: int, height: int) -> Image:
    """Where :func:`letterbox` puts an image of a size: a view of the square, without the ground around it.

    >>> unboxed(letterbox(np.zeros((2, 4, 3), np.uint8), 8), width=4, height=2).shape
    (4, 8, 3)
    """
    size = len(square)
    inner_width, inner_height = _scaled(width, height, size / max(height, width))
    top, left = (size - inner_height) // 2, (size - inner_width) // 2
    return square[top : top + inner_height, left : left + inner_width]


def jpeg_bytes(image: Image, quality: int = 85) -> bytes:
    """The image as a JPEG file, (H, W, 3) -> bytes."""
    buffer = io.BytesIO()
    Pil.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _size(image: Image | Picture) -> tuple[int, int]:
    return image.size if isinstance(image, Picture) else (image.shape[1], image.shape[0])


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    start = int(min(max(np.floor(low), 0), size - 1))
    return start, int(min(max(np.ceil(high), start + 1), size))


def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))
