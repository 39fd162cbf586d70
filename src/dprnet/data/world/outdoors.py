"""Backdrops outside: streets and parks."""

from __future__ import annotations

import math

import skia

from dprnet.data.world.colours import jitter, mixed, scaled
from dprnet.data.world.painting import HIGH, LEFT, LOW, RIGHT, any_colour, closed_path, draw_box, draw_floor
from dprnet.data.world.paints import fill
from dprnet.data.world.seeds import Rng, between, chance, rng_of


def paint_street(canvas: skia.Canvas, rng: Rng) -> None:
    """A street with houses, trees and cars."""
    sky = mixed((0.62, 0.76, 0.92), (0.85, 0.85, 0.87), between(rng, 0, 1))
    draw_box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, sky)
    x = LEFT
    while x < RIGHT:
        w, h = between(rng, 0.6, 1.6), between(rng, 1.2, 3.6)
        colour = mixed(any_colour(rng, 0.4), (0.6, 0.48, 0.4), between(rng, 0, 0.6))
        draw_box(canvas, x, 0, w, h, colour)
        glass = mixed((0.2, 0.25, 0.32), (0.75, 0.8, 0.85), float(rng.random()))
        step = between(rng, 0.22, 0.4)
        for column in range(int(w / step)):
            for row in range(1, int(h / 0.42) + 1):
                draw_box(
                    canvas,
                    x + (column + 0.25) * step,
                    row * 0.42 + 0.12,
                    step * 0.5,
                    0.24,
                    scaled(glass, between(rng, 0.8, 1.2)),
                )
        if chance(rng, 0.6):
            _front(canvas, rng, x, w)
        x += w
    draw_floor(canvas, rng, mixed(any_colour(rng, 0.1), (0.55, 0.55, 0.55), 0.6), between(rng, 0.05, 0.3))
    for _ in range(int(rng.integers(0, 4))):
        _tree(canvas, rng, between(rng, LEFT, RIGHT), 0.1)
    if chance(rng, 0.5):
        _car(canvas, rng, between(rng, LEFT, RIGHT))


def _front(canvas: skia.Canvas, rng: Rng, x: float, w: float) -> None:
    draw_box(
        canvas, x + 0.06, 0.05, w - 0.12, 0.75, mixed((0.15, 0.17, 0.2), (0.95, 0.88, 0.7), float(rng.random()) * 0.7)
    )
    sign = any_colour(rng, 1.0)
    draw_box(canvas, x + 0.03, 0.82, w - 0.06, 0.16, sign)
    for k in range(int(rng.integers(3, 8))):
        draw_box(canvas, x + 0.15 + k * 0.08, 0.86, 0.05, 0.08, mixed(sign, (1, 1, 1), 0.8))
    for _ in range(4):
        draw_box(
            canvas,
            between(rng, x + 0.1, x + w - 0.25),
            0.08,
            between(rng, 0.06, 0.2),
            between(rng, 0.1, 0.4),
            any_colour(rng, 0.9),
        )


def _tree(canvas: skia.Canvas, rng: Rng, x: float, y: float) -> None:
    draw_box(canvas, x - 0.04, y - 0.05, 0.08, 0.9, (0.3, 0.23, 0.17))
    leaf = jitter(rng, (0.25, 0.42, 0.2), 0.07, 0.3, 0.12)
    for _ in range(40):
        angle, far = between(rng, 0, 6.3), between(rng, 0, 0.55)
        ink = fill(scaled(leaf, between(rng, 0.6, 1.35)))
        canvas.drawCircle(x + math.cos(angle) * far, y + 1.25 + math.sin(angle) * far, between(rng, 0.06, 0.16), ink)


def _car(canvas: skia.Canvas, rng: Rng, x: float) -> None:
    colour = any_colour(rng, 1.0)
    canvas.drawRoundRect(skia.Rect.MakeXYWH(x, 0.05, 1.6, 0.28), 0.08, 0.08, fill(colour))
    canvas.drawPath(
        closed_path([(x + 0.25, 0.3), (x + 1.35, 0.3), (x + 1.1, 0.52), (x + 0.5, 0.52)]), fill((0.15, 0.18, 0.22))
    )
    for dx in (0.35, 1.25):
        canvas.drawCircle(x + dx, 0.06, 0.14, fill((0.08, 0.08, 0.08)))


def paint_park(canvas: skia.Canvas, rng: Rng) -> None:
    """A park: sky, hedge, grass."""
    draw_box(
        canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, mixed((0.6, 0.76, 0.93), (0.93, 0.93, 0.93), float(rng.random()))
    )
    hedge = jitter(rng, (0.24, 0.38, 0.2), 0.06, 0.3, 0.1)
    for _ in range(140):
        ink = fill(scaled(hedge, between(rng, 0.6, 1.4)))
        canvas.drawCircle(between(rng, LEFT, RIGHT), between(rng, 0.1, 0.9), between(rng, 0.05, 0.22), ink)
    draw_floor(canvas, rng_of("lawn", int(rng.integers(99))), jitter(rng, (0.42, 0.5, 0.28), 0.08, 0.5, 0.1), 0.2)
    for _ in range(int(rng.integers(2, 7))):
        _tree(canvas, rng, between(rng, LEFT, RIGHT), between(rng, 0.1, 0.35))
