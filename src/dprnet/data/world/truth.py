"""What is true of a frame, measured on masks: each garment drawn whole and alone, and all as they cover each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import skia
from numpy.typing import NDArray

from dprnet.core.classes import crop_class, occlusion_class
from dprnet.core.records import Image
from dprnet.data.world.scene import Scene
from dprnet.data.world.shapes import NOBODY, Piece
from dprnet.data.world.worn import Worn, landmarks

WHOLE = 150
"""Pixels of the longer side on which a garment's whole area is measured (ours: 1 % of the area is 100 pixels)."""
FRONTAL = math.radians(50)
"""A garment turned further away is side or back (ours: DeepFashion2 gives no angle)."""
SEEN_PIXELS, SEEN_SHARE = 60, 0.04
"""Less than this of a garment is a region to ignore, not a view (ours)."""


@dataclass(frozen=True)
class View:
    """What one frame shows of one garment."""

    owner: int
    box_xyxy: tuple[float, float, float, float]
    viewpoint: int
    occluded: float
    """Share of the area inside the image that something else covers."""
    cut_off: float
    """Share of the whole area that lies outside the image."""
    landmarks: tuple[float, ...]
    """x, y, v triplets; v is 2 visible, 1 covered, 0 outside the image."""
    scant: bool
    """So little is seen that a detection is neither right nor wrong."""

    @property
    def occlusion(self) -> int:
        """Index into OCCLUSIONS."""
        return occlusion_class(self.occluded)

    @property
    def crop(self) -> int:
        """Index into CROPS."""
        return crop_class(self.cut_off)


def look(scene: Scene, time: float) -> tuple[Image, list[View]]:
    """The picture at a time, and what is true of it."""
    pieces, worn = scene.pieces(time)
    views = measure(pieces, worn, scene.spec.width, scene.spec.height)
    return scene.paint(time, pieces), views


def mask(pieces: Sequence[Piece], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width): number of the garment that is seen at each pixel plus one, or 0."""
    pixels = np.zeros((height, width, 4), np.uint8)
    canvas = skia.Surface(pixels).getCanvas()
    for piece in pieces:
        if piece.solid:
            canvas.drawPath(piece.path, _flat(piece, piece.owner + 1))
    return pixels[..., 0].copy()


def _flat(piece: Piece, value: int) -> skia.Paint:
    paint = skia.Paint(Color=skia.Color(value, 0, 0), AntiAlias=False)
    if not isinstance(piece.paint, tuple) and piece.paint.getStyle() == skia.Paint.kStroke_Style:
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(piece.paint.getStrokeWidth())
    return paint


def measure(pieces: Sequence[Piece], worn: Sequence[Worn], width: int, height: int) -> list[View]:
    """The views of all garments of which anything lies inside the image."""
    seen = mask(pieces, width, height)
    views = []
    for clothes in worn:
        own = [piece for piece in pieces if piece.owner == clothes.owner and piece.solid]
        view = _view(clothes, own, seen)
        if view is not None:
            views.append(view)
    return views


def _view(worn: Worn, own: Sequence[Piece], seen: NDArray[np.uint8]) -> View | None:
    visible = seen == worn.owner + 1
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if not len(rows):
        return None
    height, width = seen.shape
    whole, inside = _areas(own, width, height)
    pixels = int(visible[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].sum())
    occluded = _fraction(1 - pixels / max(inside, 1.0))
    cut_off = _fraction(1 - inside / max(whole, 1.0))
    yaw = worn.joints.yaw
    return View(
        owner=worn.owner,
        box_xyxy=(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)),
        viewpoint=2 if worn.body.bare else 0 if abs(yaw) <= FRONTAL else 1,
        occluded=occluded,
        cut_off=cut_off,
        landmarks=_landmarks(worn, visible),
        scant=pixels < SEEN_PIXELS or pixels < SEEN_SHARE * whole,
    )


def _fraction(value: float) -> float:
    """Within [0, 1], and without the last digits of a sum."""
    return round(min(1.0, max(0.0, value)), 6)


def _areas(own: Sequence[Piece], width: int, height: int) -> tuple[float, float]:
    """Area of a garment drawn whole and alone, and of its part inside the image, in pixels."""
    bounds = own[0].path.getBounds()
    for piece in own[1:]:
        bounds.join(piece.path.getBounds())
    bounds.outset(1, 1)
    factor = min(1.0, WHOLE / max(bounds.width(), bounds.height()))
    columns, rows = math.ceil(bounds.width() * factor), math.ceil(bounds.height() * factor)
    pixels = np.zeros((rows, columns, 4), np.uint8)
    canvas = skia.Surface(pixels).getCanvas()
    canvas.scale(factor, factor)
    canvas.translate(-bounds.left(), -bounds.top())
    for piece in own:
        canvas.drawPath(piece.path, _flat(piece, 1))
    alone = pixels[..., 0] > 0
    # A row of the small picture counts by the share of it that lies inside the image.
    across = _inside(columns, bounds.left(), factor, width)
    down = _inside(rows, bounds.top(), factor, height)
    inside = float(down @ alone @ across)
    return float(alone.sum()) / factor**2, inside / factor**2


def _inside(count: int, start: float, factor: float, limit: int) -> NDArray[np.float64]:
    low = start + np.arange(count) / factor
    share: NDArray[np.float64] = (np.minimum(low + 1 / factor, limit) - np.maximum(low, 0)) * factor
    return np.clip(share, 0, 1)


def _landmarks(worn: Worn, visible: NDArray[np.bool_]) -> tuple[float, ...]:
    height, width = visible.shape
    near = max(2, round(worn.joints.unit * 0.012))
    found: list[float] = []
    for x, y in landmarks(worn):
        if not (0 <= x < width and 0 <= y < height):
            found += [round(x, 2), round(y, 2), 0]
            continue
        column, row = int(x), int(y)
        patch = visible[max(0, row - near) : row + near + 1, max(0, column - near) : column + near + 1]
        found += [round(x, 2), round(y, 2), 2 if patch.any() else 1]
    return tuple(found)


__all__ = ["NOBODY", "View", "look", "mask", "measure"]
