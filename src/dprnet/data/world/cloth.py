"""A garment on a body: outlines from the joints, per class, with light and shade; and its key landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import skia

from dprnet.data.world.colours import luminance, mixed, scaled
from dprnet.data.world.fabric import Fabric
from dprnet.data.world.figure import FOREARM, HIP_HEIGHT, SHIN, THIGH, UPPER_ARM, Body, Joints, Point
from dprnet.data.world.garments import Garment
from dprnet.data.world.shapes import Light, Piece, blob, flat, limb_paint, polygon, smooth, stroke, trunk_paint, tube

# Half width and depth in front of necklines, in body heights.
NECKLINES = {
    "crew": (0.043, 0.022),
    "v": (0.045, 0.085),
    "scoop": (0.056, 0.07),
    "boat": (0.074, 0.018),
    "square": (0.066, 0.07),
    "heart": (0.066, 0.06),
    "turtle": (0.036, 0.002),
    "shirt": (0.04, 0.04),
    "polo": (0.04, 0.035),
    "hood": (0.046, 0.03),
    "lapel": (0.045, 0.11),
    "stand": (0.042, 0.006),
}
LANDMARKS = {
    "upper": ("neck_left", "neck_right", "neck_front", "shoulder_left", "shoulder_right", "cuff_right", "cuff_left"),
    "hem": ("hem_left", "hem_right"),
    "waist": ("waist_left", "waist_right"),
    "legs": ("crotch", "cuff_right", "cuff_left"),
}


@dataclass(frozen=True)
class Worn:
    """One garment on one body in one moment."""

    garment: Garment
    fabric: Fabric
    body: Body
    joints: Joints
    light: Light
    owner: int
    start: float = 0.62
    """Height at which a skirt or trousers begin to show (lower under a top that is not tucked in)."""
    layer: float = 0.0
    """Room for what is worn underneath, in body heights."""

    @property
    def ease(self) -> float:
        """Room between body and cloth, in body heights."""
        return self.garment.ease + self.layer

    @property
    def right(self) -> Point:
        """Unit vector across the trunk, to the right of the picture."""
        return -self.joints.trunk[1], self.joints.trunk[0]

    def edges(self, level: float) -> tuple[Point, Point]:
        """Left and right end of the cloth at a height (body heights above the floor), on the screen."""
        joints, garment = self.joints, self.garment
        if level >= HIP_HEIGHT:
            half = (
                self.body.half(level, joints.yaw) + self.ease * (0.75 if level > 0.6 and garment.flare > 1.2 else 1)
            ) * joints.unit
            x, y = joints.axis(level)
            nx, ny = self.right
            return (x - nx * half, y - ny * half), (x + nx * half, y + ny * half)
        share = min(1.0, (HIP_HEIGHT - level) / max(0.05, HIP_HEIGHT - garment.length))
        hip = self.body.half(HIP_HEIGHT, joints.yaw) + self.ease
        half = hip * (1 + (garment.flare - 1) * share) * joints.unit
        legs = [joints.leg_at(side, level) for side in (0, 1)]
        x, y = (legs[0][0] + legs[1][0]) / 2, (legs[0][1] + legs[1][1]) / 2
        room = (0.05 - 0.03 * min(1.0, (HIP_HEIGHT - level) / 0.25) + 0.006 + self.ease * 0.5) * joints.unit
        left = min(x - half, min(leg[0] for leg in legs) - room)
        right = max(x + half, max(leg[0] for leg in legs) + room)
        return (left, y), (right, y)


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
    return [Piece(path, flat(scaled(garment.print.colours[0], 0.62)), worn.owner)]


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
        Piece(outline, stroke(_edge_ink(garment), max(0.6, joints.unit * 0.0022), 0.45), worn.owner, solid=False)
    )
    if garment.upper:
        pieces += _collar(worn)
        if garment.coarse != "dress":
            pieces.insert(0, _hem_shade(worn))
    return pieces


def _hem_shade(worn: Worn) -> Piece:
    """The soft dark line that a hem throws on what is below it."""
    left, right = worn.edges(worn.garment.length)
    path = skia.Path()
    path.moveTo(left[0] * 0.96 + right[0] * 0.04, left[1])
    path.quadTo((left[0] + right[0]) / 2, left[1] + 0.02 * worn.joints.unit, right[0] * 0.96 + left[0] * 0.04, right[1])
    return Piece(path, stroke((0.02, 0.02, 0.04), 0.022 * worn.joints.unit, 0.28), solid=False)


def sleeve_pieces(worn: Worn, side: int) -> list[Piece]:
    """One sleeve; nothing without sleeves."""
    garment, joints, u = worn.garment, worn.joints, worn.joints.unit
    cover = garment.sleeve * (UPPER_ARM + FOREARM)
    if cover <= 0:
        return []
    a, b, c = joints.shoulder[side], joints.elbow[side], joints.wrist[side]
    ease = min(worn.ease, 0.03) * 0.62
    wide = 1.0 if garment.sleeve > 0.6 else 1.25
    ra, rb, rc = ((0.031 + ease) * u, (0.024 + ease * wide) * u, (0.017 + ease * 0.8) * u)
    ink = stroke(_edge_ink(garment), max(0.6, u * 0.002), 0.4)
    pieces: list[Piece] = []

    def bone(p: Point, q: Point, rp: float, rq: float, done: float, length: float, covered: float) -> None:
        share = min(1.0, covered / length)
        end = (p[0] + (q[0] - p[0]) * share, p[1] + (q[1] - p[1]) * share)
        re = rp + (rq - rp) * share
        path = tube(p, end, rp, re, round_end=share >= 1 and done == 0)
        paint = limb_paint(worn.fabric, worn.light, p, q, max(rp, re), done, length, u)
        pieces.append(Piece(path, paint, worn.owner))
        edges = (_side_line(p, end, rp * sign, re * sign) for sign in (-1, 1))
        pieces.extend(Piece(edge, ink, worn.owner, solid=False) for edge in edges)

    if cover > UPPER_ARM:
        bone(b, c, rb, rc, UPPER_ARM, FOREARM, cover - UPPER_ARM)
    bone(a, b, ra, rb, 0.0, UPPER_ARM, min(cover, UPPER_ARM))
    return pieces


def leg_pieces(worn: Worn, side: int) -> list[Piece]:
    """One leg of trousers or shorts."""
    garment, joints, u = worn.garment, worn.joints, worn.joints.unit
    hip, knee, ankle = joints.hip[side], joints.knee[side], joints.ankle[side]
    width = worn.body.width
    cover = HIP_HEIGHT - garment.length
    ra = (0.053 * width + worn.ease * 0.6) * u
    short = cover < THIGH
    rb = (
        (0.037 * width + worn.ease * (1.0 if not short else 1.4))
        * u
        * (garment.flare if short else max(1.0, garment.flare**0.5))
    )
    rc = max(0.022 * u, (0.031 * width + worn.ease) * garment.flare * u)
    pieces = []
    if not short:
        share = min(1.08, (cover - THIGH) / SHIN)
        end = (knee[0] + (ankle[0] - knee[0]) * share, knee[1] + (ankle[1] - knee[1]) * share)
        re = rb + (rc - rb) * share
        path = tube(knee, end, rb, re, round_end=False)
        pieces.append(
            Piece(path, limb_paint(worn.fabric, worn.light, knee, ankle, max(rb, re), THIGH, SHIN, u), worn.owner)
        )
    share = min(1.0, cover / THIGH)
    end = (hip[0] + (knee[0] - hip[0]) * share, hip[1] + (knee[1] - hip[1]) * share)
    re = ra + (rb - ra) * share
    # Under a top that is not tucked in, the leg begins where the top ends: nothing of it is hidden.
    hidden = min(0.9 * share, max(0.0, HIP_HEIGHT - worn.start) / THIGH)
    begin = (hip[0] + (knee[0] - hip[0]) * hidden, hip[1] + (knee[1] - hip[1]) * hidden)
    path = tube(begin, end, ra + (rb - ra) * hidden, re, round_end=not short, round_start=worn.start >= 0.58)
    pieces.append(Piece(path, limb_paint(worn.fabric, worn.light, hip, knee, ra, 0.0, THIGH, u), worn.owner))
    return pieces


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


def landmarks(worn: Worn) -> list[Point]:
    """Key landmarks on the screen, in the order of :func:`landmark_names` of the garment."""
    garment, joints = worn.garment, worn.joints
    low = worn.edges(garment.length)
    if garment.upper:
        half, depth = NECKLINES[garment.neckline]
        x, y = joints.axis(0.835)
        nx, ny = worn.right
        u = joints.unit
        wide = half * u * max(0.4, abs(math.cos(joints.yaw)))
        down = depth if math.cos(joints.yaw) > 0 else 0.012
        front = joints.axis(0.835 - down)
        points = [(x - nx * wide, y - ny * wide), (x + nx * wide, y + ny * wide), front]
        points += _shoulders(worn)
        points += [_sleeve_end(worn, side) for side in (0, 1)]
        return [*points, *low]
    waist = worn.edges(worn.start)
    if garment.coarse == "skirt":
        return [*waist, *low]
    return [*waist, joints.axis(0.462), joints.leg_at(0, garment.length), joints.leg_at(1, garment.length)]


def landmark_names(garment: Garment) -> tuple[str, ...]:
    """Names of the key landmarks of a garment's class (a subset of DeepFashion2's; left and right of the picture,
    but sleeves and trouser legs of the body)."""
    if garment.upper:
        return LANDMARKS["upper"] + LANDMARKS["hem"]
    return LANDMARKS["waist"] + (LANDMARKS["hem"] if garment.coarse == "skirt" else LANDMARKS["legs"])


def _edge_ink(garment: Garment) -> tuple[float, float, float]:
    base = garment.print.colours[0]
    return scaled(base, 0.45) if luminance(base) > 0.15 else mixed(base, (0.5, 0.5, 0.55), 0.5)


def _side_line(a: Point, b: Point, ra: float, rb: float) -> skia.Path:
    """The edge of a limb, without its round ends."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / far, dx / far
    path = skia.Path()
    path.moveTo(a[0] + nx * ra + dx * 0.2, a[1] + ny * ra + dy * 0.2)
    path.lineTo(b[0] + nx * rb, b[1] + ny * rb)
    return path


