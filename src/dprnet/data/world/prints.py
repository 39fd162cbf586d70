"""What is on the cloth: prints, front and back, drawn once into a picture that is then laid on the body.

A picture of a torso goes once around it: x from 0 (middle of the back) over 0.2 (middle of the front) to 0.4, in body
heights; y from the shoulders down.
"""

from __future__ import annotations

import math

import numpy as np
import skia

from dprnet.data.world.colours import Colour, luminance, mixed, scaled
from dprnet.data.world.garments import Garment, Print
from dprnet.data.world.motifs import emblem, flower, graphic, word
from dprnet.data.world.paints import fill, line
from dprnet.data.world.seeds import Rng, between, rng_of

AROUND = 0.4
"""Width of a torso picture: the way around the body, in body heights."""


def draw_cloth(canvas: skia.Canvas, look: Print, width: float, height: float) -> None:
    """Fill (0, 0, width, height) with the print, without what only a front has."""
    canvas.drawRect(skia.Rect.MakeWH(width, height), fill(look.colours[0]))
    painter = _CLOTHS.get(look.kind)
    if painter is not None:
        painter(canvas, look, rng_of("cloth", look.seed), width, height)


def draw_front(canvas: skia.Canvas, garment: Garment, top: float) -> None:
    """Draw what is only on the front (x = 0.2 is its middle); the chest is at y = top."""
    look = garment.print
    rng = rng_of("front", look.seed)
    size = 0.05 * min(1.5, max(0.7, look.scale))
    if look.kind == "logo":
        small = look.turned < 0.45
        x, y, r = (0.2 + 0.035, top + 0.01, 0.012) if small else (0.2, top + 0.05, size * 0.75)
        emblem(canvas, rng, look, x, y, r)
    elif look.kind == "text":
        word(canvas, rng, look, 0.2, top + 0.05, size)
    elif look.kind == "graphic":
        graphic(canvas, rng, look, 0.2, top + 0.06, size * 1.1)


def draw_back(canvas: skia.Canvas, garment: Garment, top: float) -> None:
    """Draw what is only on the back (x = 0 and x = 0.4 are its middle)."""
    look = garment.print
    rng = rng_of("back", look.seed)
    if look.kind in {"text", "graphic", "logo"} and look.turned > 0.6:
        for x in (0.0, AROUND):
            word(canvas, rng_of("back", look.seed), look, x, top + 0.02, 0.03)
    elif look.kind in {"plain", "knit", "stripes"} and garment.upper and look.turned > 0.7:
        shade = scaled(look.colours[0], 0.72 if luminance(look.colours[0]) > 0.3 else 1.7)
        for x in (0.0, AROUND):
            canvas.drawLine(x, top - 0.06, x, top + 0.4, line(shade, 0.003))
            canvas.drawRect(skia.Rect.MakeXYWH(x - 0.1, top - 0.012, 0.2, 0.003), fill(shade))
    del rng


