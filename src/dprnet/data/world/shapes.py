"""Pieces: shapes on the screen with their paint and whose they are; the painter's list of a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import skia

from dprnet.data.world.colours import Colour
from dprnet.data.world.fabric import LIMB_WIDTH, TOP, Fabric
from dprnet.data.world.figure import Body, Joints, Point

NOBODY = -1

Lit = tuple[skia.Paint, skia.Paint]
"""Cloth, and the light and shade that multiply it."""


@dataclass(frozen=True)
class Piece:
    """One shape, painted after those before it."""

    path: skia.Path
    paint: skia.Paint | tuple[skia.Paint, skia.Paint]
    """A second paint multiplies what the first has painted: light and shade on cloth."""
    owner: int = NOBODY
    """Number of the garment within the scene, or NOBODY for skin, hair, bags and furniture."""
    solid: bool = True
    """False for lines drawn upon a shape: they hide nothing."""

    def draw(self, canvas: skia.Canvas) -> None:
        """Paint it."""
        if isinstance(self.paint, tuple):
            for paint in self.paint:
                canvas.drawPath(self.path, paint)
        else:
            canvas.drawPath(self.path, self.paint)


@dataclass(frozen=True)
class Light:
    """A lamp from the side, and what comes from everywhere."""

    side: float = -0.4
    """-1 from the left of the picture, 1 from the right."""
    ambient: float = 0.62

    def stops(self, colour: Colour = (1.0, 1.0, 1.0)) -> list[int]:
        """Five colours across a round shape, from left to right."""
        strength = 1 - self.ambient
        front = math.sqrt(max(0.0, 1 - self.side * self.side))
        found = []
        for s in (-1.0, -0.6, 0.0, 0.6, 1.0):
            lit = max(0.0, s * self.side * 0.9 + math.sqrt(1 - min(0.99, s * s) * 0.9) * (0.35 + 0.65 * front))
            value = 255 * (self.ambient + strength * min(1.0, lit))
            found.append(skia.Color(*(min(255, int(value * part)) for part in colour)))
        return found


def polygon(points: Sequence[Point]) -> skia.Path:
    """A closed shape with straight sides."""
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points], True)
    return path


def smooth(path: skia.Path, points: Sequence[Point]) -> None:
    """Go on from where the path is, softly through the points (the first is where it is)."""
    last = len(points) - 1
    for k in range(last):
        a, b = points[max(k - 1, 0)], points[k]
        c, d = points[k + 1], points[min(k + 2, last)]
        path.cubicTo(
            b[0] + (c[0] - a[0]) / 6,
            b[1] + (c[1] - a[1]) / 6,
            c[0] - (d[0] - b[0]) / 6,
            c[1] - (d[1] - b[1]) / 6,
            c[0],
            c[1],
        )


def blob(points: Sequence[Point]) -> skia.Path:
    """A closed soft shape through the points."""
    path = skia.Path()
    path.moveTo(*points[0])
    n = len(points)
    for k in range(n):
        a, b, c, d = points[k - 1], points[k], points[(k + 1) % n], points[(k + 2) % n]
        path.cubicTo(
            b[0] + (c[0] - a[0]) / 6,
            b[1] + (c[1] - a[1]) / 6,
            c[0] - (d[0] - b[0]) / 6,
            c[1] - (d[1] - b[1]) / 6,
            c[0],
            c[1],
        )
    path.close()
    return path


def tube(a: Point, b: Point, ra: float, rb: float, round_end: bool = True, round_start: bool = True) -> skia.Path:
    """A limb from a to b with radii ra and rb in pixels; round where wanted."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / far, dx / far
    path = polygon(
        [
            (a[0] + nx * ra, a[1] + ny * ra),
            (b[0] + nx * rb, b[1] + ny * rb),
            (b[0] - nx * rb, b[1] - ny * rb),
            (a[0] - nx * ra, a[1] - ny * ra),
        ]
    )
    if round_start:
        path.addCircle(a[0], a[1], ra, skia.PathDirection.kCCW)
    if round_end:
        path.addCircle(b[0], b[1], rb, skia.PathDirection.kCCW)
    return path


