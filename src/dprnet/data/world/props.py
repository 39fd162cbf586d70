"""What covers garments and is none: bags, phones, cups, plants, tables, posts."""

from __future__ import annotations

import math

import skia

from dprnet.data.world.colours import Colour, pick_name, scaled, shade_of
from dprnet.data.world.figure import Body, Joints
from dprnet.data.world.paints import fill, line
from dprnet.data.world.seeds import between, rng_of
from dprnet.data.world.shapes import Light, Piece, blob, polygon, skin_paint

BAGS = {"": 10.0, "shoulder": 3.0, "tote": 2.0, "backpack": 1.5, "phone": 1.5, "book": 1.0, "scarf": 1.5, "cross": 2.0}
PROPS = {"plant": 2.0, "table": 2.0, "post": 1.0, "blob": 2.0, "box": 2.0}


def carried(kind: str, body: Body, joints: Joints, light: Light, seed: int) -> tuple[list[Piece], list[Piece]]:
    """What a person carries: pieces behind the body and pieces in front of it."""
    if not kind:
        return [], []
    rng = rng_of("bag", seed)
    colour = shade_of(rng, pick_name(rng))
    u = joints.unit
    cos = math.cos(joints.yaw)
    hand = joints.hand[0 if seed % 2 else 1]
    if kind == "tote":
        x, y = hand
        return [], _bag(colour, light, x, y + 0.07 * u, 0.1 * u, 0.13 * u, (x, y))
    if kind == "phone":
        x, y = joints.hand[seed % 2]
        return [], [Piece(_box(x - 0.022 * u, y - 0.05 * u, 0.044 * u, 0.085 * u), fill((0.08, 0.08, 0.09)))]
    if kind == "book":
        x, y = hand
        w = between(rng, 0.06, 0.12) * u
        return [], [Piece(_box(x - w / 2, y - 0.08 * u, w, 0.13 * u), fill(colour))]
    if kind == "scarf":
        return [], _scarf(colour, joints)
    if kind == "backpack":
        x, y = joints.axis(0.70)
        pack = Piece(
            blob(
                [
                    (x - 0.085 * u, y - 0.11 * u),
                    (x + 0.085 * u, y - 0.11 * u),
                    (x + 0.095 * u, y + 0.12 * u),
                    (x - 0.095 * u, y + 0.12 * u),
                ]
            ),
            skin_paint(colour, light, (x, y - u), (x, y + u), 0.11 * u),
        )
        if cos < 0:
            return [], [pack]
        straps = [_strap(scaled(colour, 0.8), joints, s, u) for s in (-1, 1)]
        return [pack], straps
    side = 1 if seed % 2 else -1
    x, y = joints.axis(0.55)
    nx = -joints.trunk[1]
    at = x + side * nx * 0.1 * u * max(0.4, abs(cos))
    top = joints.axis(0.825)
    from_side = -side if kind == "cross" else side
    bag = _bag(colour, light, at, y + 0.02 * u, 0.07 * u, 0.085 * u, (top[0] + from_side * nx * 0.06 * u, top[1]))
    return (bag, []) if cos < -0.3 and kind == "shoulder" else ([], bag)


def _box(x: float, y: float, w: float, h: float) -> skia.Path:
    return polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])


def _bag(
    colour: Colour, light: Light, x: float, y: float, half: float, high: float, hold: tuple[float, float]
) -> list[Piece]:
    shape = blob(
        [(x - half * 0.8, y - high * 0.5), (x + half * 0.8, y - high * 0.5), (x + half, y + high), (x - half, y + high)]
    )
    handle = skia.Path()
    for s in (-1, 1):
        handle.moveTo(*hold)
        handle.lineTo(x + s * half * 0.6, y - high * 0.45)
    paint = skin_paint(colour, light, (x, y - high), (x, y + high), half)
    strap = Piece(handle, line(scaled(colour, 0.7), max(1.0, half * 0.14)))
    return [
        strap,
        Piece(shape, paint),
        Piece(_box(x - half * 0.15, y, half * 0.3, high * 0.12), fill((0.8, 0.7, 0.4)), solid=False),
    ]