def _stripes(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    step = 0.022 * look.scale
    upright = look.turned > 0.65
    thin = 0.5 if look.turned < 0.35 else between(rng, 0.15, 0.35)
    end = width if upright else height
    if upright:
        step = width / max(6, round(width / step))
    for k in range(int(end / step) + 1):
        colour = look.colours[2] if look.turned < 0.12 and k % 3 == 0 else look.colours[1]
        rect = (k * step, 0, step * thin, height) if upright else (0, k * step, width, step * thin)
        canvas.drawRect(skia.Rect.MakeXYWH(*rect), fill(colour))


def _checks(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    step = 0.03 * look.scale
    step = width / max(5, round(width / step))
    base, second, third = look.colours
    bars: list[tuple[float, float, Colour, float]]
    if look.turned < 0.4:  # gingham
        bars = [(0, 0.5, second, 0.5)]
    elif look.turned < 0.8:  # tartan
        bars = [(0, 0.45, second, 0.55), (0.66, 0.1, third, 0.8), (0.12, 0.05, base, 0.9), (0.28, 0.05, third, 0.6)]
    else:  # window pane
        bars = [(0, 0.09, second, 0.95)]
    step *= 1.6 if look.turned >= 0.4 else 1
    step = width / max(3, round(width / step))
    for offset, share, colour, alpha in bars:
        paint = fill(colour, alpha)
        for k in range(int(max(width, height) / step) + 2):
            start = (k + offset) * step
            canvas.drawRect(skia.Rect.MakeXYWH(start, 0, step * share, height), paint)
            canvas.drawRect(skia.Rect.MakeXYWH(0, start, width, step * share), paint)


def _dots(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    step = 0.024 * look.scale
    step = width / max(6, round(width / step))
    radius = step * (0.16 + 0.2 * look.turned)
    for row in range(int(height / step * 2) + 2):
        for column in range(int(width / step) + 2):
            x, y = (column + 0.5 * (row % 2)) * step, row * step * 0.5
            canvas.drawCircle(x, y, radius, fill(look.colours[1]))


def _floral(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    r = 0.013 * look.scale
    petals = 4 + int(look.turned * 4)
    leaf = mixed(look.colours[2], (0.2, 0.4, 0.2), 0.6)
    count = min(420, int(width * height / (r * r * 9)))
    for _ in range(count):
        x, y, turn = between(rng, 0, width), between(rng, 0, height), between(rng, 0, 6.3)
        size = r * between(rng, 0.6, 1.25)
        for side in (-1, 1):
            dx, dy = math.cos(turn + side), math.sin(turn + side)
            canvas.drawLine(x, y, x + dx * size * 1.7, y + dy * size * 1.7, line(leaf, size * 0.4))
        inks = (look.colours[1], look.colours[2]) if rng.random() < 0.7 else (look.colours[2], look.colours[1])
        flower(canvas, x, y, size, petals, turn, inks)


def _knit(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    dark, light = scaled(look.colours[0], 0.72), mixed(look.colours[0], (1, 1, 1), 0.16)
    step = 0.0075 * min(1.6, look.scale)
    step = width / round(width / step)
    for k in range(int(width / step) + 1):
        canvas.drawLine(k * step, 0, k * step, height, line(dark, step * 0.3))
        canvas.drawLine((k + 0.5) * step, 0, (k + 0.5) * step, height, line(light, step * 0.25))
    if look.turned > 0.5:  # cables
        for c in range(5):
            x0 = width * (c + 0.5) / 5
            for sign in (-1, 1):
                path = skia.Path()
                path.moveTo(x0, 0)
                for s in range(1, int(height / 0.006)):
                    path.lineTo(x0 + sign * 0.007 * math.sin(s * 0.45), s * 0.006)
                canvas.drawPath(path, line(dark, 0.0055))
                canvas.drawPath(path, line(light, 0.0028))


def _blocks(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    cut = between(rng, 0.06, 0.16)
    canvas.drawRect(skia.Rect.MakeXYWH(0, cut, width, height), fill(look.colours[1]))
    if look.turned > 0.4:
        canvas.drawRect(skia.Rect.MakeXYWH(0, cut, width, between(rng, 0.02, 0.06)), fill(look.colours[2]))


def _abstract(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    r = 0.03 * look.scale
    for _ in range(min(260, int(width * height / (r * r * 1.2)))):
        x, y = between(rng, 0, width), between(rng, 0, height)
        path = skia.Path()
        for k in range(7):
            angle, far = 2 * math.pi * k / 7, r * between(rng, 0.4, 1.1)
            point = (x + far * math.cos(angle) * (2.2 if look.turned > 0.6 else 1), y + far * math.sin(angle))
            (path.lineTo if k else path.moveTo)(*point)
        path.close()
        canvas.drawPath(path, fill(look.colours[1 + int(rng.random() < 0.45)]))


def _denim(canvas: skia.Canvas, look: Print, rng: Rng, width: float, height: float) -> None:
    pale = mixed(look.colours[0], (0.85, 0.88, 0.92), 0.28)
    for _ in range(int(900 * width * height / 0.1)):
        x, y = between(rng, 0, width), between(rng, 0, height)
        tint = pale if rng.random() < 0.5 else scaled(look.colours[0], 0.8)
        canvas.drawLine(x, y, x + 0.002, y + between(rng, 0.004, 0.012), line(tint, 0.0012, 0.5))
    if look.turned > 0.4:  # washed where the thighs are
        for x in np.linspace(0, width, 3):
            glow = skia.GradientShader.MakeRadial(
                (float(x), height * 0.4),
                0.09,
                [skia.Color4f(*pale, 0.55).toColor(), skia.Color4f(*pale, 0.0).toColor()],
            )
            canvas.drawRect(skia.Rect.MakeWH(width, height), skia.Paint(Shader=glow))


_CLOTHS = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "floral": _floral,
    "knit": _knit,
    "blocks": _blocks,
    "abstract": _abstract,
    "denim": _denim,
}
