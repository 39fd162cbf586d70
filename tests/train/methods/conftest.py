"""A set that only training can tell apart: four patterns in random colours; and a trunk small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dprnet.data.labelled import Photo
from dprnet.data.photo_batch import BatchAugmentSettings
from dprnet.embed.backbone import IMAGENET, Backbone
from dprnet.train.methods.base import Trunk
from dprnet.train.methods.marks import LANDMARKS, Marks
from dprnet.train.methods.recipe import Terms, TrunkSettings
from dprnet.train.methods.training import Material
from dprnet.train.photos import PhotoCache
from dprnet.train.retrieval import SamplingSettings
from dprnet.train.shots import PhotoSource, Shot

SIDE = 40
PATTERNS = 4


class SmallBackbone(Backbone):
    """Two convolutions, maps of 8 x 8 and 4 x 4 cells of a photo of 32 pixels."""

    def __init__(self):
        super().__init__(*IMAGENET)
        self.first = nn.Sequential(nn.Conv2d(3, 16, 5, stride=4, padding=2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.ReLU())
        self.channels = (16, 24)

    def maps(self, x):
        fine = self.first(x)
        return [fine, self.second(fine)]


def pattern(number, rng):
    """A photo (SIDE, SIDE, 3) of one of four patterns; its two colours say nothing."""
    y, x = np.mgrid[:SIDE, :SIDE]
    on = [(x // 4) % 2, (y // 4) % 2, ((x // 4) + (y // 4)) % 2, np.zeros_like(x)][number] > 0
    dark, light = rng.integers(0, 90, 3), rng.integers(130, 220, 3)
    image = np.where(on[..., None], dark, light) + rng.normal(0, 6, (SIDE, SIDE, 3))
    return image.clip(0, 240).astype(np.uint8)


def photos(per_pattern, seed):
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(PATTERNS), per_pattern)
    return np.stack([pattern(number, rng) for number in owners]), owners


def material_of(per_pattern=12, seed=0):
    images, owners = photos(per_pattern, seed)
    shots = tuple(Shot(Photo(Path(f"{row}.jpg"), None, f"p{owner}", 0, "shop")) for row, owner in enumerate(owners))
    landmarks = np.zeros((len(owners), len(LANDMARKS), 3), np.float32)
    landmarks[:, 0] = -0.5, -0.5, 2
    landmarks[:, 1] = 0.5, -0.5, 1
    attributes = (owners[:, None] == np.arange(PATTERNS)).astype(np.float32)
    names = tuple(f"print={number}" for number in range(PATTERNS))
    return Material(PhotoCache(images, shots, np.zeros(len(owners), np.int64)), Marks(landmarks, attributes, names))


@pytest.fixture(scope="session")
def material():
    return material_of()


@pytest.fixture(scope="session")
def terms():
    return Terms(
        data=(PhotoSource(kind="luma"),),
        trunk=TrunkSettings(size=16, image_size=32, start="none", batch_norm="live"),
        sampling=SamplingSettings(p=4, k=4, hard=0.0),
        augment=BatchAugmentSettings(
            zoom=(0.9, 1.1), rotate=4, brightness=0.1, contrast=0.1, blur=0, erase=0, stretch=0.05, shift=0.05
        ),
        cache_size=SIDE,
    )


def small_trunk(size=16):
    return Trunk(SmallBackbone(), size)


@pytest.fixture
def trunk():
    torch.manual_seed(0)
    return small_trunk()
