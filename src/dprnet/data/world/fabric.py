"""The cloth of a garment as two pictures: once around the trunk, and along a limb; folds and details included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia
from numpy.typing import NDArray

from dprnet.data.world.colours import luminance, mixed, scaled
from dprnet.data.world.figure import HIP_HEIGHT
from dprnet.data.world.garments import Garment
from dprnet.data.world.paints import fill, line
from dprnet.data.world.prints import AROUND, draw_back, draw_cloth, draw_front
from dprnet.data.world.seeds import Rng, between, rng_of

TOP = 0.87
"""Height above the floor of the first row of a trunk picture, in body heights."""
LIMB_WIDTH = 0.16
LIMB_LENGTH = 0.56
SIZES = (160, 320, 640, 1200)
"""Pixels a body height of the pictures that are made (ours: the next larger one is shrunk: prints stay crisp)."""


@dataclass(frozen=True)
class Fabric:
    """Pictures of one garment, as worn on one day (its folds)."""

    trunk: skia.Image
    limb: skia.Image
    scale: int
    """Pixels a body height."""


def make_fabric(garment: Garment, unit: float, wear: int) -> Fabric:
    """Pictures fit for a body ``unit`` pixels high; ``wear`` seeds the folds."""
    scale = next((size for size in SIZES if size >= unit * 0.85), SIZES[-1])
    rng = rng_of("wear", garment.seed, wear)
    bottom = garment.length if garment.upper or garment.coarse == "skirt" else 0.38
    height = TOP - bottom + 0.06
    trunk = _picture(AROUND, height, scale)
    canvas = trunk.getCanvas()
    draw_cloth(canvas, garment.print, AROUND, height)
    if garment.upper:
        draw_front(canvas, garment, TOP - 0.765)
        draw_back(canvas, garment, TOP - 0.765)
    _trunk_details(canvas, garment, bottom)
    pleats = "pleats" in garment.details or garment.flare > 1.45
    _folds(canvas, rng, AROUND, height, pleats and not (garment.upper and garment.coarse != "dress"), garment)
    limb = _picture(LIMB_WIDTH, LIMB_LENGTH, scale)
    canvas = limb.getCanvas()
    draw_cloth(canvas, garment.print, LIMB_WIDTH, LIMB_LENGTH)
    _limb_details(canvas, garment)
    _folds(canvas, rng, LIMB_WIDTH, LIMB_LENGTH, False, garment)
    return Fabric(trunk.makeImageSnapshot(), limb.makeImageSnapshot(), scale)


def _picture(width: float, height: float, scale: int) -> skia.Surface:
    surface = skia.Surface(max(8, round(width * scale)), max(8, round(height * scale)))
    surface.getCanvas().scale(scale, scale)
    return surface


def _folds(canvas: skia.Canvas, rng: Rng, width: float, height: float, pleats: bool, garment: Garment) -> None:
    rows, columns = max(8, int(height * 150)), max(8, int(width * 150))
    y, x = np.mgrid[0:rows, 0:columns] / 150.0
    warp = _smooth(rng, rows, columns, 6) * 0.02
    creases = np.zeros((rows, columns))
    for _ in range(6):
        angle, wave = between(rng, -1.2, 1.2), between(rng, 35, 90)
        ridge = np.sin((x * np.cos(angle) + y * np.sin(angle) + warp * 1.5) * wave + between(rng, 0, 6))
        # A crease is a dark valley beside a light ridge, and only where the cloth is pulled.
        pulled = np.clip(_smooth(rng, rows, columns, 4) - 0.15, 0, 1)
        creases += ridge * np.abs(ridge) * pulled
    total = _smooth(rng, rows, columns, 5) * 0.3 + creases * 0.75
    if pleats:
        from_waist = np.clip((y - (TOP - 0.62)) * 7, 0, 1) if garment.upper else np.clip((y - 0.24) * 8, 0.15, 1)
        count = round(14 + 10 * rng.random() if "pleats" in garment.details else 6 + 4 * rng.random())
        hang = np.sin((x + warp * 0.4) / width * 2 * np.pi * count)
        total = total * (1 - 0.6 * from_waist) + hang * 0.6 * from_waist
    else:
        hang = np.sin((x + warp) / width * 2 * np.pi * between(rng, 3, 7))
        total += hang * 0.2 * np.clip((y - height * 0.4) * 5, 0, 1)
    strength = between(rng, 0.6, 1.15) * (0.55 if garment.print.kind == "knit" else 1.0)
    total = np.clip(total * strength, -1, 1)
    dark = luminance(garment.print.colours[0]) < 0.25
    alpha = np.where(total < 0, -total * 0.42, total * (0.20 if dark else 0.12))
    pixels = np.zeros((rows, columns, 4), np.uint8)
    pixels[..., :3] = (np.where(total < 0, 0.0, 1.0) * alpha * 255)[..., None]
    pixels[..., 3] = alpha * 255
    image = skia.Image.fromarray(pixels, colorType=skia.kRGBA_8888_ColorType)
    target = skia.Rect.MakeWH(width, height)
    canvas.drawImageRect(image, target, skia.SamplingOptions(skia.FilterMode.kLinear))


def _smooth(rng: Rng, rows: int, columns: int, cells: int) -> NDArray[np.float64]:
    """Smooth noise in about [-1, 1]: a coarse grid, blown up with soft corners."""
    grid = rng.uniform(-1, 1, (cells + 2, cells + 2))
    y, x = np.linspace(0, cells, rows), np.linspace(0, cells, columns)
    iy, ix = y.astype(int), x.astype(int)
    fy, fx = (y - iy) ** 2 * (3 - 2 * (y - iy)), (x - ix) ** 2 * (3 - 2 * (x - ix))
    rows_low = grid[iy] * (1 - fy)[:, None] + grid[iy + 1] * fy[:, None]
    both: NDArray[np.float64] = rows_low[:, ix] * (1 - fx) + rows_low[:, ix + 1] * fx
    return both


def _ink(garment: Garment) -> tuple[float, float, float]:
    base = garment.print.colours[0]
    return scaled(base, 0.55) if luminance(base) > 0.22 else mixed(base, (1.0, 1.0, 1.0), 0.25)


def _trunk_details(canvas: skia.Canvas, garment: Garment, bottom: float) -> None:
    ink, middle = _ink(garment), AROUND / 2
    seam = line(ink, 0.0022, 0.8)
    low, base = TOP - bottom, garment.print.colours[0]
    if not garment.upper:
        _waist(canvas, garment, seam, middle, low)
        return
    for x in (AROUND * 0.25, AROUND * 0.75):
        canvas.drawLine(x, 0.1, x, low, line(ink, 0.0016, 0.5))
    if garment.front in {"buttons", "zip"} or garment.neckline == "polo":
        _closure(canvas, garment, seam, middle, low)
    if "pocket" in garment.details:
        _pockets(canvas, garment, seam, middle)
    if "kangaroo" in garment.details:
        path = skia.Path()
        corners = ((-0.035, 0.23), (0.035, 0.23), (0.058, 0.31), (-0.058, 0.31))
        path.addPoly([skia.Point(middle + x, y) for x, y in corners], True)
        canvas.drawPath(path, fill(scaled(base, 0.9)))
        canvas.drawPath(path, seam)
    if garment.coarse == "dress":
        canvas.drawLine(0, TOP - 0.63, AROUND, TOP - 0.63, line(ink, 0.003, 0.6))
    if "ribs" in garment.details:
        _ribs(canvas, garment, 0.0, low - 0.028, AROUND, 0.03)
    else:
        canvas.drawRect(skia.Rect.MakeXYWH(0, low - 0.012, AROUND, 0.0022), fill(ink, 0.7))
    if "belt" in garment.details and garment.coarse in {"dress", "outerwear"}:
        colour = garment.print.colours[2] if garment.print.kind != "plain" else ink
        canvas.drawRect(skia.Rect.MakeXYWH(0, TOP - 0.65, AROUND, 0.028), fill(colour))
        canvas.drawRect(skia.Rect.MakeXYWH(middle - 0.012, TOP - 0.654, 0.024, 0.036), line((0.8, 0.7, 0.4), 0.005))


def _closure(canvas: skia.Canvas, garment: Garment, seam: skia.Paint, middle: float, low: float) -> None:
    """Buttons on their placket, or a zip."""
    base = garment.print.colours[0]
    if garment.front == "zip":
        canvas.drawLine(middle, 0, middle, low, line(_ink(garment), 0.008))
        canvas.drawLine(middle, 0, middle, low, line((0.75, 0.75, 0.78), 0.003))
        return
    end = low if garment.front == "buttons" else 0.2
    canvas.drawRect(skia.Rect.MakeXYWH(middle - 0.008, 0, 0.016, end), fill(scaled(base, 0.93)))
    for side in (-0.008, 0.008):
        canvas.drawLine(middle + side, 0, middle + side, end, seam)
    button = (0.93, 0.92, 0.88) if luminance(base) < 0.6 else (0.25, 0.2, 0.18)
    for k in range(int((end - 0.09) / 0.045) + 1):
        canvas.drawCircle(middle, 0.09 + 0.045 * k, 0.0042, fill(button))


def _pockets(canvas: skia.Canvas, garment: Garment, seam: skia.Paint, middle: float) -> None:
    shade = fill(scaled(garment.print.colours[0], 0.92))
    if garment.coarse == "outerwear":
        for side in (-1, 1):
            rect = skia.Rect.MakeXYWH(
                middle + side * 0.062 - 0.024, TOP - 0.575, 0.048, 0.018 + 0.03 * garment.print.turned
            )
            canvas.drawRect(rect, shade)
            canvas.drawRect(rect, _stroke(seam))
        return
    rect = skia.Rect.MakeXYWH(middle + 0.022, TOP - 0.755, 0.036, 0.042)
    canvas.drawRect(rect, shade)
    canvas.drawRect(rect, _stroke(seam))


def _stroke(paint: skia.Paint) -> skia.Paint:
    copy = skia.Paint(paint)
    copy.setStyle(skia.Paint.kStroke_Style)
    return copy


def _waist(canvas: skia.Canvas, garment: Garment, seam: skia.Paint, middle: float, low: float) -> None:
    base, top = garment.print.colours[0], TOP - 0.625
    belt = (0.2, 0.13, 0.08) if "belt" in garment.details else scaled(base, 0.88)
    canvas.drawRect(skia.Rect.MakeXYWH(0, top, AROUND, 0.026), fill(belt))
    canvas.drawRect(skia.Rect.MakeXYWH(0, top + 0.026, AROUND, 0.002), fill(_ink(garment)))
    if "belt" in garment.details:
        canvas.drawRect(skia.Rect.MakeXYWH(middle - 0.012, top, 0.024, 0.026), line((0.8, 0.75, 0.5), 0.005))
    if garment.coarse != "skirt":
        canvas.drawLine(middle, top + 0.02, middle, top + 0.13, seam)
        for x in (0.0, AROUND):
            canvas.drawLine(x, top + 0.02, x, top + 0.16, seam)
    if "pocket" in garment.details:
        for side in (-1, 1):
            canvas.drawLine(middle + side * 0.05, top + 0.03, middle + side * 0.088, top + 0.08, seam)
        for x in (AROUND * 0.11, AROUND * 0.89):
            canvas.drawRect(skia.Rect.MakeXYWH(x - 0.025, top + 0.05, 0.05, 0.052), _stroke(seam))
    canvas.drawRect(skia.Rect.MakeXYWH(0, low - 0.012, AROUND, 0.002), fill(_ink(garment), 0.7))


def _ribs(canvas: skia.Canvas, garment: Garment, x: float, y: float, width: float, height: float) -> None:
    base = garment.print.colours[2] if garment.print.turned > 0.75 else scaled(garment.print.colours[0], 0.86)
    canvas.drawRect(skia.Rect.MakeXYWH(x, y, width, height), fill(base))
    dark = line(scaled(base, 0.7), 0.0015)
    for k in range(int(width / 0.005)):
        canvas.drawLine(x + k * 0.005, y, x + k * 0.005, y + height, dark)


def _limb_details(canvas: skia.Canvas, garment: Garment) -> None:
    middle = LIMB_WIDTH / 2
    if garment.upper:
        if "raglan" in garment.details:
            canvas.drawRect(skia.Rect.MakeWH(LIMB_WIDTH, LIMB_LENGTH), fill(garment.print.colours[1]))
        end = garment.sleeve * 0.31
        if "stripe" in garment.details:
            canvas.drawRect(skia.Rect.MakeXYWH(middle - 0.006, 0, 0.012, end), fill(garment.print.colours[1]))
        if "cuffs" in garment.details:
            _ribs(canvas, garment, 0, end - 0.022, LIMB_WIDTH, 0.03)
        else:
            canvas.drawRect(skia.Rect.MakeXYWH(0, end - 0.012, LIMB_WIDTH, 0.002), fill(_ink(garment), 0.7))
        return
    end = HIP_HEIGHT - garment.length
    if "stripe" in garment.details:
        canvas.drawRect(skia.Rect.MakeXYWH(middle + 0.02, 0, 0.008, end), fill(garment.print.colours[1]))
    if "seams" in garment.details:
        canvas.drawLine(middle, 0, middle, end, line(_ink(garment), 0.002, 0.45))
    if "cuffs" in garment.details:
        canvas.drawRect(
            skia.Rect.MakeXYWH(0, end - 0.028, LIMB_WIDTH, 0.06), fill(mixed(garment.print.colours[0], (1, 1, 1), 0.2))
        )
    canvas.drawRect(skia.Rect.MakeXYWH(0, end - 0.01, LIMB_WIDTH, 0.002), fill(_ink(garment), 0.7))
