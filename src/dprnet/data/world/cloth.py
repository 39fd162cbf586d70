"""A garment on a body: outlines from the joints, per class, with light and shade; and its key landmarks."""

from __future__ import annotations

import math

import skia

from dprnet.data.world.colours import scaled
from dprnet.data.world.figure import HIP_HEIGHT, Point
from dprnet.data.world.neck import collar_pieces, draw_neckline
from dprnet.data.world.paints import fill, line
from dprnet.data.world.shapes import Piece, blob, polygon, smooth, trunk_paint
from dprnet.data.world.worn import NECKLINES, Worn, edge_ink, shoulders


def pieces_under(worn: Worn) -> list[Piece]:
    """What lies behind the head and body: a hood seen from the front."""
    garment, joints = worn.garment, worn.joints
    if garment.neckline != "hood" or math.cos(worn.joints.yaw) < 0:
        return []
    x, y = joints.axis(0.85)
    u = joints.unit
    path = blob(
        [
            (x - 0.078 * u, y + 0.02 * u),
            (x - 0.05 * u, y - 0.035 * u),
            (x + 0.05 * u, y - 0.035 * u),
            (x + 0.078 * u, y + 0.02 * u),
            (x, y + 0.05 * u),
        ]
    )
    return [Piece(path, fill(scaled(garment.print.colours[0], 0.62)), worn.owner)]


def trunk_pieces(worn: Worn) -> list[Piece]:
    """The part of an upper garment, dress or skirt that lies on the trunk."""
    garment, joints = worn.garment, worn.joints
    reach = (worn.body.half(0.6, joints.yaw) + worn.ease) * joints.unit * 1.12 * max(1.0, garment.flare * 0.8)
    paint = trunk_paint(worn.fabric, worn.light, worn.body, joints, reach)
    outline = _upper_outline(worn) if garment.upper else _skirt_outline(worn)
    pieces = []
    opening = None
    if garment.front == "open" and garment.upper:
        opening = _opening(worn)
        outline = skia.Op(outline, opening, skia.PathOp.kDifference_PathOp) if opening is not None else outline
    if garment.straps:
        pieces += _straps(worn)
    pieces.append(Piece(outline, paint, worn.owner))
    pieces.append(
        Piece(outline, line(edge_ink(garment), max(0.6, joints.unit * 0.0022), 0.45), worn.owner, solid=False)
    )
    if garment.upper:
        pieces += collar_pieces(worn)
        if garment.coarse != "dress":
            pieces.insert(0, _hem_shade(worn))
    return pieces


def _hem_shade(worn: Worn) -> Piece:
    """The soft dark line that a hem throws on what is below it."""
    left, right = worn.edges(worn.garment.length)
    path = skia.Path()
    path.moveTo(left[0] * 0.96 + right[0] * 0.04, left[1])
    path.quadTo((left[0] + right[0]) / 2, left[1] + 0.02 * worn.joints.unit, right[0] * 0.96 + left[0] * 0.04, right[1])
    return Piece(path, line((0.02, 0.02, 0.04), 0.022 * worn.joints.unit, 0.28), solid=False)


def seat_pieces(worn: Worn) -> list[Piece]:
    """The part of trousers and shorts between waist and crotch."""
    joints = worn.joints
    if worn.start < 0.485:
        return []
    levels = [level for level in (worn.start, 0.58, 0.53) if level <= worn.start]
    left, right = zip(*(worn.edges(level) for level in levels), strict=True)
    low = joints.axis(0.462)
    reach = (worn.body.half(HIP_HEIGHT, joints.yaw) + worn.ease) * joints.unit * 1.1
    thighs = [worn.edges(0.495)]
    path = skia.Path()
    path.moveTo(*left[0])
    path.lineTo(*right[0])
    smooth(path, [*right, thighs[0][1]])
    path.quadTo((right[-1][0] + low[0]) / 2, low[1], *low)
    path.quadTo((left[-1][0] + low[0]) / 2, low[1], *thighs[0][0])
    smooth(path, [thighs[0][0], *left[::-1]])
    path.close()
    paint = trunk_paint(worn.fabric, worn.light, worn.body, joints, reach)
    return [Piece(path, paint, worn.owner)]


def _levels(worn: Worn, top: float) -> list[float]:
    wanted = [0.77, 0.735, 0.69, 0.635, 0.58, 0.53, 0.45, 0.36, 0.26, 0.16]
    return [level for level in wanted if worn.garment.length + 0.02 < level <= top] + [worn.garment.length]


