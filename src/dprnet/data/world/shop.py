"""Shop photos: a garment alone on white, and worn by a model before a plain wall."""

from __future__ import annotations

import numpy as np
import skia

from dprnet.core.records import Image
from dprnet.data.world.cloth import pieces_under, seat_pieces, trunk_pieces
from dprnet.data.world.colours import SKIN, scaled
from dprnet.data.world.fabric import Fabric, make_fabric
from dprnet.data.world.figure import Body, joints_of
from dprnet.data.world.garments import Garment, draw_garment
from dprnet.data.world.limbs import leg_pieces, sleeve_pieces
from dprnet.data.world.paints import fill
from dprnet.data.world.person import Dressed, person_pieces, wear
from dprnet.data.world.poses import POSES, Pose
from dprnet.data.world.seeds import between, chance, rng_of
from dprnet.data.world.shapes import Light, Piece, blob
from dprnet.data.world.worn import Worn

MANNEQUIN = Body(True, 1.0, (0.88, 0.87, 0.85), (0, 0, 0), "bald", (0.88, 0.87, 0.85), "low", 1.0, bare=True)
SIZE = 384
"""Longer side of a shop photo in pixels (ours)."""


def hung_pieces(
    garment: Garment,
    fabric: Fabric,
    shoulders: tuple[float, float],
    unit: float,
    owner: int,
    light: Light,
    yaw: float = 0.0,
) -> tuple[Worn, list[Piece]]:
    """A garment that nobody wears, with its shoulders (or waist) at a point of the screen."""
    arms = 0.25 if garment.sleeve > 0.6 else 0.45
    pose = Pose(
        arm_out=(arms, arms),
        arm_fore=(0, 0),
        hand_out=(arms * 0.8, arms * 0.8),
        hand_fore=(0, 0),
        leg_out=(0.09, 0.09),
        knee=(0, 0),
    )
    top = 0.82 if garment.upper else 0.62
    joints = joints_of(MANNEQUIN, pose, yaw, (shoulders[0], shoulders[1] + top * unit), unit)
    worn = Worn(garment, fabric, MANNEQUIN, joints, light, owner)
    pieces: list[Piece] = []
    if garment.upper:
        x, y = joints.axis(0.835)
        inner = blob(
            [
                (x - 0.05 * unit, y - 0.006 * unit),
                (x + 0.05 * unit, y - 0.006 * unit),
                (x + 0.06 * unit, y + 0.07 * unit),
                (x - 0.06 * unit, y + 0.07 * unit),
            ]
        )
        if not garment.straps:
            pieces.append(Piece(inner, fill(scaled(garment.print.colours[0], 0.6)), owner))
        if garment.front == "open":
            left, right = worn.edges(0.7)
            low, high = worn.edges(garment.length + 0.03)
            lining = blob([left, right, high, low])
            pieces.append(Piece(lining, fill(scaled(garment.print.colours[0], 0.55)), owner))
        pieces += pieces_under(worn)
        for side in (0, 1):
            pieces += sleeve_pieces(worn, side)
        return worn, [*pieces, *trunk_pieces(worn)]
    if garment.coarse == "skirt":
        return worn, trunk_pieces(worn)
    for side in (0, 1):
        pieces += leg_pieces(worn, side)
    return worn, [*pieces, *seat_pieces(worn)]


def shop_photo(garment: Garment, item_id: str, kind: str) -> Image:
    """A photo of a garment: ``flat``, ``back`` (flat, from behind) or ``worn``; uint8 RGB."""
    rng = rng_of("photo", item_id, kind)
    light = Light(between(rng, -0.5, 0.5), between(rng, 0.72, 0.85))
    if kind == "worn":
        pieces = _model(garment, item_id, light)
    else:
        yaw = np.pi if kind == "back" else 0.0
        fabric = make_fabric(garment, 700, int(rng.integers(2**31)))
        _, pieces = hung_pieces(garment, fabric, (0.0, 0.0), 700, 0, light, yaw)
    bounds = _bounds([piece for piece in pieces if piece.owner == 0])
    wall = (1.0, 1.0, 1.0) if chance(rng, 0.6) or kind != "worn" else (between(rng, 0.75, 0.97),) * 3
    margin = between(rng, 0.04, 0.14) * max(bounds.width(), bounds.height())
    bounds.outset(margin, margin)
    factor = SIZE / max(bounds.width(), bounds.height())
    width, height = round(bounds.width() * factor), round(bounds.height() * factor)
    pixels = np.zeros((height, width, 4), np.uint8)
    canvas = skia.Surface(pixels).getCanvas()
    canvas.clear(skia.Color4f(*wall, 1).toColor())
    canvas.scale(factor, factor)
    canvas.translate(-bounds.left(), -bounds.top())
    for piece in pieces:
        piece.draw(canvas)
    return np.ascontiguousarray(pixels[..., :3])


def _model(garment: Garment, item_id: str, light: Light) -> list[Piece]:
    """A model in the garment, and in plain things beside it."""
    rng = rng_of("model", item_id)
    body = Body.draw(rng)
    names = ["model", "stand", "hip", "pockets", "apart"]
    outfit = [garment]
    if garment.coarse == "outerwear":
        outfit = [_plain(item_id, "top"), garment]
    if garment.upper and garment.coarse != "dress":
        outfit.insert(0, _plain(item_id, "trousers"))
    elif not garment.upper:
        outfit.append(_plain(item_id, "top"))
    joints = joints_of(body, POSES[names[int(rng.integers(len(names)))]], between(rng, -0.35, 0.35), (0, 0), 700)
    dressed = [
        Dressed(g, make_fabric(g, 700, int(rng.integers(2**31))), 0 if g is garment else k + 1)
        for k, g in enumerate(outfit)
    ]
    tucked = not garment.upper or chance(rng, 0.2)
    worn = wear(dressed, body, joints, light, tucked and garment.coarse != "top")
    return person_pieces(worn, body, joints, light, tucked and garment.coarse != "top")


def _plain(item_id: str, coarse: str) -> Garment:
    """Something that nobody looks at: plain, in a quiet colour."""
    from dataclasses import replace

    rng = rng_of("beside", item_id, coarse)
    grey = ("white", "black", "grey", "beige", "denim")[int(rng.integers(5))]
    garment = draw_garment("beside", item_id, coarse=coarse)
    from dprnet.data.world.colours import CLOTH

    colour = CLOTH[grey][0]
    look = replace(garment.print, kind="plain", names=(grey, grey, grey), colours=(colour, colour, colour))
    return replace(garment, print=look)


def _bounds(pieces: list[Piece]) -> skia.Rect:
    bounds = pieces[0].path.getBounds()
    for piece in pieces[1:]:
        bounds.join(piece.path.getBounds())
    return bounds


_ = SKIN