def _sleeve_end(worn: Worn, side: int) -> Point:
    joints, cover = worn.joints, worn.garment.sleeve * (UPPER_ARM + FOREARM)
    first = min(1.0, cover / UPPER_ARM)
    a, b = joints.shoulder[side], joints.elbow[side]
    if cover > UPPER_ARM:
        first, a, b = (cover - UPPER_ARM) / FOREARM, b, joints.wrist[side]
    return a[0] + (b[0] - a[0]) * first, a[1] + (b[1] - a[1]) * first


def _shoulders(worn: Worn) -> tuple[Point, Point]:
    """Ends of the shoulder seams, left and right of the picture."""
    joints, body, u = worn.joints, worn.body, worn.joints.unit
    wide = (0.094 if body.woman else 0.110) * (0.5 + 0.5 * body.width) + 0.004 + worn.layer
    share = 1.0 if worn.garment.sleeve > 0 else 0.72 if not worn.garment.straps else 0.6
    half = math.hypot(wide * share * math.cos(joints.yaw), 0.045 * math.sin(joints.yaw)) * u
    x, y = joints.axis(0.812 + worn.layer * 0.5)
    nx, ny = worn.right
    return (x - nx * half, y - ny * half), (x + nx * half, y + ny * half)


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
        shoulder_left, shoulder_right = _shoulders(worn)
        x, y = joints.axis(0.842)
        path.moveTo(x - nx * wide, y - ny * wide)
        path.lineTo(*shoulder_left)
        inner = (shoulder_left[0] * 0.6 + left[0][0] * 0.4 + nx * 0.012 * u, (shoulder_left[1] + left[0][1]) / 2)
        path.quadTo(*(inner if garment.sleeve == 0 else shoulder_left), *left[0])
    smooth(path, left)
    _hem(path, worn, left[-1], right[-1])
    smooth(path, right[::-1])
    if garment.straps:
        _neckline(path, worn, right[0], left[0], depth * 0.55)
    else:
        inner = (shoulder_right[0] * 0.6 + right[0][0] * 0.4 - nx * 0.012 * u, (shoulder_right[1] + right[0][1]) / 2)
        path.quadTo(*(inner if garment.sleeve == 0 else shoulder_right), *shoulder_right)
        path.lineTo(x + nx * wide, y + ny * wide)
        _neckline(path, worn, (x + nx * wide, y + ny * wide), (x - nx * wide, y - ny * wide), depth)
    path.close()
    return path


