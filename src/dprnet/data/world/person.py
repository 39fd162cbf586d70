"""A dressed person as a painter's list: skin, hair, shoes and garments in the order in which they cover each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import skia

from dprnet.data.world.cloth import (
    Worn,
    leg_pieces,
    pieces_under,
    seat_pieces,
    sleeve_pieces,
    trunk_pieces,
)
from dprnet.data.world.colours import Colour, scaled
from dprnet.data.world.fabric import Fabric
from dprnet.data.world.figure import Body, Joints, Point
from dprnet.data.world.garments import Garment
from dprnet.data.world.shapes import Light, Piece, blob, flat, polygon, skin_paint, stroke, tube


@dataclass(frozen=True)
class Dressed:
    """A garment as part of an outfit."""

    garment: Garment
    fabric: Fabric
    owner: int


def wear(outfit: Sequence[Dressed], body: Body, joints: Joints, light: Light, tucked: bool) -> list[Worn]:
    """The outfit on a body, innermost first."""
    inner = next((d for d in outfit if d.garment.coarse in {"top", "dress"}), None)
    found = []
    for d in outfit:
        worn = Worn(d.garment, d.fabric, body, joints, light, d.owner)
        if d.garment.coarse == "outerwear":
            worn = replace(worn, layer=0.008 if inner is None else 0.008 + inner.garment.ease * 0.6)
        elif not d.garment.upper and inner is not None and not tucked:
            worn = replace(worn, start=min(0.62, max(inner.garment.length + 0.012, d.garment.length + 0.03)))
        if tucked and d.garment.coarse == "top":
            short = replace(d.garment, length=max(0.6, d.garment.length), flare=1.0)
            worn = replace(worn, garment=short)
        found.append(worn)
    return found


def person_pieces(worn: Sequence[Worn], body: Body, joints: Joints, light: Light, tucked: bool) -> list[Piece]:
    """Everything of one person, from back to front."""
    lower = [w for w in worn if not w.garment.upper]
    upper = [w for w in worn if w.garment.upper]
    back = math.cos(joints.yaw) < 0
    behind = [side for side in (0, 1) if joints.arm_depth[side] < -0.035]
    before = [side for side in (0, 1) if side not in behind]
    pieces: list[Piece] = []
    if not back:
        pieces += _hair_behind(body, joints)
    for side in behind:
        pieces += _arm(upper, body, joints, light, side)
    for w in upper:
        pieces += pieces_under(w)
    for side in sorted((0, 1), key=lambda s: joints.leg_depth[s]):
        pieces += _leg(body, joints, light, side)
        for w in lower:
            if w.garment.coarse != "skirt":
                pieces += leg_pieces(w, side)
    pieces += _trunk(body, joints, light)
    bottoms = [p for w in lower for p in (trunk_pieces(w) if w.garment.coarse == "skirt" else seat_pieces(w))]
    tops = [p for w in upper if w.garment.coarse != "outerwear" for p in trunk_pieces(w)]
    pieces += tops + bottoms if tucked else bottoms + tops
    pieces += [p for w in upper if w.garment.coarse == "outerwear" for p in trunk_pieces(w)]
    head = _head(body, joints, light)
    if back:
        pieces += head + _hair_behind(body, joints)
    for side in sorted(before, key=lambda s: joints.arm_depth[s]):
        pieces += _arm(upper, body, joints, light, side)
    return pieces if back else pieces + head


def _limb(colour: Colour, light: Light, a: Point, b: Point, ra: float, rb: float) -> Piece:
    return Piece(tube(a, b, ra, rb), skin_paint(colour, light, a, b, max(ra, rb)))


def _arm(upper: Sequence[Worn], body: Body, joints: Joints, light: Light, side: int) -> list[Piece]:
    u, w = joints.unit, body.width**0.5
    a, b, c, d = joints.shoulder[side], joints.elbow[side], joints.wrist[side], joints.hand[side]
    pieces = [
        _limb(body.skin, light, c, (c[0] + (d[0] - c[0]) * 0.72, c[1] + (d[1] - c[1]) * 0.72), 0.014 * u, 0.018 * u),
        _limb(body.skin, light, b, c, 0.023 * u * w, 0.015 * u * w),
        _limb(body.skin, light, a, b, 0.029 * u * w, 0.023 * u * w),
    ]
    thumb = (
        c[0] + (d[0] - c[0]) * 0.55 + 0.02 * u * (1 if d[0] < joints.pelvis[0] else -1),
        c[1] + (d[1] - c[1]) * 0.6,
    )
    pieces.insert(0, _limb(body.skin, light, c, thumb, 0.009 * u, 0.006 * u))
    sleeved = [w for w in upper if w.garment.sleeve > 0]
    for worn in sleeved:
        pieces += sleeve_pieces(worn, side)
    return pieces


def _leg(body: Body, joints: Joints, light: Light, side: int) -> list[Piece]:
    u, w = joints.unit, body.width
    hip, knee, ankle, toe = joints.hip[side], joints.knee[side], joints.ankle[side], joints.toe[side]
    calf = (knee[0] * 0.7 + ankle[0] * 0.3, knee[1] * 0.7 + ankle[1] * 0.3)
    pieces = [
        _limb(body.skin, light, knee, calf, 0.032 * u * w, 0.033 * u * w),
        _limb(body.skin, light, calf, ankle, 0.033 * u * w, 0.018 * u * w),
        _limb(body.skin, light, hip, knee, 0.051 * u * w, 0.033 * u * w),
    ]
    return pieces + _shoe(body, ankle, toe, knee, u, light)


def _shoe(body: Body, ankle: Point, toe: Point, knee: Point, u: float, light: Light) -> list[Piece]:
    heel = (ankle[0] - (toe[0] - ankle[0]) * 0.25, ankle[1] + 0.026 * u)
    tip = (toe[0], max(toe[1], ankle[1] + 0.028 * u))
    if abs(tip[0] - heel[0]) < 0.03 * u:
        tip = (tip[0], ankle[1] + 0.045 * u)
    paint = skin_paint(body.shoes, light, heel, tip, 0.024 * u)
    pieces = [Piece(tube(heel, tip, 0.024 * u, 0.02 * u), paint)]
    pieces.append(Piece(tube(ankle, heel, 0.021 * u, 0.023 * u), paint))
    if body.shoe_style == "boot":
        top = (ankle[0] + (knee[0] - ankle[0]) * 0.35, ankle[1] + (knee[1] - ankle[1]) * 0.35)
        pieces.append(
            Piece(tube(top, ankle, 0.031 * u, 0.024 * u), skin_paint(body.shoes, light, top, ankle, 0.03 * u))
        )
    if body.shoe_style == "sneaker":
        sole = [(heel[0], heel[1] + 0.016 * u), (tip[0], tip[1] + 0.014 * u)]
        path = skia.Path()
        path.moveTo(*sole[0])
        path.lineTo(*sole[1])
        pieces.append(Piece(path, stroke((0.95, 0.95, 0.93), 0.014 * u), solid=False))
    return pieces


def _trunk(body: Body, joints: Joints, light: Light) -> list[Piece]:
    u = joints.unit
    tx, ty = joints.trunk
    nx, ny = -ty, tx
    left, right = [], []
    for level in (0.83, 0.812, 0.77, 0.69, 0.635, 0.58, 0.53, 0.48):
        half = body.half(level, joints.yaw) * (0.96 if level < 0.8 else 1) * u
        x, y = joints.axis(level)
        left.append((x - nx * half, y - ny * half))
        right.append((x + nx * half, y + ny * half))
    path = blob(left + right[::-1])
    paint = skin_paint(body.skin, light, joints.neck, joints.pelvis, 0.11 * u)
    head = (joints.head[0] * 0.7 + joints.neck[0] * 0.3, joints.head[1] * 0.7 + joints.neck[1] * 0.3)
    base = joints.axis(0.82)
    neck = Piece(
        tube(base, head, 0.034 * u, 0.029 * u), skin_paint(scaled(body.skin, 0.9), light, base, head, 0.034 * u)
    )
    underwear = Piece(path, paint)
    return [underwear, neck]


def _head(body: Body, joints: Joints, light: Light) -> list[Piece]:
    u = joints.unit
    x, y = joints.head
    cos, sin = math.cos(joints.yaw), math.sin(joints.yaw)
    w, h = (0.047 + 0.006 * abs(sin)) * u, 0.068 * u
    face = blob(
        [
            (x, y - h),
            (x + w * 0.86, y - h * 0.55),
            (x + w, y),
            (x + w * 0.72, y + h * 0.6),
            (x + sin * w * 0.15, y + h),
            (x - w * 0.72, y + h * 0.6),
            (x - w, y),
            (x - w * 0.86, y - h * 0.55),
        ]
    )
    skin = skin_paint(body.skin, light, (x, y - h), (x, y + h), w * 1.1)
    pieces = []
    for s in (-1, 1):
        ear = x + s * w * abs(cos)
        if body.hair_style in {"short", "bald", "bun", "tail", "cap"} or body.bare:
            pieces.append(
                Piece(_oval(ear - sin * w * 0.2, y + h * 0.05, w * 0.16, h * 0.2), flat(scaled(body.skin, 0.85)))
            )
    pieces.append(Piece(face, skin))
    if body.bare:
        return pieces
    if cos > -0.2:
        pieces += _face(body, x, y, w, h, cos, sin)
    return pieces + _hair_above(body, x, y, w, h, cos, sin, light)


def _oval(x: float, y: float, rx: float, ry: float) -> skia.Path:
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    return path


def _face(body: Body, x: float, y: float, w: float, h: float, cos: float, sin: float) -> list[Piece]:
    middle = x + sin * w * 0.85
    dark, lips = flat((0.12, 0.09, 0.08)), flat((0.70, 0.36, 0.34) if body.woman else scaled(body.skin, 0.72))
    pieces = []
    for s in (-1, 1):
        ex = middle + s * w * 0.42 * max(0.25, cos)
        if abs(ex - x) > w * 0.95:
            continue
        pieces.append(
            Piece(_oval(ex, y - h * 0.02, w * 0.15 * max(0.4, cos), h * 0.055), flat((0.95, 0.94, 0.92)), solid=False)
        )
        pieces.append(Piece(_oval(ex, y - h * 0.02, w * 0.075, h * 0.055), dark, solid=False))
        brow = skia.Path()
        brow.moveTo(ex - w * 0.18 * max(0.4, cos), y - h * 0.15)
        brow.quadTo(ex, y - h * 0.22, ex + w * 0.18 * max(0.4, cos), y - h * 0.15)
        pieces.append(Piece(brow, stroke(scaled(body.hair, 0.8), h * 0.045), solid=False))
    nose = skia.Path()
    nose.moveTo(middle, y - h * 0.02)
    nose.lineTo(middle + (sin * 0.12 + 0.05) * w, y + h * 0.27)
    nose.lineTo(middle - 0.05 * w, y + h * 0.29)
    pieces.append(Piece(nose, stroke(scaled(body.skin, 0.75), h * 0.03), solid=False))
    pieces.append(Piece(_oval(x + sin * w * 0.7, y + h * 0.52, w * 0.26 * max(0.3, cos), h * 0.055), lips, solid=False))
    return pieces


def _hair_above(
    body: Body, x: float, y: float, w: float, h: float, cos: float, sin: float, light: Light
) -> list[Piece]:
    if body.hair_style == "bald":
        return []
    paint = skin_paint(body.hair, light, (x, y - h), (x, y + h), w * 1.3)
    if body.hair_style == "cap":
        cap = blob(
            [
                (x - w * 1.08, y - h * 0.25),
                (x - w * 0.8, y - h),
                (x, y - h * 1.22),
                (x + w * 0.8, y - h),
                (x + w * 1.08, y - h * 0.25),
            ]
        )
        peak = polygon(
            [
                (x - w * 0.8 + sin * w, y - h * 0.32),
                (x + w * 0.8 + sin * w * 1.4, y - h * 0.32),
                (x + w * 0.7 + sin * w, y - h * 0.18),
                (x - w * 0.6 + sin * w, y - h * 0.18),
            ]
        )
        colour = skin_paint(body.shoes, light, (x, y - h), (x, y + h), w * 1.3)
        return [Piece(cap, colour), *([Piece(peak, flat(scaled(body.shoes, 0.8)))] if cos > -0.3 else [])]
    puff = 1.28 if body.hair_style == "curly" else 1.12
    line = y - h * 0.42 if cos > 0 else y + h * 0.75
    shift = -sin * w * 0.35
    top = [
        (x - w * puff, y - h * 0.05),
        (x - w * puff * 0.9, y - h * 0.75),
        (x, y - h * 1.1 * (puff + 1) / 2),
        (x + w * puff * 0.9, y - h * 0.75),
        (x + w * puff, y - h * 0.05),
    ]
    inner = [
        (x + w * 0.82 + sin * w * 0.05, line + h * 0.12),
        (x + w * 0.3 + sin * w * 0.4, line - h * 0.06),
        (x - w * 0.35 + sin * w * 0.4, line + h * 0.02),
        (x - w * 0.82 + sin * w * 0.05, line + h * 0.14),
    ]
    path = blob([*top, *inner])
    pieces = [Piece(path, paint)]
    if abs(sin) > 0.5:
        side = blob(
            [
                (x + shift, y - h),
                (x - sin * w * 1.15, y - h * 0.4),
                (x - sin * w * 1.05, y + h * 0.45),
                (x - sin * w * 0.35, y + h * 0.5),
                (x - sin * w * 0.1, y - h * 0.3),
            ]
        )
        pieces.append(Piece(side, paint))
    if body.hair_style == "bun":
        pieces.append(Piece(_oval(x - sin * w * 0.9, y - h * 1.15, w * 0.5, h * 0.35), paint))
    return pieces


def _hair_behind(body: Body, joints: Joints) -> list[Piece]:
    if body.bare or body.hair_style not in {"long", "bob", "tail", "curly"}:
        return []
    u = joints.unit
    x, y = joints.head
    x -= math.sin(joints.yaw) * 0.02 * u
    drop = {"long": 0.2, "bob": 0.085, "tail": 0.19, "curly": 0.1}[body.hair_style]
    half = (0.03 if body.hair_style == "tail" else 0.064) * u
    if body.hair_style == "curly":
        half *= 1.2
    path = blob(
        [
            (x - half * 0.7, y - 0.05 * u),
            (x + half * 0.7, y - 0.05 * u),
            (x + half, y + 0.02 * u),
            (x + half * 0.95, y + drop * 0.8 * u),
            (x + half * 0.4, y + drop * u),
            (x - half * 0.4, y + drop * u),
            (x - half * 0.95, y + drop * 0.8 * u),
            (x - half, y + 0.02 * u),
        ]
    )
    return [Piece(path, flat(scaled(body.hair, 0.8)))]
