"""Brushes of the backdrops: colours, boxes, sheets of cloth that nobody wears, floors."""

from __future__ import annotations

import skia

from dprnet.data.world.colours import Colour, mixed, scaled
from dprnet.data.world.garments import Print
from dprnet.data.world.paints import fill, line
from dprnet.data.world.prints import draw_cloth
from dprnet.data.world.seeds import Rng, between, chance, choose

LEFT, RIGHT, LOW, HIGH = -3.0, 3.0, -1.2, 2.6
"""The part of the world that a backdrop shows, in body heights; the floor meets the wall a little above 0."""


def any_colour(rng: Rng, strong: float = 0.5) -> Colour:
    """Any colour, the stronger the more it may be one."""
    value = between(rng, 0.25, 0.95)
    grey = (value, value, value)
    full = (float(rng.random()), float(rng.random()), float(rng.random()))
    return mixed(grey, full, between(rng, 0, strong))


def draw_box(canvas: skia.Canvas, x: float, y: float, w: float, h: float, colour: Colour) -> None:
    """A rectangle standing on y."""
    canvas.drawRect(skia.Rect.MakeXYWH(x, y, w, h), fill(colour))


def draw_sheet(canvas: skia.Canvas, rng: Rng, x: float, y: float, w: float, h: float) -> None:
    """A curtain, carpet or poster: prints that are on no garment."""
    kinds = {"plain": 1.0, "stripes": 1.0, "checks": 1.0, "dots": 1.0, "floral": 1.0, "abstract": 1.0}
    colours = (any_colour(rng, 0.9), any_colour(rng, 0.9), any_colour(rng, 0.9))
    look = Print(
        choose(rng, kinds), ("", "", ""), colours, between(rng, 1, 4), float(rng.random()), int(rng.integers(2**31))
    )
    canvas.save()
    canvas.clipRect(skia.Rect.MakeXYWH(x, y, w, h))
    canvas.translate(x, y)
    canvas.scale(3.0, 3.0)
    draw_cloth(canvas, look, w / 3, h / 3)
    canvas.restore()


def draw_floor(canvas: skia.Canvas, rng: Rng, colour: Colour, meet: float) -> None:
    """A floor up to the height at which it meets the wall, with boards or tiles."""
    far, near = skia.Color4f(*scaled(colour, 0.85), 1).toColor(), skia.Color4f(*colour, 1).toColor()
    shader = skia.GradientShader.MakeLinear([skia.Point(0, meet), skia.Point(0, LOW)], [far, near])
    canvas.drawRect(skia.Rect.MakeLTRB(LEFT, LOW, RIGHT, meet), skia.Paint(Shader=shader))
    if chance(rng, 0.6):
        ink = line(scaled(colour, 0.78), 0.008)
        for k in range(-14, 15):
            canvas.drawLine(k * 0.28, meet, k * 0.6, LOW, ink)
    if chance(rng, 0.4):
        for k in range(6):
            y = meet - 0.05 * 1.7**k
            canvas.drawLine(LEFT, y, RIGHT, y, line(scaled(colour, 0.8), 0.008))


def closed_path(points: list[tuple[float, float]]) -> skia.Path:
    """A polygon."""
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points], True)
    return path
