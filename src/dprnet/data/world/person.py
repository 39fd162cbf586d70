"""A dressed person as a painter's list: skin, hair, shoes and garments in the order in which they cover each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import skia

from dprnet.data.world.cloth import pieces_under, seat_pieces, trunk_pieces
from dprnet.data.world.colours import Colour, scaled
from dprnet.data.world.fabric import Fabric
from dprnet.data.world.figure import Body, Joints, Point
from dprnet.data.world.garments import Garment
from dprnet.data.world.head import hair_behind, head_pieces
from dprnet.data.world.limbs import leg_pieces, sleeve_pieces
from dprnet.data.world.paints import line
from dprnet.data.world.shapes import Light, Piece, blob, skin_paint, tube
from dprnet.data.world.worn import Worn


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
        pieces += hair_behind(body, joints)
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
    head = head_pieces(body, joints, light)
    if back:
        pieces += head + hair_behind(body, joints)
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
        pieces.append(Piece(path, line((0.95, 0.95, 0.93), 0.014 * u), solid=False))
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
