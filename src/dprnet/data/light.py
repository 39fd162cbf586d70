"""What light, lenses and codecs do to an image: pixels change, nothing moves. Fast enough for every training image."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageFilter
from pydantic import Field

from dprnet.core.config import Settings
from dprnet.core.records import Image

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class LightConfig(Settings):
    """How far light and quality may change. All defaults are ours; the paper states none."""

    brightness: float = Field(default=0.25, ge=0, le=1)  # gain of all channels, either way
    contrast: float = Field(default=0.2, ge=0, le=1)
    saturation: float = Field(default=0.25, ge=0, le=1)
    cast: float = Field(default=0.08, ge=0, le=1)  # white balance: gain of each channel by itself
    blur: float = Field(default=0.2, ge=0, le=1)  # probability
    blur_px: float = Field(default=2.0, ge=0)  # largest radius, at a short side of 480 pixels
    noise: float = Field(default=0.2, ge=0, le=1)  # probability
    noise_level: float = Field(default=8.0, ge=0)  # largest standard deviation, of 255
    jpeg: float = Field(default=0.3, ge=0, le=1)  # probability of being written as JPEG once more
    jpeg_quality: tuple[int, int] = (30, 90)


def spoil(image: Image, config: LightConfig, rng: np.random.Generator) -> Image:
    """Light, blur, noise and JPEG artefacts, (H, W, 3) -> (H, W, 3)."""
    picture = relight(Pil.fromarray(image), config, rng)
    if rng.random() < config.blur:
        radius = rng.uniform(0.2, 1.0) * config.blur_px * min(picture.size) / 480
        picture = picture.filter(ImageFilter.BoxBlur(float(radius)))
    if rng.random() < config.noise:
        picture = Pil.fromarray(_grain(np.asarray(picture), rng.uniform(0, config.noise_level), rng))
    if rng.random() < config.jpeg:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1)))
        picture = Pil.open(buffer)
    return np.asarray(picture, np.uint8)


def relight(picture: Pil.Image, config: LightConfig, rng: np.random.Generator) -> Pil.Image:
    """Brightness, contrast, saturation and white balance as one linear map of the colours of each pixel."""
    gain = 1 + rng.uniform(-config.brightness, config.brightness)
    slope = 1 + rng.uniform(-config.contrast, config.contrast)
    saturation = 1 + rng.uniform(-config.saturation, config.saturation)
    cast = 1 + rng.uniform(-config.cast, config.cast, 3)
    mix = saturation * np.eye(3) + (1 - saturation) * LUMA[None, :]
    matrix = np.concatenate([gain * slope * cast[:, None] * mix, np.full((3, 1), gain * (1 - slope) * 128)], axis=1)
    return picture.convert("RGB", tuple(float(value) for value in matrix.ravel()))


_TILE = 256


def _grain(image: Image, level: float, rng: np.random.Generator) -> Image:
    """Sensor noise from one random tile that is laid all over: drawing every pixel anew costs ten times as much."""
    tile = rng.integers(-32, 33, (_TILE, _TILE, 3), dtype=np.int16)  # flat; standard deviation 18.8
    tile = (tile * (level / 18.8)).astype(np.int16)
    height, width = image.shape[:2]
    grain: NDArray[np.int16] = np.tile(tile, (-(-height // _TILE), -(-width // _TILE), 1))[:height, :width]
    grain += image
    return np.clip(grain, 0, 255, out=grain).astype(np.uint8)
