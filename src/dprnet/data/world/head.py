"""A head: face and hair from all sides."""

from __future__ import annotations

import math

import skia

from dprnet.data.world.colours import scaled
from dprnet.data.world.figure import Body, Joints
from dprnet.data.world.paints import fill, line
from dprnet.data.world.shapes import Light, Piece, blob, polygon, skin_paint


def head_pieces(body: Body, joints: Joints, light: Light) -> list[Piece]:
    """Head and neck with what is on them, from this side."""
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
                Piece(_oval(ear - sin * w * 0.2, y + h * 0.05, w * 0.16, h * 0.2), fill(scaled(body.skin, 0.85)))
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
    dark, lips = fill((0.12, 0.09, 0.08)), fill((0.70, 0.36, 0.34) if body.woman else scaled(body.skin, 0.72))
    pieces = []
    for s in (-1, 1):
        ex = middle + s * w * 0.42 * max(0.25, cos)
        if abs(ex - x) > w * 0.95:
            continue
        pieces.append(
            Piece(_oval(ex, y - h * 0.02, w * 0.15 * max(0.4, cos), h * 0.055), fill((0.95, 0.94, 0.92)), solid=False)
        )
        pieces.append(Piece(_oval(ex, y - h * 0.02, w * 0.075, h * 0.055), dark, solid=False))
        brow = skia.Path()
        brow.moveTo(ex - w * 0.18 * max(0.4, cos), y - h * 0.15)
        brow.quadTo(ex, y - h * 0.22, ex + w * 0.18 * max(0.4, cos), y - h * 0.15)
        pieces.append(Piece(brow, line(scaled(body.hair, 0.8), h * 0.045), solid=False))
    nose = skia.Path()
    nose.moveTo(middle, y - h * 0.02)
    nose.lineTo(middle + (sin * 0.12 + 0.05) * w, y + h * 0.27)
    nose.lineTo(middle - 0.05 * w, y + h * 0.29)
    pieces.append(Piece(nose, line(scaled(body.skin, 0.75), h * 0.03), solid=False))
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
        return [Piece(cap, colour), *([Piece(peak, fill(scaled(body.shoes, 0.8)))] if cos > -0.3 else [])]
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


def hair_behind(body: Body, joints: Joints) -> list[Piece]:
    """Hair that hangs behind the trunk, seen from the front."""
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
    return [Piece(path, fill(scaled(body.hair, 0.8)))]
