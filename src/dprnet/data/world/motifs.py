"""What stands alone on cloth: flowers, emblems, words and pictures."""

from __future__ import annotations

import math

import skia

from dprnet.data.world.colours import Colour
from dprnet.data.world.garments import WORDS, Print
from dprnet.data.world.paints import fill, line, typeface
from dprnet.data.world.seeds import Rng


def flower(
    canvas: skia.Canvas, x: float, y: float, r: float, petals: int, turn: float, inks: tuple[Colour, ...]
) -> None:
    """Draw a flower."""
    for k in range(petals):
        angle = turn + 2 * math.pi * k / petals
        canvas.drawCircle(x + r * 0.6 * math.cos(angle), y + r * 0.6 * math.sin(angle), r * 0.48, fill(inks[0]))
    canvas.drawCircle(x, y, r * 0.34, fill(inks[1]))


def emblem(canvas: skia.Canvas, rng: Rng, look: Print, x: float, y: float, r: float) -> None:
    """Draw a small sign: a ring, a triangle, a star or three bars."""
    shape = int(rng.integers(4))
    first, second = fill(look.colours[1]), fill(look.colours[2])
    if shape == 0:
        canvas.drawCircle(x, y, r, first)
        canvas.drawCircle(x, y, r * 0.6, second)
    elif shape == 1:
        canvas.drawPath(_polygon(x, y, r, 3, -math.pi / 2), first)
    elif shape == 2:
        canvas.drawPath(_polygon(x, y, r, 5, -math.pi / 2, 0.45), first)
    else:
        for k in range(3):
            canvas.drawLine(
                x - r + k * r * 0.6, y + r * 0.7, x - r * 0.4 + k * r * 0.6, y - r * 0.7, line(look.colours[1], r * 0.3)
            )


def _polygon(x: float, y: float, r: float, corners: int, turn: float, inner: float = 1.0) -> skia.Path:
    path = skia.Path()
    steps = corners * (2 if inner < 1 else 1)
    for k in range(steps):
        far = r * (inner if inner < 1 and k % 2 else 1)
        angle = turn + 2 * math.pi * k / steps
        (path.lineTo if k else path.moveTo)(x + far * math.cos(angle), y + far * math.sin(angle))
    path.close()
    return path


def word(canvas: skia.Canvas, rng: Rng, look: Print, x: float, y: float, size: float) -> None:
    """Write a word in the middle of a place."""
    text = WORDS[int(rng.integers(len(WORDS)))]
    # Fonts are laid out at 100 units: at body heights their hinting would round to nothing.
    font = skia.Font(typeface(rng.random() < 0.7), 100)
    factor = min(size / 100, 0.15 / max(font.measureText(text), 1.0))
    canvas.save()
    canvas.translate(x, y)
    canvas.scale(factor, factor)
    canvas.drawString(text, -font.measureText(text) / 2, 0, font, fill(look.colours[1]))
    if look.turned < 0.4:
        half = font.measureText(text) / 2
        canvas.drawRect(skia.Rect.MakeXYWH(-half, 18, half * 2, 10), fill(look.colours[2]))
    canvas.restore()


def graphic(canvas: skia.Canvas, rng: Rng, look: Print, x: float, y: float, r: float) -> None:
    """Draw a picture: a sun over waves, a framed flower, or mountains."""
    shape = int(rng.integers(3))
    if shape == 0:  # a sun over waves
        canvas.drawCircle(x, y - r * 0.2, r * 0.7, fill(look.colours[2]))
        for k in range(4):
            canvas.drawRect(skia.Rect.MakeXYWH(x - r, y + r * (0.15 + 0.25 * k), 2 * r, r * 0.1), fill(look.colours[1]))
    elif shape == 1:  # a framed flower
        canvas.drawRect(skia.Rect.MakeXYWH(x - r, y - r, 2 * r, 2.2 * r), fill(look.colours[1]))
        flower(canvas, x, y, r * 0.8, 6, 0.3, (look.colours[2], look.colours[0]))
    else:  # mountains
        canvas.drawPath(_polygon(x - r * 0.4, y + r * 0.2, r * 0.8, 3, -math.pi / 2), fill(look.colours[1]))
        canvas.drawPath(_polygon(x + r * 0.45, y + r * 0.3, r * 0.6, 3, -math.pi / 2), fill(look.colours[2]))
    if look.turned < 0.5:
        word(canvas, rng, look, x, y + r * 1.6, r * 0.5)