def _neckline(path: skia.Path, worn: Worn, start: Point, end: Point, depth: float) -> None:
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
        pieces.append(Piece(path, flat(worn.garment.print.colours[0]), worn.owner))
    return pieces


def _band(a: Point, b: Point, half: float) -> list[Point]:
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / far * half, dx / far * half
    return [(a[0] + nx, a[1] + ny), (b[0] + nx, b[1] + ny), (b[0] - nx, b[1] - ny), (a[0] - nx, a[1] - ny)]


# Collars: corners as (side, down), in half widths of the neckline and body heights; drawn for both sides in front.
_BACK = ((-1.1, 0.006), (-1.0, -0.018), (1.0, -0.018), (1.1, 0.006), (0.0, 0.014))
_SHIRT = ((0.9, -0.02), (1.45, 0.016), (0.75, 0.048), (0.0, 0.036))
_LAPEL = ((0.95, -0.02), (1.7, 0.06), (1.25, 0.075), (1.35, 0.09), (0.18, 0.14), (0.55, 0.06))
_HOOD = ((-1.5, 0.0), (-1.0, -0.035), (1.0, -0.035), (1.5, 0.0), (1.1, 0.075), (0.0, 0.1), (-1.1, 0.075))


def _collar(worn: Worn) -> list[Piece]:
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
    ink = stroke(_edge_ink(garment), max(0.6, 0.002 * u), 0.6)
    cloth = flat(scaled(garment.print.colours[0], 0.9))
    pieces = []
    for points in shapes:
        path = polygon(points)
        pieces += [Piece(path, cloth, worn.owner), Piece(path, ink, worn.owner, solid=False)]
    return pieces


