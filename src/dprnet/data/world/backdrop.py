"""What is behind the people: studios, rooms, streets, shops, parks, or patches of photos; never a garment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skia

from dprnet.data.world.colours import Colour, jitter, mixed, scaled
from dprnet.data.world.garments import Print
from dprnet.data.world.prints import draw_cloth, fill, line
from dprnet.data.world.seeds import Rng, between, chance, choose, rng_of

LEFT, RIGHT, LOW, HIGH = -3.0, 3.0, -1.2, 2.6
"""The part of the world that a backdrop shows, in body heights; the floor meets the wall a little above 0."""
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


def _any_colour(rng: Rng, strong: float = 0.5) -> Colour:
    value = between(rng, 0.25, 0.95)
    grey = (value, value, value)
    full = (float(rng.random()), float(rng.random()), float(rng.random()))
    return mixed(grey, full, between(rng, 0, strong))


def _box(canvas: skia.Canvas, x: float, y: float, w: float, h: float, colour: Colour) -> None:
    """A rectangle standing on y."""
    canvas.drawRect(skia.Rect.MakeXYWH(x, y, w, h), fill(colour))


def _sheet(canvas: skia.Canvas, rng: Rng, x: float, y: float, w: float, h: float) -> None:
    """A curtain, carpet or poster: prints that are on no garment."""
    kinds = {"plain": 1.0, "stripes": 1.0, "checks": 1.0, "dots": 1.0, "floral": 1.0, "abstract": 1.0}
    colours = (_any_colour(rng, 0.9), _any_colour(rng, 0.9), _any_colour(rng, 0.9))
    look = Print(
        choose(rng, kinds), ("", "", ""), colours, between(rng, 1, 4), float(rng.random()), int(rng.integers(2**31))
    )
    canvas.save()
    canvas.clipRect(skia.Rect.MakeXYWH(x, y, w, h))
    canvas.translate(x, y)
    canvas.scale(3.0, 3.0)
    draw_cloth(canvas, look, w / 3, h / 3)
    canvas.restore()


def _floor(canvas: skia.Canvas, rng: Rng, colour: Colour, meet: float) -> None:
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


def _room(canvas: skia.Canvas, rng: Rng) -> None:
    wall = _any_colour(rng, 0.4)
    _box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, wall)
    meet = between(rng, 0.05, 0.25)
    _floor(canvas, rng, mixed(_any_colour(rng, 0.3), (0.5, 0.36, 0.24), 0.5), meet)
    _box(canvas, LEFT, meet, RIGHT - LEFT, 0.06, mixed(wall, (1, 1, 1), 0.6))
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
    _box(canvas, x - 0.02, y - 0.02, w + 0.04, h + 0.04, (0.15, 0.12, 0.1))
    _sheet(canvas, rng, x, y, w, h)


def _window(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    w, h, y = between(rng, 0.5, 0.9), between(rng, 0.6, 1.0), between(rng, 0.5, 0.8)
    _box(canvas, x - 0.03, y - 0.03, w + 0.06, h + 0.06, (0.93, 0.93, 0.92))
    _box(canvas, x, y, w, h, mixed((0.7, 0.85, 0.97), (1, 1, 1), between(rng, 0, 0.8)))
    _box(canvas, x + w / 2 - 0.015, y, 0.03, h, (0.93, 0.93, 0.92))


def _door(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    colour = _any_colour(rng, 0.4)
    _box(canvas, x, meet, 0.5, 1.15, colour)
    for y in (0.12, 0.65):
        canvas.drawRect(skia.Rect.MakeXYWH(x + 0.08, meet + y, 0.34, 0.4), line(scaled(colour, 0.8), 0.015))


def _sofa(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    colour, w = _any_colour(rng, 0.8), between(rng, 0.8, 1.5)
    for dx, dy, bw, bh, shade in (
        (0, -0.08, w, 0.32, 0.8),
        (0.05, 0.12, w - 0.1, 0.3, 1.0),
        (-0.06, -0.08, 0.14, 0.42, 0.9),
        (w - 0.08, -0.08, 0.14, 0.42, 0.9),
    ):
        canvas.drawRoundRect(skia.Rect.MakeXYWH(x + dx, meet + dy, bw, bh), 0.05, 0.05, fill(scaled(colour, shade)))
    if chance(rng, 0.6):
        _sheet(canvas, rng, x + w * 0.3, meet + 0.18, 0.22, 0.2)


def _shelf(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    wood, w = mixed(_any_colour(rng, 0.2), (0.45, 0.32, 0.2), 0.6), between(rng, 0.5, 1.0)
    _box(canvas, x, meet, w, 1.25, scaled(wood, 0.6))
    for k in range(4):
        y, at = meet + 0.03 + k * 0.3, x + 0.03
        while at < x + w - 0.1:
            bw = between(rng, 0.025, 0.16)
            _box(canvas, at, y, bw * 0.92, between(rng, 0.1, 0.25), _any_colour(rng, 0.9))
            at += bw
        _box(canvas, x, y - 0.03, w, 0.03, wood)


def _plant(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    _box(canvas, x - 0.09, meet - 0.1, 0.18, 0.18, _any_colour(rng, 0.8))
    leaf = jitter(rng, (0.18, 0.42, 0.2), 0.06, 0.3, 0.12)
    for _ in range(14):
        angle, far = between(rng, 0.5, 2.64), between(rng, 0.2, 0.55)
        tip = (x + math.cos(angle) * far, meet + 0.08 + math.sin(angle) * far)
        canvas.drawLine(x, meet + 0.08, *tip, line(scaled(leaf, between(rng, 0.7, 1.3)), between(rng, 0.03, 0.07)))


def _curtain(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    _sheet(canvas, rng, x, meet + 0.02, between(rng, 0.3, 0.7), 1.6)


def _lamp(canvas: skia.Canvas, rng: Rng, x: float, meet: float) -> None:
    _box(canvas, x, meet, 0.02, 1.0, (0.2, 0.2, 0.2))
    canvas.drawPath(
        _poly([(x - 0.14, meet + 0.95), (x + 0.16, meet + 0.95), (x + 0.09, meet + 1.2), (x - 0.07, meet + 1.2)]),
        fill((0.98, 0.92, 0.75)),
    )


def _poly(points: list[tuple[float, float]]) -> skia.Path:
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points], True)
    return path


def _street(canvas: skia.Canvas, rng: Rng) -> None:
    sky = mixed((0.62, 0.76, 0.92), (0.85, 0.85, 0.87), between(rng, 0, 1))
    _box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, sky)
    x = LEFT
    while x < RIGHT:
        w, h = between(rng, 0.6, 1.6), between(rng, 1.2, 3.6)
        colour = mixed(_any_colour(rng, 0.4), (0.6, 0.48, 0.4), between(rng, 0, 0.6))
        _box(canvas, x, 0, w, h, colour)
        glass = mixed((0.2, 0.25, 0.32), (0.75, 0.8, 0.85), float(rng.random()))
        step = between(rng, 0.22, 0.4)
        for column in range(int(w / step)):
            for row in range(1, int(h / 0.42) + 1):
                _box(
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
    _floor(canvas, rng, mixed(_any_colour(rng, 0.1), (0.55, 0.55, 0.55), 0.6), between(rng, 0.05, 0.3))
    for _ in range(int(rng.integers(0, 4))):
        _tree(canvas, rng, between(rng, LEFT, RIGHT), 0.1)
    if chance(rng, 0.5):
        _car(canvas, rng, between(rng, LEFT, RIGHT))


def _front(canvas: skia.Canvas, rng: Rng, x: float, w: float) -> None:
    _box(canvas, x + 0.06, 0.05, w - 0.12, 0.75, mixed((0.15, 0.17, 0.2), (0.95, 0.88, 0.7), float(rng.random()) * 0.7))
    sign = _any_colour(rng, 1.0)
    _box(canvas, x + 0.03, 0.82, w - 0.06, 0.16, sign)
    for k in range(int(rng.integers(3, 8))):
        _box(canvas, x + 0.15 + k * 0.08, 0.86, 0.05, 0.08, mixed(sign, (1, 1, 1), 0.8))
    for _ in range(4):
        _box(
            canvas,
            between(rng, x + 0.1, x + w - 0.25),
            0.08,
            between(rng, 0.06, 0.2),
            between(rng, 0.1, 0.4),
            _any_colour(rng, 0.9),
        )


def _tree(canvas: skia.Canvas, rng: Rng, x: float, y: float) -> None:
    _box(canvas, x - 0.04, y - 0.05, 0.08, 0.9, (0.3, 0.23, 0.17))
    leaf = jitter(rng, (0.25, 0.42, 0.2), 0.07, 0.3, 0.12)
    for _ in range(40):
        angle, far = between(rng, 0, 6.3), between(rng, 0, 0.55)
        ink = fill(scaled(leaf, between(rng, 0.6, 1.35)))
        canvas.drawCircle(x + math.cos(angle) * far, y + 1.25 + math.sin(angle) * far, between(rng, 0.06, 0.16), ink)


def _car(canvas: skia.Canvas, rng: Rng, x: float) -> None:
    colour = _any_colour(rng, 1.0)
    canvas.drawRoundRect(skia.Rect.MakeXYWH(x, 0.05, 1.6, 0.28), 0.08, 0.08, fill(colour))
    canvas.drawPath(
        _poly([(x + 0.25, 0.3), (x + 1.35, 0.3), (x + 1.1, 0.52), (x + 0.5, 0.52)]), fill((0.15, 0.18, 0.22))
    )
    for dx in (0.35, 1.25):
        canvas.drawCircle(x + dx, 0.06, 0.14, fill((0.08, 0.08, 0.08)))


def _shop(canvas: skia.Canvas, rng: Rng) -> None:
    wall = mixed(_any_colour(rng, 0.3), (0.9, 0.88, 0.85), 0.5)
    _box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, wall)
    _floor(canvas, rng, _any_colour(rng, 0.2), 0.2)
    x = LEFT
    while x < RIGHT:
        _shelf(canvas, rng, x, 0.2)
        x += between(rng, 0.9, 1.7)
    for _ in range(6):
        canvas.drawCircle(between(rng, LEFT, RIGHT), between(rng, 1.7, 2.4), 0.05, fill((1, 0.98, 0.9)))
    if chance(rng, 0.6):
        x = between(rng, LEFT, RIGHT - 1)
        _box(canvas, x, -0.2, 1.2, 0.5, _any_colour(rng, 0.4))
        for k in range(5):
            _box(canvas, x + 0.05 + k * 0.23, 0.3, 0.18, between(rng, 0.04, 0.18), _any_colour(rng, 1.0))


def _park(canvas: skia.Canvas, rng: Rng) -> None:
    _box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, mixed((0.6, 0.76, 0.93), (0.93, 0.93, 0.93), float(rng.random())))
    hedge = jitter(rng, (0.24, 0.38, 0.2), 0.06, 0.3, 0.1)
    for _ in range(140):
        ink = fill(scaled(hedge, between(rng, 0.6, 1.4)))
        canvas.drawCircle(between(rng, LEFT, RIGHT), between(rng, 0.1, 0.9), between(rng, 0.05, 0.22), ink)
    _floor(canvas, rng_of("lawn", int(rng.integers(99))), jitter(rng, (0.42, 0.5, 0.28), 0.08, 0.5, 0.1), 0.2)
    for _ in range(int(rng.integers(2, 7))):
        _tree(canvas, rng, between(rng, LEFT, RIGHT), between(rng, 0.1, 0.35))


def _studio(canvas: skia.Canvas, rng: Rng) -> None:
    colour = _any_colour(rng, 0.7) if chance(rng, 0.5) else (0.93, 0.93, 0.93)
    glow = skia.GradientShader.MakeRadial(
        (between(rng, -1, 1), 0.8),
        3.2,
        [skia.Color4f(*c, 1).toColor() for c in (mixed(colour, (1, 1, 1), 0.3), scaled(colour, 0.7))],
    )
    canvas.drawRect(skia.Rect.MakeLTRB(LEFT, LOW, RIGHT, HIGH), skia.Paint(Shader=glow))
    if chance(rng, 0.5):
        _floor(canvas, rng_of("even", 1), scaled(colour, 0.9), between(rng, 0, 0.2))


def _wall(canvas: skia.Canvas, rng: Rng) -> None:
    colour = mixed(_any_colour(rng, 0.4), (0.62, 0.36, 0.28), between(rng, 0, 0.9))
    _box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, scaled(colour, 0.75))
    h, w = between(rng, 0.06, 0.2), between(rng, 0.15, 0.5)
    for row in range(int((HIGH - LOW) / h) + 1):
        for column in range(int((RIGHT - LEFT) / w) + 2):
            x = LEFT + (column - 0.5 * (row % 2)) * w
            _box(canvas, x, LOW + row * h, w - 0.012, h - 0.012, scaled(colour, between(rng, 0.88, 1.1)))
    _floor(canvas, rng, _any_colour(rng, 0.2), between(rng, 0, 0.25))


def _shapes(canvas: skia.Canvas, rng: Rng) -> None:
    _box(canvas, LEFT, LOW, RIGHT - LEFT, HIGH - LOW, _any_colour(rng, 1.0))
    for _ in range(int(rng.integers(15, 50))):
        x, y, w, h = between(rng, LEFT, RIGHT), between(rng, LOW, HIGH), between(rng, 0.1, 1.2), between(rng, 0.1, 1.0)
        kind = int(rng.integers(4))
        if kind == 0:
            _sheet(canvas, rng, x, y, w, h)
        elif kind == 1:
            canvas.drawOval(skia.Rect.MakeXYWH(x, y, w, h), fill(_any_colour(rng, 1.0)))
        elif kind == 2:
            canvas.drawPath(_poly([(x, y), (x + w, y + h * 0.4), (x + w * 0.3, y + h)]), fill(_any_colour(rng, 1.0)))
        else:
            canvas.drawLine(x, y, x + w, y + h, line(_any_colour(rng, 1.0), between(rng, 0.02, 0.15)))


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
_PAINTERS: dict[str, Callable[[skia.Canvas, Rng], None]] = {
    "room": _room,
    "street": _street,
    "shop": _shop,
    "park": _park,
    "studio": _studio,
    "wall": _wall,
    "shapes": _shapes,
}
