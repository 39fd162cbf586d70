"""Backgrounds for pasted scenes: streets without their person, blurred photos, plain walls, rooms of a few shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw, ImageFilter

from dprnet.core.images import read_image
from dprnet.core.records import BoolArray, Image
from dprnet.data import ccp

NARROWEST = 100  # ours: pixels of street beside a person that are worth enlarging


def ground(width: int, height: int, street: Path, rng: np.random.Generator) -> Image:
    """A background, uint8 (height, width, 3); ``street`` is a photo of ``ccp`` whose surroundings may be used."""
    kind = rng.random()
    if kind < 0.25:
        return plain(width, height, rng)
    if kind < 0.45:
        return room(width, height, rng)
    image, person = read_image(street).image, ccp.read_mask(ccp.mask_path(street)) > 0
    if kind < 0.75 and (beside := street_beside(image, person, width / height, rng)) is not None:
        return fitted(beside, width, height, rng.uniform(0.5, 3.0))
    return fitted(without_person(image, person), width, height, rng.uniform(6.0, 20.0))


def street_beside(image: Image, person: BoolArray, aspect: float, rng: np.random.Generator) -> Image | None:
    """A window of the given aspect ratio (width / height) beside the person, or None where the street is too narrow."""
    columns = np.flatnonzero(person.any(axis=0))
    if not len(columns):
        return None
    left, right = int(columns[0]), person.shape[1] - 1 - int(columns[-1])
    first, free = (0, left) if left >= right else (person.shape[1] - right, right)
    if free < NARROWEST:
        return None
    width = int(rng.uniform(0.7, 1.0) * free)
    height = min(int(width / aspect), image.shape[0])
    x = first + int(rng.integers(free - width + 1))
    y = int(rng.integers(image.shape[0] - height + 1))
    return image[y : y + height, x : x + width]


def without_person(image: Image, person: BoolArray) -> Image:
    """The photo with the person painted over, row by row, from the left neighbour to the right one.

    >>> row = np.array([[[0] * 3, [9] * 3, [9] * 3, [90] * 3]], np.uint8)
    >>> without_person(row, np.array([[False, True, True, False]]))[0, :, 0]
    array([ 0, 30, 60, 90], dtype=uint8)
    """
    filled = image.copy()
    across = np.arange(image.shape[1])
    for y in np.flatnonzero(person.any(axis=1)):
        hidden = person[y]
        if hidden.all():
            continue
        for channel in range(3):
            filled[y, hidden, channel] = np.interp(across[hidden], across[~hidden], image[y, ~hidden, channel])
    return filled


def plain(width: int, height: int, rng: np.random.Generator) -> Image:
    """A wall: a few colours that run into one another, with a little grain."""
    grey = rng.uniform(40, 255)
    corners = np.clip(grey + rng.normal(0, 25, (2, 2, 1)) + rng.normal(0, 18, (2, 2, 3)), 0, 255).astype(np.uint8)
    wall = np.asarray(Pil.fromarray(corners).resize((width, height), Pil.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-6, 7, (height, width, 1), dtype=np.int16)
    made: Image = np.clip(wall + grain, 0, 255).astype(np.uint8)
    return made


def room(width: int, height: int, rng: np.random.Generator) -> Image:
    """A wall and a floor with doors, windows and shelves as plain shapes."""
    picture = Pil.fromarray(plain(width, height, rng))
    pen = ImageDraw.Draw(picture)
    horizon = int(height * rng.uniform(0.6, 0.9))
    pen.rectangle((0, horizon, width, height), fill=_colour(rng))
    for _ in range(int(rng.integers(3, 14))):
        x, y = rng.uniform(-0.1, 1.0) * width, rng.uniform(-0.1, 0.8) * height
        w, h = rng.uniform(0.04, 0.5) * width, rng.uniform(0.04, 0.5) * height
        pen.rectangle((x, y, x + w, y + h), fill=_colour(rng), outline=_colour(rng), width=int(rng.integers(1, 6)))
    return np.asarray(picture.filter(ImageFilter.BoxBlur(float(rng.uniform(0, 3)))), np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    grey = rng.uniform(30, 240)
    return tuple(int(value) for value in np.clip(grey + rng.normal(0, 25, 3), 0, 255))


def fitted(image: Image, width: int, height: int, blur: float) -> Image:
    """The middle of a photo at another size (pixels), out of focus by ``blur`` pixels."""
    picture = Pil.fromarray(image)
    factor = max(width / picture.width, height / picture.height)
    # Blurred while small: the same picture, sooner.
    step = max(blur / 2, 1.0)
    small = (max(round(width / step), 2), max(round(height / step), 2))
    seen = min(width / factor, picture.width), min(height / factor, picture.height)
    # Rounding must not push the window over the edge by a hair.
    left, top = (max((whole - part) / 2, 0.0) for whole, part in zip(picture.size, seen, strict=True))
    box = (left, top, min(left + seen[0], picture.width), min(top + seen[1], picture.height))
    shrunk = picture.resize(small, Pil.Resampling.BILINEAR, box=box).filter(ImageFilter.BoxBlur(blur / step))
    return np.asarray(shrunk.resize((width, height), Pil.Resampling.BICUBIC), np.uint8)
