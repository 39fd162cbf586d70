"""What the detector trains on: images of several sources, drawn, augmented and brought to size.

What step s trains on depends on seed and s alone, never on what was drawn before, nor on the number of workers.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from dprnet.core.classes import UNLABELLED
from dprnet.core.config import Settings
from dprnet.core.errors import BadDataset, BadRecipe, MissingFile
from dprnet.core.records import IntArray, Truth
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.data.labelled import LabelledImage
from dprnet.data.transforms import DetectionAugment
from dprnet.detect.model import fit

Example = tuple[Tensor, Truth, str]
"""uint8 (3, H, W), what is true of it, and its path."""


class DataSource(Settings):
    """One set of images to draw from."""

    kind: Literal["ccp", "shopset", "deepfashion2", "coco", "luma"]
    path: str  # a folder, of coco also a file; $DPRNET_DATA is expanded
    split: str = "train"  # of ccp, deepfashion2 and luma
    weight: float = Field(default=1.0, gt=0)  # how often it is drawn, relative to the others
    classes: Literal["coarse", "own"] = "coarse"  # own: DeepFashion2's 13, which the network's classes then must name
    guessed: float = Field(default=0.0, ge=0, le=1)  # of ccp: weight of viewpoints guessed from key points; 0: none
    without: tuple[Literal["viewpoint", "occlusion", "crop", "instance"], ...] = ()  # branches it does not teach


class Gathered(Sequence[LabelledImage]):
    """The images of several sources one after another, their instances numbered through: (source, number) -> 0, 1 ...

    An image is put together when it is asked for, so that a source which holds little stays small.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[Sequence[LabelledImage], IntArray, int, tuple[str, ...]]] = []
        self.ends = [0]
        self.instances = 0

    def add(self, found: Sequence[LabelledImage], without: tuple[str, ...] = ()) -> None:
        """Append a source; labels of the branches in ``without`` become -1."""
        known = np.zeros(0, np.int64) if "instance" in without else instance_numbers(found)
        self.parts.append((found, known, self.instances, without))
        self.instances += len(known)
        self.ends.append(self.ends[-1] + len(found))

    def __len__(self) -> int:
        return self.ends[-1]

    @overload
    def __getitem__(self, row: int) -> LabelledImage: ...
    @overload
    def __getitem__(self, row: slice) -> list[LabelledImage]: ...
    def __getitem__(self, row: int | slice) -> LabelledImage | list[LabelledImage]:
        """Image ``row``; a slice gives a list."""
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        part = bisect.bisect_right(self.ends, row) - 1
        found, known, before, without = self.parts[part]
        image = found[row - self.ends[part]]
        columns: dict[str, Any] = {}
        if "instance" not in without:
            own = image.truth.instance
            columns["instance"] = np.where(own >= 0, np.searchsorted(known, own) + before, UNLABELLED).astype(np.int64)
        return replace(image, truth=self.taught(row, replace(image.truth, **columns)))

    def taught(self, row: int, truth: Truth) -> Truth:
        """A truth of image ``row`` without the labels that its source does not teach.

        Also for what augmentation made of it: a garment that is cut is cropped, whatever was known of it before.
        """
        without = self.parts[bisect.bisect_right(self.ends, row) - 1][3]
        columns: dict[str, Any] = {name: np.full(len(truth), UNLABELLED, np.int64) for name in without}
        return replace(truth, **columns)


def instance_numbers(found: Sequence[LabelledImage]) -> IntArray:
    """All numbers of instances that occur in a source, ascending."""
    if isinstance(found, DeepFashion2):
        return np.arange(found.instances)
    known = np.unique(np.concatenate([image.truth.instance for image in found]))
    return known[known >= 0]


def gather(sources: tuple[DataSource, ...]) -> tuple[Any, NDArray[np.float64], int]:
    """Images of all sources (:class:`Gathered`), the chance of drawing each, and the number of instances.

    Raises:
        MissingFile, BadDataset: a source is missing, damaged or empty.
        BadRecipe: the sources do not agree on their classes.
    """
    if len({source.classes for source in sources}) > 1:
        raise BadRecipe("data", "sources with classes = 'own' and 'coarse' cannot be mixed; choose one of them for all")
    images = Gathered()
    chances: list[NDArray[np.float64]] = []
    for source in sources:
        found = read_source(source)
        if not found:
            raise BadDataset(source.path, f"no labelled images ({source.kind}, split '{source.split}')")
        images.add(found, source.without)
        chances.append(np.full(len(found), source.weight / len(found)))
    weights = np.concatenate(chances)
    return images, weights / weights.sum(), images.instances


def read_source(source: DataSource) -> Sequence[LabelledImage]:
    """The labelled images of one source.

    Raises:
        MissingFile: no such folder or file.
        BadDataset: as the reader of its kind.
        BadRecipe: a kind that has no classes of its own.
    """
    path = Path(os.path.expandvars(source.path))
    if not path.exists():
        raise MissingFile(path, "no such data folder (is DPRNET_DATA set?); see [[data]] in the recipe")
    if source.guessed and source.kind != "ccp":
        raise BadRecipe("data.guessed", f"nothing was guessed for '{source.kind}'; only ccp has guessed viewpoints")
    if source.kind == "deepfashion2":
        return DeepFashion2(path, source.split, classes=source.classes)
    if source.classes == "own":
        raise BadRecipe("data.classes", f"'{source.kind}' has no classes of its own; only deepfashion2 has")
    if source.kind == "ccp":
        from dprnet.data import ccp, pseudo

        photos = ccp.labelled_images(path, source.split)
        return pseudo.with_guessed_viewpoints(photos, source.guessed) if source.guessed else photos
    if source.kind == "coco":
        from dprnet.data.coco import read_coco

        return read_coco(path)
    if source.kind == "luma":
        from dprnet.data.luma_views import labelled_images

        return labelled_images(path, source.split)
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
        images: Sequence[LabelledImage],
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
        row = int(self.rows[side][min(drawn, len(cumulated) - 1)])
        image = self.images[row]
        pixels, truth = self.augment(image.load(), image.truth, rng)
        if isinstance(self.images, Gathered):
            truth = self.images.taught(row, truth)
        truth = believed(truth, image.guessed, rng)
        whole = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)
        picture = fit(whole, short, round(short * self.elongation))
        scale = np.array([picture.shape[2] / whole.shape[2], picture.shape[1] / whole.shape[1]] * 2, np.float32)
        truth = replace(truth, boxes_xyxy=truth.boxes_xyxy * scale, ignore_xyxy=truth.ignore_xyxy * scale)
        return picture, truth, str(image.path)


def believed(truth: Truth, guessed: Mapping[str, float], rng: np.random.Generator) -> Truth:
    """A truth whose guessed labels are kept as often as they weigh, and else are unknown.

    A guess of weight w thus adds w times what a label would to the loss, in the mean over the steps; the network and
    its losses need not know of guesses.
    """
    doubted = [branch for branch, weight in sorted(guessed.items()) if rng.random() >= weight]
    columns: dict[str, Any] = {branch: np.full(len(truth), UNLABELLED, np.int64) for branch in doubted}
    return replace(truth, **columns)


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
