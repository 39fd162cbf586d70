"""Decoded pictures as upright 8-bit RGB (rows V5 and V6 of the promises)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dprnet.core.records import Image

_PQ, _HLG = 16, 18  # transfer characteristics of H.273: SMPTE ST 2084, ARIB STD-B67
_MATRIX_BYTES = 36


def upright_size(frame: Any) -> tuple[int, int]:
    """(width, height) in pixels of a decoded frame, once it stands upright."""
    _, _, transpose = orientation(frame)
    return (frame.height, frame.width) if transpose else (frame.width, frame.height)


def is_hdr(frame: Any) -> bool:
    """Does the frame hold more than 8 bits a channel, PQ or HLG light, or Dolby Vision?"""
    if frame.color_trc in (_PQ, _HLG) or any(part.bits > 8 for part in frame.format.components):
        return True
    return any(data.type.name.startswith("DOVI") for data in iter(frame.side_data))


def orientation(frame: Any) -> tuple[bool, bool, bool]:
    """(mirror columns, mirror rows, transpose first) that put a frame upright, from its display matrix.

    The matrix maps a stored point (x, y) to (a x + c y, b x + d y); only its eight upright cases mean anything.
    """
    for data in iter(frame.side_data):
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) >= _MATRIX_BYTES:
            a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
            if abs(b) > abs(a) and abs(c) > abs(d):
                return c < 0, b < 0, True
            return a < 0, d < 0, False
    return False, False, False


class Converter:
    """Scales while converting, then turns: uint8 (H, W, 3) RGB, C-contiguous, and the scale.

    Args:
        short_side, long_side: pixels that a frame's sides have at most; None: as many as they have.
    """

    def __init__(self, short_side: int | None, long_side: int | None = None) -> None:
        from av.video.reformatter import VideoReformatter

        self._short_side, self._long_side = short_side, long_side
        self._scaled, self._packed = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: Any) -> tuple[Image, float]:
        """The picture, and its pixels per pixel of the upright video (1 unless it was made smaller)."""
        scale = 1.0
        if self._short_side:
            scale = min(scale, self._short_side / min(frame.width, frame.height))
        if self._long_side:
            scale = min(scale, self._long_side / max(frame.width, frame.height))
        width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        if scale < 1:
            # Planes first: straight to rgb24 takes libswscale two to three times as long, and at even widths it gives
            # every two pixels one colour.
            planes = self._scaled.reformat(frame, width, height, "gbrp", threads=1)
            packed = self._packed.reformat(planes, width, height, "rgb24", threads=1)
        else:
            packed = self._packed.reformat(frame, width, height, "rgb24", threads=1)
        image = packed.to_ndarray(format="rgb24")
        columns, rows, transpose = orientation(frame)
        if transpose:
            image = image.transpose(1, 0, 2)
        image = image[:: -1 if rows else 1, :: -1 if columns else 1]
        return np.ascontiguousarray(image), scale
