"""Backdrops inside: rooms and shops."""

from __future__ import annotations

import math
from collections.abc import Callable

import skia

from dprnet.data.world.colours import jitter, mixed, scaled
from dprnet.data.world.painting import HIGH, LEFT, LOW, RIGHT, any_colour, closed_path, draw_box, draw_floor, draw_sheet
from dprnet.data.world.paints import fill, line
from dprnet.data.world.seeds import Rng, between, chance, choose


def paint_room(canvas: skia.Canvas, rng: Rng) -> None:
    """A room with furniture along its wall."""
    wall = any_colour(rng, 0.4)
    draw_box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, wall)
    meet = between(rng, 0.05, 0.25)
    draw_floor(canvas, rng, mixed(any_colour(rng, 0.3), (0.5, 0.36, 0.24), 0.5), meet)
    draw_box(canvas, LEFT, meet, RIGHT - LEFT, 0.06, mixed(wall, (1, 1, 1), 0.6))
    for _ in range(int(rng.integers(2, 7))):
        x = between(rng, LEFT, RIGHT - 0.5)
        thing = choose(
            rng,
            {
                "picture": 3.0,
                "window": 2.0,
                "door": 1.0,
                "sofa": 2.0,
                "shelf": 2.0,
                "plant": 2.0,
                "curtain": 2.0,
                "lamp": 1.0,
            },
        )
        _FURNITURE[thing](canvas, rng, x, meet)


def _picture(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    w, h, y = between(rng, 0.2, 0.6), between(rng, 0.25, 0.6), between(rng, 0.7, 1.1)
    draw_box(canvas, x - 0.02, y - 0.02, w + 0.04, h + 0.04, (0.15, 0.12, 0.1))
    draw_sheet(canvas, rng, x, y, w, h)


def _window(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    w, h, y = between(rng, 0.5, 0.9), between(rng, 0.6, 1.0), between(rng, 0.5, 0.8)
    draw_box(canvas, x - 0.03, y - 0.03, w + 0.06, h + 0.06, (0.93, 0.93, 0.92))
    draw_box(canvas, x, y, w, h, mixed((0.7, 0.85, 0.97), (1, 1, 1), between(rng, 0, 0.8)))
    draw_box(canvas, x + w / 2 - 0.015, y, 0.03, h, (0.93, 0.93, 0.92))


def _door(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    colour = any_colour(rng, 0.4)
    draw_box(canvas, x, meet, 0.5, 1.15, colour)
    for y in (0.12, 0.65):
        canvas.drawRect(skia.Rect.MakeXYWH(x + 0.08, meet + y, 0.34, 0.4), line(scaled(colour, 0.8), 0.015))


def _sofa(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    colour, w = any_colour(rng, 0.8), between(rng, 0.8, 1.5)
    for dx, dy, bw, bh, shade in (
        (0, -0.08, w, 0.32, 0.8),
        (0.05, 0.12, w - 0.1, 0.3, 1.0),
        (-0.06, -0.08, 0.14, 0.42, 0.9),
        (w - 0.08, -0.08, 0.14, 0.42, 0.9),
    ):
        canvas.drawRoundRect(skia.Rect.MakeXYWH(x + dx, meet + dy, bw, bh), 0.05, 0.05, fill(scaled(colour, shade)))
    if chance(rng, 0.6):
        draw_sheet(canvas, rng, x + w * 0.3, meet + 0.18, 0.22, 0.2)


def _shelf(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    wood, w = mixed(any_colour(rng, 0.2), (0.45, 0.32, 0.2), 0.6), between(rng, 0.5, 1.0)
    draw_box(canvas, x, meet, w, 1.25, scaled(wood, 0.6))
    for k in range(4):
        y, at = meet + 0.03 + k * 0.3, x + 0.03
        while at < x + w - 0.1:
            bw = between(rng, 0.025, 0.16)
            draw_box(canvas, at, y, bw * 0.92, between(rng, 0.1, 0.25), any_colour(rng, 0.9))
            at += bw
        draw_box(canvas, x, y - 0.03, w, 0.03, wood)


def _plant(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    draw_box(canvas, x - 0.09, meet - 0.1, 0.18, 0.18, any_colour(rng, 0.8))
    leaf = jitter(rng, (0.18, 0.42, 0.2), 0.06, 0.3, 0.12)
    for _ in range(14):
        angle, far = between(rng, 0.5, 2.64), between(rng, 0.2, 0.55)
        tip = (x + math.cos(angle) * far, meet + 0.08 + math.sin(angle) * far)
        canvas.drawLine(x, meet + 0.08, *tip, line(scaled(leaf, between(rng, 0.7, 1.3)), between(rng, 0.03, 0.07)))


def _curtain(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    draw_sheet(canvas, rng, x, meet + 0.02, between(rng, 0.3, 0.7), 1.6)


def _lamp(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    draw_box(canvas, x, meet, 0.02, 1.0, (0.2, 0.2, 0.2))
    canvas.drawPath(
        closed_path([(x - 0.14, meet + 0.95), (x + 0.16, meet + 0.95), (x + 0.09, meet + 1.2), (x - 0.07, meet + 1.2)]),
        fill((0.98, 0.92, 0.75)),
    )


def paint_shop(canvas: skia.Canvas, rng: Rng) -> None:
    """A shop with shelves of boxes."""
    wall = mixed(any_colour(rng, 0.3), (0.9, 0.88, 0.85), 0.5)
    draw_box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, wall)
    draw_floor(canvas, rng, any_colour(rng, 0.2), 0.2)
    x = LEFT
    while x < RIGHT:
        _shelf(canvas, rng, x, 0.2)
        x += between(rng, 0.9, 1.7)
    for _ in range(6):
        canvas.drawCircle(between(rng, LEFT, RIGHT), between(rng, 1.7, 2.4), 0.05, fill((1, 0.98, 0.9)))
    if chance(rng, 0.6):
        x = between(rng, LEFT, RIGHT - 1)
        draw_box(canvas, x, -0.2, 1.2, 0.5, any_colour(rng, 0.4))
        for k in range(5):
            draw_box(canvas, x + 0.05 + k * 0.23, 0.3, 0.18, between(rng, 0.04, 0.18), any_colour(rng, 1.0))


_FURNITURE: dict[str, Callable[[skia.Canvas, Rng, float, float], None]] = {
    "picture": _picture,
    "window": _window,
    "door": _door,
    "sofa": _sofa,
    "shelf": _shelf,
    "plant": _plant,
    "curtain": _curtain,
    "lamp": _lamp,
}