def _upper_outline(worn: Worn) -> skia.Path:
    garment, joints, u = worn.garment, worn.joints, worn.joints.unit
    left, right = zip(*(worn.edges(level) for level in _levels(worn, 0.775)), strict=True)
    half, depth = NECKLINES[garment.neckline]
    half += worn.layer * 0.3
    nx, ny = worn.right
    cos = math.cos(joints.yaw)
    wide = max(half * abs(cos), 0.034) * u
    path = skia.Path()
    if garment.straps:
        path.moveTo(*left[0])
    else:
        shoulder_left, shoulder_right = shoulders(worn)
        x, y = joints.axis(0.842)
        path.moveTo(x - nx * wide, y - ny * wide)
        path.lineTo(*shoulder_left)
        inner = (shoulder_left[0] * 0.6 + left[0][0] * 0.4 + nx * 0.012 * u, (shoulder_left[1] + left[0][1]) / 2)
        path.quadTo(*(inner if garment.sleeve == 0 else shoulder_left), *left[0])
    smooth(path, left)
    _hem(path, worn, left[-1], right[-1])
    smooth(path, right[::-1])
    if garment.straps:
        draw_neckline(path, worn, right[0], left[0], depth * 0.55)
    else:
        inner = (shoulder_right[0] * 0.6 + right[0][0] * 0.4 - nx * 0.012 * u, (shoulder_right[1] + right[0][1]) / 2)
        path.quadTo(*(inner if garment.sleeve == 0 else shoulder_right), *shoulder_right)
        path.lineTo(x + nx * wide, y + ny * wide)
        draw_neckline(path, worn, (x + nx * wide, y + ny * wide), (x - nx * wide, y - ny * wide), depth)
    path.close()
    return path


def _hem(path: skia.Path, worn: Worn, left: Point, right: Point) -> None:
    """Along the hem: a soft bow, or the waves of a wide skirt."""
    u = worn.joints.unit
    waves = 1 if worn.garment.flare < 1.4 else 4
    down = (0.010 if waves == 1 else 0.014) * u
    for k in range(waves):
        a, b = k / waves, (k + 1) / waves
        x0, x1 = left[0] + (right[0] - left[0]) * a, left[0] + (right[0] - left[0]) * b
        y1 = left[1] + (right[1] - left[1]) * b
        path.quadTo((x0 + x1) / 2, (left[1] + right[1]) / 2 + down * 2, x1, y1)


def _skirt_outline(worn: Worn) -> skia.Path:
    levels = [worn.start, *_levels(worn, worn.start - 0.02)]
    left, right = zip(*(worn.edges(level) for level in levels), strict=True)
    path = skia.Path()
    path.moveTo(*left[0])
    smooth(path, left)
    _hem(path, worn, left[-1], right[-1])
    smooth(path, right[::-1])
    path.close()
    return path


def _opening(worn: Worn) -> skia.Path | None:
    """The gap of an open jacket."""
    joints, garment, u = worn.joints, worn.garment, worn.joints.unit
    cos, sin = math.cos(joints.yaw), math.sin(joints.yaw)
    if cos < 0.15:
        return None
    points: list[tuple[Point, Point]] = []
    wide = 0.02 + 0.035 * garment.print.turned
    for level, share in ((0.90, 0.5), (0.76, 0.8), (0.63, 0.9), (garment.length - 0.05, 1.35)):
        radius = (worn.body.half(max(level, HIP_HEIGHT), joints.yaw) + worn.ease) * u
        if level >= HIP_HEIGHT:
            x, y = joints.axis(level)
        else:
            (x0, y), (x1, _) = worn.edges(level)
            x, radius = (x0 + x1) / 2, (x1 - x0) / 2
        middle = x + radius * sin * 0.9
        points.append(((middle - wide * share * cos * u, y), (middle + wide * share * cos * u, y)))
    return polygon([p for p, _ in points] + [q for _, q in points[::-1]])


def _straps(worn: Worn) -> list[Piece]:
    u, joints = worn.joints.unit, worn.joints
    top = worn.edges(0.775)
    pieces = []
    nx, ny = worn.right
    for x, sign in ((top[0], -1), (top[1], 1)):
        start = (x[0] - sign * nx * 0.03 * u, x[1] - sign * ny * 0.03 * u)
        ax, ay = joints.axis(0.832)
        far = 0.062 * u * max(0.35, abs(math.cos(joints.yaw)))
        path = polygon(_band(start, (ax + sign * nx * far, ay + sign * ny * far), 0.005 * u))
        pieces.append(Piece(path, fill(worn.garment.print.colours[0]), worn.owner))
    return pieces


def _band(a: Point, b: Point, half: float) -> list[Point]:
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / far * half, dx / far * half
    return [(a[0] + nx, a[1] + ny), (b[0] + nx, b[1] + ny), (b[0] - nx, b[1] - ny), (a[0] - nx, a[1] - ny)]
