"""What is around the neck: necklines, collars, lapels, hoods, ribbing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import skia

from dprnet.data.world.colours import scaled
from dprnet.data.world.figure import Point
from dprnet.data.world.paints import fill, line
from dprnet.data.world.shapes import Piece, blob, polygon
from dprnet.data.world.worn import NECKLINES, Worn, edge_ink


def draw_neckline(path: skia.Path, worn: Worn, start: Point, end: Point, depth: float) -> None:
    """From the right of the neck to the left, as deep as it is from this side."""
    joints, u, kind = worn.joints, worn.joints.unit, worn.garment.neckline
    cos, sin = math.cos(joints.yaw), math.sin(joints.yaw)
    deep = (0.008 + (depth - 0.008) * max(0.0, cos)) * u
    tx, ty = joints.trunk
    x = (start[0] + end[0]) / 2 + sin * 0.02 * u - tx * deep
    y = (start[1] + end[1]) / 2 - ty * deep
    if kind in {"v", "lapel", "shirt", "polo"} and cos > 0.1:
        path.lineTo(x, y)
        path.lineTo(*end)
    elif kind == "square" and cos > 0.1:
        path.lineTo(start[0] * 0.92 + x * 0.08, y)
        path.lineTo(end[0] * 0.92 + x * 0.08, y)
        path.lineTo(*end)
    elif kind == "heart" and cos > 0.1:
        path.quadTo((start[0] + x) / 2, start[1] - 0.012 * u, x, y)
        path.quadTo((end[0] + x) / 2, end[1] - 0.012 * u, *end)
    else:
        path.cubicTo(start[0] * 0.85 + x * 0.15, y + deep * 0.25, end[0] * 0.85 + x * 0.15, y + deep * 0.25, *end)


# Collars: corners as (side, down), in half widths of the neckline and body heights; drawn for both sides in front.
_BACK = ((-1.1, 0.006), (-1.0, -0.018), (1.0, -0.018), (1.1, 0.006), (0.0, 0.014))


_SHIRT = ((0.9, -0.02), (1.45, 0.016), (0.75, 0.048), (0.0, 0.036))


_LAPEL = ((0.95, -0.02), (1.7, 0.06), (1.25, 0.075), (1.35, 0.09), (0.18, 0.14), (0.55, 0.06))


_HOOD = ((-1.5, 0.0), (-1.0, -0.035), (1.0, -0.035), (1.5, 0.0), (1.1, 0.075), (0.0, 0.1), (-1.1, 0.075))


def collar_pieces(worn: Worn) -> list[Piece]:
    """What is around the neck: collar, lapels, hood, turtle neck, ribbing."""
    garment, joints, u = worn.garment, worn.joints, worn.joints.unit
    cos, sin = math.cos(joints.yaw), math.sin(joints.yaw)
    half, depth = NECKLINES[garment.neckline]
    nx, _ = worn.right
    x, y = joints.axis(0.842)
    kind = garment.neckline
    wide = half * max(abs(cos), 0.45) * u * nx

    def place(corners: Sequence[Point], mirror: int = 1) -> list[Point]:
        return [(x + mirror * s * wide + sin * 0.02 * u * (down > 0.01), y + down * u) for s, down in corners]

    if kind == "hood":
        return (
            _hood_back(worn, place(_HOOD))
            if cos < 0.3
            else _cords(worn, place([(0.4, depth + 0.006), (0.5, depth + 0.075)]))
        )
    if kind in {"turtle", "stand"}:
        up = -0.038 if kind == "turtle" else -0.026
        shapes = [place([(-0.98, 0.004), (-0.9, up), (0.9, up), (0.98, 0.004), (0.0, 0.018)])]
    elif kind in {"shirt", "polo", "lapel"}:
        corners = _LAPEL if kind == "lapel" else _SHIRT
        shapes = [place(corners, -1), place(corners)] if cos > 0 else [place(_BACK)]
    elif garment.straps:
        return []
    else:
        return _ribbed_neck(worn, x, y, nx, max(half * abs(cos), 0.034) * u, depth)
    ink = line(edge_ink(garment), max(0.6, 0.002 * u), 0.6)
    cloth = fill(scaled(garment.print.colours[0], 0.9))
    pieces = []
    for points in shapes:
        path = polygon(points)
        pieces += [Piece(path, cloth, worn.owner), Piece(path, ink, worn.owner, solid=False)]
    return pieces


def _hood_back(worn: Worn, corners: Sequence[Point]) -> list[Piece]:
    path = blob(corners)
    ink = line(edge_ink(worn.garment), max(0.6, 0.002 * worn.joints.unit), 0.6)
    cloth = fill(scaled(worn.garment.print.colours[0], 0.88))
    return [Piece(path, cloth, worn.owner), Piece(path, ink, worn.owner, solid=False)]


def _cords(worn: Worn, ends: Sequence[Point]) -> list[Piece]:
    (x0, y0), (x1, y1) = ends
    middle = worn.joints.axis(0.842)[0]
    path = skia.Path()
    for mirror in (1, -1):
        path.moveTo(middle + mirror * (x0 - middle), y0)
        path.lineTo(middle + mirror * (x1 - middle), y1)
    return [Piece(path, line((0.92, 0.92, 0.9), max(0.8, 0.004 * worn.joints.unit)), worn.owner, solid=False)]


def _ribbed_neck(worn: Worn, x: float, y: float, nx: float, wide: float, depth: float) -> list[Piece]:
    look = worn.garment.print
    path = skia.Path()
    path.moveTo(x + nx * wide, y)
    draw_neckline(path, worn, (x + nx * wide, y), (x - nx * wide, y), depth)
    colour = look.colours[1] if look.turned > 0.8 else scaled(look.colours[0], 0.78)
    return [Piece(path, line(colour, max(0.8, 0.008 * worn.joints.unit)), worn.owner, solid=False)]