def _hood_back(worn: Worn, corners: Sequence[Point]) -> list[Piece]:
    path = blob(corners)
    ink = stroke(_edge_ink(worn.garment), max(0.6, 0.002 * worn.joints.unit), 0.6)
    cloth = flat(scaled(worn.garment.print.colours[0], 0.88))
    return [Piece(path, cloth, worn.owner), Piece(path, ink, worn.owner, solid=False)]


def _cords(worn: Worn, ends: Sequence[Point]) -> list[Piece]:
    (x0, y0), (x1, y1) = ends
    middle = worn.joints.axis(0.842)[0]
    path = skia.Path()
    for mirror in (1, -1):
        path.moveTo(middle + mirror * (x0 - middle), y0)
        path.lineTo(middle + mirror * (x1 - middle), y1)
    return [Piece(path, stroke((0.92, 0.92, 0.9), max(0.8, 0.004 * worn.joints.unit)), worn.owner, solid=False)]


def _ribbed_neck(worn: Worn, x: float, y: float, nx: float, wide: float, depth: float) -> list[Piece]:
    look = worn.garment.print
    path = skia.Path()
    path.moveTo(x + nx * wide, y)
    _neckline(path, worn, (x + nx * wide, y), (x - nx * wide, y), depth)
    colour = look.colours[1] if look.turned > 0.8 else scaled(look.colours[0], 0.78)
    return [Piece(path, stroke(colour, max(0.8, 0.008 * worn.joints.unit)), worn.owner, solid=False)]
