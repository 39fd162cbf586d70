"""Augmentation of a whole batch of garment photos at once, as tensors: fast enough not to stall a small machine.

Shape legend
    B  images of a batch    S  side of the cached square    T  side of the square the network sees
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from dprnet.core.config import Settings

WHITE = 255.0


class BatchAugmentSettings(Settings):
    """How far a photo may be changed and still show the same garment. All ours; the paper states none."""

    zoom: tuple[float, float] = (0.85, 1.6)  # 1: as it is; above: cut in; below: room around (loose boxes)
    stretch: float = Field(default=0.12, ge=0, le=0.5)  # relative change of width against height
    shift: float = Field(default=0.12, ge=0, le=0.5)  # fraction of the side
    rotate: float = Field(default=12.0, ge=0, le=180)  # degrees, either way
    flip: float = Field(default=0.5, ge=0, le=1)
    brightness: float = Field(default=0.15, ge=0, le=1)  # light differs from photo to photo; kept small: colour counts
    contrast: float = Field(default=0.15, ge=0, le=1)
    cast: float = Field(default=0.05, ge=0, le=1)  # white balance: each channel by itself
    blur: float = Field(default=0.25, ge=0, le=1)  # probability of being shrunk up to 3 times and enlarged again
    noise: float = Field(default=4.0, ge=0)  # largest standard deviation, of 255
    erase: float = Field(default=0.3, ge=0, le=1)  # probability of a grey rectangle (random erasing, re-id baseline)


class BatchAugment:
    """(B, 3, S, S) float in [0, 255] -> (B, 3, T, T) float in [0, 255]; what is outside the photo is white."""

    def __init__(self, settings: BatchAugmentSettings, size: int) -> None:
        self.settings = settings
        self.size = size

    def __call__(
        self, images: Tensor, variants: Tensor, seeds: Tensor, generator: torch.Generator, light: Tensor | None = None
    ) -> Tensor:
        """Augment a batch.

        Args:
            images: (B, 3, S, S) float in [0, 255].
            variants: (B,) recolouring of each, 0 for none (see :func:`recolour`).
            seeds: (B,) what the recolouring of each is drawn from; equal for the photos of one instance.
            generator: of everything else.
            light: (B,) how much of the settings' change of light each gets; None: all of it.
        """
        turned = self._geometry(images, generator)
        coloured = recolour(turned, variants, seeds)
        return self._noise(self._light(self._blur(coloured, generator), generator, light), generator)

    def _geometry(self, images: Tensor, generator: torch.Generator) -> Tensor:
        s, count = self.settings, len(images)
        low, high = math.log(s.zoom[0]), math.log(s.zoom[1])
        zoom = torch.exp(_uniform(count, low, high, generator))
        stretch = torch.exp(_uniform(count, -s.stretch, s.stretch, generator))
        angle = _uniform(count, -s.rotate, s.rotate, generator) * math.pi / 180
        mirror = 1 - 2 * (torch.rand(count, generator=generator) < s.flip).float()
        # Cut-ins may wander over what they cut away as well.
        room = s.shift * 2 + (1 - 1 / zoom).clamp_min(0)
        dx, dy = (_uniform(count, -1, 1, generator) * room for _ in range(2))
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        rows = [torch.stack([mirror * cos * stretch, -sin, dx], 1), torch.stack([mirror * sin, cos / stretch, dy], 1)]
        grid = functional.affine_grid(
            torch.stack(rows, 1).to(images), [count, 3, self.size, self.size], align_corners=False
        )
        # Sampled relative to white, so that zero padding is white.
        return functional.grid_sample(images - WHITE, grid, align_corners=False) + WHITE

    def _blur(self, images: Tensor, generator: torch.Generator) -> Tensor:
        chosen = (torch.rand(len(images), generator=generator) < self.settings.blur).nonzero()[:, 0]
        factor = 1 + 2 * float(torch.rand(1, generator=generator))
        if not len(chosen):
            return images
        small = functional.interpolate(images[chosen], scale_factor=1 / factor, mode="bilinear", antialias=True)
        images[chosen] = functional.interpolate(small, size=images.shape[-2:], mode="bilinear")
        return images

    def _light(self, images: Tensor, generator: torch.Generator, light: Tensor | None) -> Tensor:
        s, count = self.settings, len(images)
        much = (torch.ones(count) if light is None else light).to(images)[:, None, None, None]
        gain = 1 + much * _uniform(count, -s.brightness, s.brightness, generator).to(images)[:, None, None, None]
        gain = gain * (1 + much * _uniform(count * 3, -s.cast, s.cast, generator).to(images).view(count, 3, 1, 1))
        slope = 1 + much * _uniform(count, -s.contrast, s.contrast, generator).to(images)[:, None, None, None]
        middle = images.mean(dim=(1, 2, 3), keepdim=True)
        return ((images - middle) * slope + middle) * gain

    def _noise(self, images: Tensor, generator: torch.Generator) -> Tensor:
        s, count, side = self.settings, len(images), images.shape[-1]
        if s.noise:
            level = _uniform(count, 0, s.noise, generator).to(images)[:, None, None, None]
            images = images + level * torch.randn(images.shape, generator=generator).to(images)
        images = images.clamp(0, 255)
        for number in (torch.rand(count, generator=generator) < s.erase).nonzero()[:, 0].tolist():
            area, ratio, x, y, grey = torch.rand(5, generator=generator).tolist()
            width = side * math.sqrt(0.02 + 0.18 * area) * math.exp(0.6 * (2 * ratio - 1))
            height = (0.02 + 0.18 * area) * side * side / width
            left, top = int(x * (side - width)), int(y * (side - height))
            images[number, :, max(top, 0) : int(top + height), max(left, 0) : int(left + width)] = 255 * grey
        return images


def recolour(images: Tensor, variants: Tensor, seeds: Tensor) -> Tensor:
    """Dye garments: variant v > 0 of an instance is the same cut in another colour, on the same white ground.

    Hue is turned, a tint is laid over all but white, and dark and light are shifted. Photos of equal seed and
    variant get equal colours, so that a dyed instance stays one instance: training then has to look at colour.

    Args:
        images: (B, 3, H, W) float in [0, 255].
        variants: (B,) integers; 0 leaves an image as it is.
        seeds: (B,) integers.
    """
    chosen = (variants > 0).nonzero()[:, 0]
    if not len(chosen):
        return images
    dice = torch.stack([_dice(int(seeds[i]), int(variants[i])) for i in chosen]).to(images)
    x = images[chosen].clamp(0, 255) / 255
    luma = (0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])[:, None]
    blue, red = x[:, 2:3] - luma, x[:, 0:1] - luma
    cos, sin = torch.cos(dice[:, 0]).view(-1, 1, 1, 1), torch.sin(dice[:, 0]).view(-1, 1, 1, 1)
    # White keeps its place; everything else takes the tint, most of all the middle tones.
    tint = (1 - luma.square().square()) * dice[:, 1].view(-1, 1, 1, 1)
    toward = dice[:, 2].view(-1, 1, 1, 1)
    blue, red = (cos * blue - sin * red) + tint * torch.cos(toward), (sin * blue + cos * red) + tint * torch.sin(toward)
    luma = luma.clamp_min(1e-3) ** torch.exp(dice[:, 3]).view(-1, 1, 1, 1)
    made = torch.cat([luma + red, luma - 0.299 / 0.587 * red - 0.114 / 0.587 * blue, luma + blue], dim=1)
    images = images.clone()
    images[chosen] = made.clamp(0, 1) * 255
    return images


def _dice(seed: int, variant: int) -> Tensor:
    generator = torch.Generator().manual_seed(1_000_003 * seed + variant)
    turn, tint, toward, gamma = torch.rand(4, generator=generator).tolist()
    return torch.tensor([math.pi * (0.25 + 1.5 * turn), 0.3 * tint, 2 * math.pi * toward, 1.4 * (gamma - 0.5)])


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)
