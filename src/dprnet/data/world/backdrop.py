"""What is behind the people: studios, rooms, streets, shops, parks, or patches of photos; never a garment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skia

from dprnet.data.world.colours import mixed, scaled
from dprnet.data.world.indoors import paint_room, paint_shop
from dprnet.data.world.outdoors import paint_park, paint_street
from dprnet.data.world.painting import HIGH, LEFT, LOW, RIGHT, any_colour, closed_path, draw_box, draw_floor, draw_sheet
from dprnet.data.world.paints import fill, line
from dprnet.data.world.seeds import Rng, between, chance, choose, rng_of

SCALE = 150
"""Pixels a body height: a backdrop is always a little out of focus."""
KINDS = {"room": 4.0, "street": 4.0, "shop": 3.0, "park": 3.0, "studio": 2.0, "wall": 2.0, "shapes": 2.0}


@dataclass(frozen=True)
class Backdrop:
    """A picture of the world behind, and the camera that looks at it."""

    image: skia.Image

    def draw(self, canvas: skia.Canvas, unit: float, left: float, floor: float) -> None:
        """Paint it where the world's x = 0 is at pixel ``left``, y = 0 at pixel ``floor``."""
        factor = unit / SCALE
        matrix = skia.Matrix()
        matrix.setAll(factor, 0, left + LEFT * unit, 0, factor, floor - HIGH * unit, 0, 0, 1)
        mode = skia.TileMode.kMirror
        shader = self.image.makeShader(mode, mode, skia.SamplingOptions(skia.FilterMode.kLinear), matrix)
        canvas.drawPaint(skia.Paint(Shader=shader))


def make_backdrop(seed: int, textures: tuple[Path, ...] = ()) -> Backdrop:
    """The backdrop of a seed; with photos, one in three is a patch of one of them."""
    rng = rng_of("backdrop", seed)
    width, height = round((RIGHT - LEFT) * SCALE), round((HIGH - LOW) * SCALE)
    surface = skia.Surface(width, height)
    canvas = surface.getCanvas()
    if textures and chance(rng, 1 / 3):
        _photo(canvas, rng, textures[int(rng.integers(len(textures)))], width, height)
    else:
        canvas.scale(SCALE, -SCALE)
        canvas.translate(-LEFT, -HIGH)
        _PAINTERS[choose(rng, KINDS)](canvas, rng)
        canvas.resetMatrix()
        _grime(canvas, rng, width, height)
    image = surface.makeImageSnapshot()
    blurred = skia.Surface(width, height)
    sigma = between(rng, 0.2, 1.2) if chance(rng, 0.6) else between(rng, 1.2, 5)
    blurred.getCanvas().drawImage(
        image, 0, 0, skia.SamplingOptions(), skia.Paint(ImageFilter=skia.ImageFilters.Blur(sigma, sigma))
    )
    return Backdrop(blurred.makeImageSnapshot())


def _photo(canvas: skia.Canvas, rng: Rng, path: Path, width: int, height: int) -> None:
    image = skia.Image.open(str(path))
    factor = max(width / image.width(), height / image.height()) * between(rng, 1.0, 2.2)
    x, y = between(rng, width - image.width() * factor, 0), between(rng, height - image.height() * factor, 0)
    target = skia.Rect.MakeXYWH(x, y, image.width() * factor, image.height() * factor)
    canvas.drawImageRect(image, target, skia.SamplingOptions(skia.FilterMode.kLinear))


def _grime(canvas: skia.Canvas, rng: Rng, width: int, height: int) -> None:
    """Uneven light and a coarse grain, so that no wall is one colour."""
    cells = rng.integers(0, 255, (7, 9), np.uint8)
    pixels = np.zeros((7, 9, 4), np.uint8)
    alpha = between(rng, 0.1, 0.34)
    pixels[..., 3] = cells * alpha
    image = skia.Image.fromarray(pixels, colorType=skia.kRGBA_8888_ColorType)
    canvas.drawImageRect(image, skia.Rect.MakeWH(width, height), skia.SamplingOptions(skia.CubicResampler.Mitchell()))
    noise = skia.PerlinNoiseShader.MakeFractalNoise(
        between(rng, 0.02, 0.25), between(rng, 0.02, 0.25), 2, between(rng, 0, 999)
    )
    paint = skia.Paint(Shader=noise, BlendMode=skia.BlendMode.kSoftLight, Alphaf=between(rng, 0.15, 0.6))
    canvas.drawRect(skia.Rect.MakeWH(width, height), paint)


def _studio(canvas: skia.Canvas, rng: Rng) -> None:
    colour = any_colour(rng, 0.7) if chance(rng, 0.5) else (0.93, 0.93, 0.93)
    glow = skia.GradientShader.MakeRadial(
        (between(rng, -1, 1), 0.8),
        3.2,
        [skia.Color4f(*c, 1).toColor() for c in (mixed(colour, (1, 1, 1), 0.3), scaled(colour, 0.7))],
    )
    canvas.drawRect(skia.Rect.MakeLTRB(LEFT, LOW, RIGHT, HIGH), skia.Paint(Shader=glow))
    if chance(rng, 0.5):
        draw_floor(canvas, rng_of("even", 1), scaled(colour, 0.9), between(rng, 0, 0.2))


def _wall(canvas: skia.Canvas, rng: Rng) -> None:
    colour = mixed(any_colour(rng, 0.4), (0.62, 0.36, 0.28), between(rng, 0, 0.9))
    draw_box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, scaled(colour, 0.75))
    h, w = between(rng, 0.06, 0.2), between(rng, 0.15, 0.5)
    for row in range(int((HIGH - LOW) / h) + 1):
        for column in range(int((RIGHT - LEFT) / w) + 2):
            x = LEFT + (column - 0.5 * (row % 2)) * w
            draw_box(canvas, x, LOW + row * h, w - 0.012, h - 0.012, scaled(colour, between(rng, 0.88, 1.1)))
    draw_floor(canvas, rng, any_colour(rng, 0.2), between(rng, 0, 0.25))


def _shapes(canvas: skia.Canvas, rng: Rng) -> None:
    draw_box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, any_colour(rng, 1.0))
    for _ in range(int(rng.integers(15, 50))):
        x, y, w, h = between(rng, LEFT, RIGHT), between(rng, LOW, HIGH), between(rng, 0.1, 1.2), between(rng, 0.1, 1.0)
        kind = int(rng.integers(4))
        if kind == 0:
            draw_sheet(canvas, rng, x, y, w, h)
        elif kind == 1:
            canvas.drawOval(skia.Rect.MakeXYWH(x, y, w, h), fill(any_colour(rng, 1.0)))
        elif kind == 2:
            canvas.drawPath(
                closed_path([(x, y), (x + w, y + h * 0.4), (x + w * 0.3, y + h)]), fill(any_colour(rng, 1.0))
            )
        else:
            canvas.drawLine(x, y, x + w, y + h, line(any_colour(rng, 1.0), between(rng, 0.02, 0.15)))


_PAINTERS: dict[str, Callable[[skia.Canvas, Rng], None]] = {
    "room": paint_room,
    "street": paint_street,
    "shop": paint_shop,
    "park": paint_park,
    "studio": _studio,
    "wall": _wall,
    "shapes": _shapes,
}