def _strap(colour: Colour, joints: Joints, side: int, u: float) -> Piece:
    top, low = joints.axis(0.825), joints.axis(0.64)
    path = skia.Path()
    path.moveTo(top[0] + side * 0.06 * u, top[1])
    path.quadTo(top[0] + side * 0.07 * u, (top[1] + low[1]) / 2, low[0] + side * 0.088 * u, low[1])
    return Piece(path, line(colour, max(1.0, 0.018 * u)))


def _scarf(colour: Colour, joints: Joints) -> list[Piece]:
    u = joints.unit
    x, y = joints.axis(0.84)
    ring = blob(
        [
            (x - 0.06 * u, y - 0.015 * u),
            (x + 0.06 * u, y - 0.015 * u),
            (x + 0.065 * u, y + 0.03 * u),
            (x, y + 0.045 * u),
            (x - 0.065 * u, y + 0.03 * u),
        ]
    )
    pieces = [Piece(ring, fill(colour)), Piece(ring, line(scaled(colour, 0.7), max(0.7, 0.003 * u)), solid=False)]
    if math.cos(joints.yaw) > 0:
        end = polygon(
            [
                (x + 0.01 * u, y + 0.03 * u),
                (x + 0.05 * u, y + 0.03 * u),
                (x + 0.055 * u, y + 0.2 * u),
                (x + 0.015 * u, y + 0.2 * u),
            ]
        )
        pieces.insert(0, Piece(end, fill(scaled(colour, 0.9))))
    return pieces


def foreground(kind: str, x: float, bottom: float, size: float, seed: int, light: Light) -> list[Piece]:
    """A thing between the camera and the people, standing at the lower edge of the frame (``bottom``)."""
    rng = rng_of("prop", seed)
    colour = shade_of(rng, pick_name(rng))
    if kind == "post":
        w = size * 0.12
        return [Piece(_box(x - w / 2, -5, w, bottom + 10), skin_paint(colour, light, (x, 0), (x, bottom), w / 2))]
    if kind == "plant":
        leaf = (0.16, 0.36, 0.17)
        pieces = []
        for _ in range(16):
            angle, far = between(rng, 0.4, 2.7), size * between(rng, 0.5, 1.0)
            tip = (x + math.cos(angle) * far * 0.6, bottom - math.sin(angle) * far)
            side = size * 0.05
            path = blob(
                [
                    (x, bottom),
                    ((x + tip[0]) / 2 - side, (bottom + tip[1]) / 2),
                    tip,
                    ((x + tip[0]) / 2 + side, (bottom + tip[1]) / 2),
                ]
            )
            pieces.append(Piece(path, fill(scaled(leaf, between(rng, 0.7, 1.5)))))
        return pieces
    if kind == "table":
        top = _box(x - size * 0.9, bottom - size * 0.6, size * 1.8, size * 0.1)
        pieces = [
            Piece(top, fill(colour)),
            Piece(_box(x - size * 0.8, bottom - size * 0.5, size * 1.6, size), fill(scaled(colour, 0.7))),
        ]
        cup = _box(x - size * 0.1, bottom - size * 0.72, size * 0.12, size * 0.13)
        return [*pieces, Piece(cup, fill((0.95, 0.95, 0.93)))]
    if kind == "box":
        turn = between(rng, -0.1, 0.1) * size
        path = polygon(
            [
                (x - size * 0.4, bottom - size * 0.7 + turn),
                (x + size * 0.4, bottom - size * 0.7 - turn),
                (x + size * 0.4, bottom + 9),
                (x - size * 0.4, bottom + 9),
            ]
        )
        return [Piece(path, skin_paint(colour, light, (x, 0), (x, bottom), size * 0.5))]
    points = [
        (
            x + math.cos(k) * size * between(rng, 0.3, 0.55),
            bottom - size * 0.3 + math.sin(k) * size * between(rng, 0.3, 0.6),
        )
        for k in range(6)
    ]
    return [Piece(blob(points), fill(colour))]
