"""Augmentation of one garment photo for the embedder: other frame, other light, other ground, the same garment."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pil
from pydantic import Field

from dprnet.core.config import Settings
from dprnet.core.records import BoolArray, FloatArray, Image
from dprnet.data.light import LightConfig, spoil

WHITE = (255, 255, 255)


class PhotoAugmentConfig(Settings):
    """How far a photo may change and still show the same garment. All defaults are ours; the paper states none."""

    size: int = Field(default=224, ge=8, le=4096)  # pixels, a square; the photo keeps its aspect ratio
    zoom: tuple[float, float] = (0.85, 1.6)  # 1: the whole photo in the square; above: cut in; below: room around
    stretch: float = Field(default=0.1, ge=0, le=0.5)  # relative change of width against height
    rotate: float = Field(default=10.0, ge=0, le=180)  # degrees, either way
    perspective: float = Field(default=0.06, ge=0, le=0.3)  # of the square's side, each corner by itself
    flip: float = Field(default=0.5, ge=0, le=1)
    erase: float = Field(default=0.3, ge=0, le=1)  # probability of a hidden rectangle (random erasing)
    new_ground: float = Field(default=0.5, ge=0, le=1)  # probability, where a mask and another ground are given
    # Mild: colour is identity in a catalogue where a product comes in many.
    light: LightConfig = LightConfig(brightness=0.15, contrast=0.15, saturation=0.1, cast=0.04)


class PhotoAugment:
    """``(image, rng) -> image``: uint8 RGB (H, W, 3) -> (size, size, 3)."""

    def __init__(self, config: PhotoAugmentConfig | None = None) -> None:
        self.config = config or PhotoAugmentConfig()

    def __call__(
        self, image: Image, rng: np.random.Generator, mask: BoolArray | None = None, ground: Image | None = None
    ) -> Image:
        """Augment a photo.

        Args:
            image: uint8 RGB (H, W, 3).
            rng: of everything.
            mask: (H, W) True on the garment; with it the ground may be replaced.
            ground: any photo to lay behind the garment.
        """
        if mask is not None and ground is not None and rng.random() < self.config.new_ground:
            image = on_ground(image, mask, ground)
        picture = Pil.fromarray(image)
        size = self.config.size
        corners = draw_corners(picture.size, self.config, rng)
        made = picture.transform(
            (size, size),
            Pil.Transform.PERSPECTIVE,
            _coefficients(size, corners),
            Pil.Resampling.BILINEAR,
            fillcolor=WHITE,
        )
        return self._erase(spoil(np.asarray(made, np.uint8), self.config.light, rng), rng)

    def _erase(self, image: Image, rng: np.random.Generator) -> Image:
        if rng.random() >= self.config.erase:
            return image
        image, size = image.copy(), self.config.size
        height, width = (max(int(size * value), 1) for value in rng.uniform(0.1, 0.45, 2))
        top, left = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
        image[top : top + height, left : left + width] = rng.integers(0, 256, 3)
        return image


def draw_corners(size: tuple[int, int], config: PhotoAugmentConfig, rng: np.random.Generator) -> FloatArray:
    """Where the square's corners lie in the photo: (4, 2) pixels, clockwise from the upper left."""
    width, height = size
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    square += rng.uniform(-2, 2, (4, 2)) * config.perspective
    if rng.random() < config.flip:
        square[:, 0] *= -1
    factor = np.exp(rng.uniform(*np.log(config.zoom)))
    stretch = np.exp(rng.uniform(-config.stretch, config.stretch) / 2)
    angle = np.deg2rad(rng.uniform(-config.rotate, config.rotate))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = max(width, height) / 2 / factor
    reach = np.maximum(np.array([width, height]) / 2 - half, 0)  # a narrower square may wander
    centre = np.array([width, height]) / 2 + rng.uniform(-reach, reach)
    corners: FloatArray = (centre + (square * [half * stretch, half / stretch]) @ turn.T).astype(np.float32)
    return corners


def _coefficients(size: int, corners: FloatArray) -> tuple[float, ...]:
    """The eight numbers of the perspective map from the square's pixels to the photo's."""
    rows, right = [], []
    for (x, y), (u, v) in zip([(0, 0), (size, 0), (size, size), (0, size)], corners.astype(float), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return tuple(float(value) for value in np.linalg.solve(np.array(rows, float), np.array(right, float)))


def on_ground(image: Image, mask: BoolArray, ground: Image) -> Image:
    """The garment (mask (H, W)) of an image before another ground."""
    height, width = image.shape[:2]
    behind = Pil.fromarray(ground).resize((width, height), Pil.Resampling.BILINEAR)
    behind.paste(Pil.fromarray(image), (0, 0), Pil.fromarray(mask.astype(np.uint8) * 255))
    return np.asarray(behind, np.uint8)