def across(light: Light, middle: Point, normal: Point, radius: float, colour: Colour = (1.0, 1.0, 1.0)) -> skia.Shader:
    """Light and shade of a round shape of a radius around a line through ``middle``; normal points to its right."""
    x, y = normal[0] * radius, normal[1] * radius
    ends = [skia.Point(middle[0] - x, middle[1] - y), skia.Point(middle[0] + x, middle[1] + y)]
    stops = light.stops(colour)
    if normal[0] < 0:
        stops = stops[::-1]
    return skia.GradientShader.MakeLinear(points=ends, colors=stops, positions=[0.0, 0.2, 0.5, 0.8, 1.0])


def skin_paint(colour: Colour, light: Light, a: Point, b: Point, radius: float) -> skia.Paint:
    """Skin (or any even colour) on a limb from a to b."""
    far = math.hypot(b[0] - a[0], b[1] - a[1]) or 1e-6
    normal = ((b[1] - a[1]) / far, -(b[0] - a[0]) / far)
    return skia.Paint(Shader=across(light, a, normal, radius, colour), AntiAlias=True)


def trunk_paint(fabric: Fabric, light: Light, body: Body, joints: Joints, reach: float) -> Lit:
    """Cloth on the trunk; ``reach`` is the half width of the light's gradient in pixels."""
    tx, ty = joints.trunk
    nx, ny = -ty, tx
    r = (body.half(0.735, joints.yaw) + 0.014) * joints.unit
    start = joints.axis(TOP)
    width = fabric.trunk.width()
    turn = 0.5 - joints.yaw / (2 * math.pi)
    along = joints.unit / fabric.scale
    matrix = skia.Matrix()
    matrix.setAll(
        nx * 4 * r / width,
        -tx * along,
        start[0] - nx * 4 * r * turn,
        ny * 4 * r / width,
        -ty * along,
        start[1] - ny * 4 * r * turn,
        0,
        0,
        1,
    )
    cloth = _picture(fabric.trunk, matrix)
    return _lit(cloth, across(light, joints.axis(0.6), (nx, ny), reach))


def limb_paint(
    fabric: Fabric, light: Light, a: Point, b: Point, radius: float, done: float, bone: float, unit: float
) -> Lit:
    """Cloth on a limb from a to b, a bone ``bone`` body heights long, ``done`` body heights after the limb's start."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = math.hypot(dx, dy) or 1e-6
    along = max(far / bone, unit * 0.3) / fabric.scale
    wide = unit / fabric.scale
    ux, uy = dx / far, dy / far
    nx, ny = uy, -ux
    shift_x, shift_y = LIMB_WIDTH / 2 * fabric.scale * wide, done * fabric.scale * along
    matrix = skia.Matrix()
    matrix.setAll(
        nx * wide,
        ux * along,
        a[0] - nx * shift_x - ux * shift_y,
        ny * wide,
        uy * along,
        a[1] - ny * shift_x - uy * shift_y,
        0,
        0,
        1,
    )
    return _lit(_picture(fabric.limb, matrix), across(light, a, (nx, ny), radius))


def _picture(image: skia.Image, matrix: skia.Matrix) -> skia.Shader:
    sampling = skia.SamplingOptions(skia.FilterMode.kLinear)
    return image.makeShader(skia.TileMode.kRepeat, skia.TileMode.kClamp, sampling, matrix)


def _lit(cloth: skia.Shader, shade: skia.Shader) -> tuple[skia.Paint, skia.Paint]:
    multiply = skia.Paint(Shader=shade, AntiAlias=True, BlendMode=skia.BlendMode.kModulate)
    return skia.Paint(Shader=cloth, AntiAlias=True), multiply
