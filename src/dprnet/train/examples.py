"""What the detector trains on: images of several sources, drawn, augmented and brought to size.

What step s trains on depends on seed and s alone, never on what was drawn before, nor on the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from dprnet.core.config import Settings
from dprnet.core.errors import BadDataset, BadRecipe, MissingFile
from dprnet.core.records import Truth
from dprnet.data.labelled import LabelledImage
from dprnet.data.transforms import DetectionAugment
from dprnet.detect.model import fit

Example = tuple[Tensor, Truth, str]
"""uint8 (3, H, W), what is true of it, and its path."""


class DataSource(Settings):
    """One set of images to draw from."""

    kind: Literal["ccp", "shopset"]
    path: str  # $DPRNET_DATA is expanded
    split: str = "train"  # of ccp
    weight: float = Field(default=1.0, gt=0)  # how often it is drawn, relative to the others


def gather(sources: tuple[DataSource, ...]) -> tuple[list[LabelledImage], NDArray[np.float64], int]:
    """Images of all sources, the chance of drawing each, and the number of instances.

    Instances of several sources are numbered through: (source, number) -> 0, 1, 2 ...
    """
    images: list[LabelledImage] = []
    chances: list[NDArray[np.float64]] = []
    instances = 0
    for source in sources:
        found = read_source(source)
        if not found:
            raise BadDataset(source.path, f"no labelled images ({source.kind}, split '{source.split}')")
        known = np.unique(np.concatenate([image.truth.instance for image in found]))
        known = known[known >= 0]
        for image in found:
            own = image.truth.instance
            number = np.where(own >= 0, np.searchsorted(known, own) + instances, -1).astype(np.int64)
            images.append(replace(image, truth=replace(image.truth, instance=number)))
        instances += len(known)
        chances.append(np.full(len(found), source.weight / len(found)))
    weights = np.concatenate(chances)
    return images, weights / weights.sum(), instances


def read_source(source: DataSource) -> list[LabelledImage]:
    """The labelled images of one source."""
    path = Path(os.path.expandvars(source.path))
    if not path.is_dir():
        raise MissingFile(path, "no such data folder (is DPRNET_DATA set?); see [[data]] in the recipe")
    if source.kind == "ccp":
        from dprnet.data import ccp

        return ccp.labelled_images(path, source.split)
    from dprnet.data.shopset import ShopSet

    return ShopSet.open(path).stills()


def stands(image: LabelledImage) -> bool:
    """True where an image is taller than wide; only its header is read."""
    with Image.open(image.path) as header:
        return header.height > header.width


class Examples(Dataset[Example]):
    """Draws, loads and augments; the example of (step, slot) is the same in every run of a recipe.

    The images of a step either all stand or all lie: a batch is padded to its tallest and its widest, and half of a
    mixed one would be padding. How often each is drawn stays as ``chances`` say.

    Args:
        images: of all sources.
        chances: of drawing each; their sum is 1.
        short_sides: px, one drawn a step.
        elongation: the long side is at most this many times the short one.
    """

    def __init__(
        self,
        images: list[LabelledImage],
        chances: NDArray[np.float64],
        augment: DetectionAugment,
        *,
        short_sides: Sequence[int],
        elongation: float,
        seed: int,
    ) -> None:
        standing = np.array([stands(image) for image in images])
        self.images = images
        self.standing = float(chances[standing].sum())
        self.rows = {True: np.flatnonzero(standing), False: np.flatnonzero(~standing)}
        self.cumulated = {side: np.cumsum(chances[rows]) for side, rows in self.rows.items()}
        self.augment = augment
        self.short_sides = short_sides
        self.elongation = elongation
        self.seed = seed

    def __getitem__(self, place: tuple[int, int]) -> Example:
        step, slot = place
        shared = np.random.default_rng((self.seed, step))  # what the whole batch has in common
        short = int(shared.choice(self.short_sides))
        side = bool(shared.random() < self.standing)
        rng = np.random.default_rng((self.seed, step, slot))
        cumulated = self.cumulated[side]
        drawn = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        image = self.images[self.rows[side][min(drawn, len(cumulated) - 1)]]
        pixels, truth = self.augment(image.load(), image.truth, rng)
        whole = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)
        picture = fit(whole, short, round(short * self.elongation))
        scale = np.array([picture.shape[2] / whole.shape[2], picture.shape[1] / whole.shape[1]] * 2, np.float32)
        truth = replace(truth, boxes_xyxy=truth.boxes_xyxy * scale, ignore_xyxy=truth.ignore_xyxy * scale)
        return picture, truth, str(image.path)


class Steps(Sampler[list[tuple[int, int]]]):
    """The (step, slot) pairs of each step from ``first`` on; each of several devices takes its share of the slots."""

    def __init__(self, first: int, last: int, batch: int, rank: int = 0, world: int = 1) -> None:
        if batch < world:
            raise BadRecipe("batch", f"{batch} is less than the number of devices, {world}")
        self.steps = range(first, last)
        self.slots = range(rank, batch, world)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in self.steps:
            yield [(step, slot) for slot in self.slots]

    def __len__(self) -> int:
        return len(self.steps)


def as_lists(batch: list[Example]) -> tuple[list[Tensor], list[Truth], list[str]]:
    """A batch as the network wants it: pictures of their own sizes, truths and names."""
    pictures, truths, names = zip(*batch, strict=True)
    return list(pictures), list(truths), list(names)
