"""Things to lay over garments: cut-outs of others, or drawn bags, arms and rags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageDraw

from dprnet.core.records import FloatArray, Image


def thing_over(
    box: FloatArray, image: Image, rng: np.random.Generator, cutouts: Sequence[NDArray[np.uint8]]
) -> tuple[Pil.Image, tuple[int, int]]:
    """An RGBA picture and where its upper left corner goes, so that it lies over some of the box."""
    x1, y1, x2, y2 = (float(value) for value in box)
    share = np.sqrt(rng.uniform(0.03, 0.8))
    width = max(int((x2 - x1) * share * np.exp(rng.uniform(-0.5, 0.5))), 4)
    height = max(int((y2 - y1) * share * np.exp(rng.uniform(-0.5, 0.5))), 4)
    where = (round(rng.uniform(x1, x2) - width / 2), round(rng.uniform(y1, y2) - height / 2))
    if cutouts and rng.random() < 0.5:
        thing = Pil.fromarray(cutouts[int(rng.integers(len(cutouts)))], "RGBA").resize((width, height))
        return thing, where
    return draw_shape(width, height, image, rng), where


def draw_shape(width: int, height: int, image: Image, rng: np.random.Generator) -> Pil.Image:
    """A bag-like, arm-like or ragged thing, RGBA: plain, or filled with another part of the image."""
    if rng.random() < 0.5:
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        thing = Pil.new("RGB", (width, height), colour)
    else:
        top, left = (int(rng.integers(max(size // 2, 1))) for size in image.shape[:2])
        patch = Pil.fromarray(np.ascontiguousarray(image[top : top + image.shape[0] // 2, left:][:, ::-1]))
        thing = patch.resize((width, height), Pil.Resampling.BILINEAR)
    alpha = Pil.new("L", (width, height))
    pen = ImageDraw.Draw(alpha)
    kind = int(rng.integers(4))
    edge = (0, 0, width - 1, height - 1)
    if kind == 0:
        pen.ellipse(edge, fill=255)
    elif kind == 1:
        pen.rounded_rectangle(edge, radius=min(width, height) / 5, fill=255)
    elif kind == 2:  # an arm or strap across
        ends = [(0, int(rng.integers(height))), (width, int(rng.integers(height)))]
        pen.line(ends, fill=255, width=max(min(width, height) // 3, 2))
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(0.5, 1.0, 9) / 2
        corners = np.stack([(0.5 + np.cos(angles) * radii) * width, (0.5 + np.sin(angles) * radii) * height], 1)
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    thing.putalpha(alpha)
    return thing
