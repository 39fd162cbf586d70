"""Landmarks and attributes of training photos, where a made-up set tells them; only FashionNet learns from them.

Shape legend
    n  photos    B  photos of a batch    L  landmarks    A  attributes    S  side of the cached square
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dprnet.core.classes import COARSE_CLASSES
from dprnet.data.photo_batch import BatchAugment
from dprnet.data.shopset import ShopSet
from dprnet.train.photos import PhotoCache
from dprnet.train.shots import PhotoSource

LANDMARKS = ("collar_left", "collar_right", "sleeve_left", "sleeve_right", "waist_left", "waist_right", "hem_left",
             "hem_right")  # fmt: skip
"""DeepFashion's eight; every garment has some of them."""
UPPER = {0: 0, 1: 1, 2: 5, 3: 6, 6: 7, 7: 8}  # of ours, which of the world's nine of an upper garment or dress
SKIRT = {4: 0, 5: 1, 6: 2, 7: 3}
LEGS = {4: 0, 5: 1, 6: 3, 7: 4}  # of trousers and shorts
ATTRIBUTES = ("print", "sleeve", "length", "neckline", "front", "colours")
PLAIN = {"brightness": 0.0, "contrast": 0.0, "cast": 0.0, "blur": 0.0, "noise": 0.0, "erase": 0.0}

Key = tuple[str, str, int, tuple[float, ...] | None]
"""Garment, file, frame and box: two garments may have one box."""


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What is known of each photo of a cache; parallel to it."""

    landmarks: NDArray[np.float32]
    """(n, L, 3) x, y in [-1, 1] over the square, state 2 visible, 1 hidden, 0 unknown."""
    attributes: NDArray[np.float32]
    """(n, A) 1 has it, 0 has it not, -1 unknown."""
    names: tuple[str, ...]
    """A names, ``print=stripes``."""


def read_marks(sources: Sequence[PhotoSource], cache: PhotoCache) -> Marks:
    """The marks of a cache's photos; unknown for photos that no made-up set tells of."""
    points: dict[Key, tuple[list[float], int]] = {}
    told: dict[str, set[str]] = {}
    for source in sources:
        if source.kind == "shopset":
            shopset = ShopSet.open(Path(os.path.expandvars(source.path)))
            points |= _points(shopset)
            told |= _told(shopset)
    names = tuple(sorted(set().union(*told.values()))) if told else ()
    landmarks = np.zeros((len(cache), len(LANDMARKS), 3), np.float32)
    attributes = np.full((len(cache), len(names)), -1, np.float32)
    for row, shot in enumerate(cache.shots):
        photo = shot.photo
        found = points.get((photo.instance, str(photo.path), shot.frame, photo.box_xyxy))
        if found is not None and photo.box_xyxy is not None:
            landmarks[row] = on_square(found[0], found[1], photo.box_xyxy)
        if (mine := told.get(photo.instance)) is not None:
            attributes[row] = [name in mine for name in names]
    return Marks(landmarks, attributes, names)


def on_square(values: Sequence[float], label: int, box_xyxy: Sequence[float]) -> NDArray[np.float32]:
    """Landmarks of a frame, as stored (x, y, v, ...), on the letterboxed square of the garment's box.

    Args:
        values: triplets in pixels of the frame; another number than the class has gives none.
        label: index into COARSE_CLASSES.
        box_xyxy: in pixels of the frame.

    Returns:
        (L, 3) as in Marks.

    >>> skirt = [0, 0, 2, 4, 0, 2, 0, 8, 1, 4, 8, 0]  # the corners of a box of 4 x 8
    >>> on_square(skirt, COARSE_CLASSES.index("skirt"), (0, 0, 4, 8))[4:].tolist()
    [[-0.5, -1.0, 2.0], [0.5, -1.0, 2.0], [-0.5, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    name = COARSE_CLASSES[label] if label >= 0 else ""
    slots, wanted = (SKIRT, 4) if name == "skirt" else (LEGS, 5) if name in ("trousers", "shorts") else (UPPER, 9)
    found = np.zeros((len(LANDMARKS), 3), np.float32)
    if len(values) != 3 * wanted:
        return found
    left, top, right, bottom = (math.floor(box_xyxy[0]), math.floor(box_xyxy[1]),
                                math.ceil(box_xyxy[2]), math.ceil(box_xyxy[3]))  # fmt: skip
    half = max(right - left, bottom - top) / 2
    for slot, place in slots.items():
        x, y, state = values[3 * place : 3 * place + 3]
        if state > 0:
            found[slot] = (x - (left + right) / 2) / half, (y - (top + bottom) / 2) / half, state
    return found


def follow(landmarks: Tensor, augment: BatchAugment, side: int, seed: int) -> Tensor:
    """Where landmarks lie after a batch was augmented with a generator of this seed; those cut away become unknown.

    Two ramps of coordinates go through the same augmentation, so whatever it does to the photos is followed.

    Args:
        landmarks: (B, L, 3) on the cached squares.
        augment: what the photos go through.
        side: S.
        seed: of the generator that the photos were augmented with.
    """
    plain = BatchAugment(augment.settings.model_copy(update=PLAIN), augment.size)
    ramp = 255 * (torch.arange(side) + 0.5) / side
    ramps = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side), torch.zeros(side, side)])
    none = torch.zeros(len(landmarks), dtype=torch.long)
    batch = ramps.repeat(len(landmarks), 1, 1, 1)
    seen = plain(batch, none, none, torch.Generator().manual_seed(seed)).flatten(2)
    outside = seen[:, 2] > 1
    wanted = 127.5 * (landmarks[..., :2] + 1)
    apart = (seen[:, None, :2] - wanted[..., None]).square().sum(dim=2).masked_fill(outside[:, None], torch.inf)
    least, place = apart.min(dim=2)
    x, y = place % augment.size, place // augment.size
    # Within two pixels of the augmented square, else it has left the picture.
    state = torch.where(least.sqrt() < 2 * 255 / augment.size, landmarks[..., 2], 0.0)
    return torch.stack([(2 * x + 1) / augment.size - 1, (2 * y + 1) / augment.size - 1, state], dim=2)


def _points(shopset: ShopSet) -> dict[Key, tuple[list[float], int]]:
    owner = {row["instance"]: row for row in shopset.instances.to_pylist()}
    stills = {(row["video"], row["frame_index"]): row["image"] for row in shopset.still_frames.to_pylist()}
    found: dict[Key, tuple[list[float], int]] = {}
    for row in shopset.frames.to_pylist():
        if not row["landmarks"]:
            continue
        still = stills.get((row["video"], row["frame_index"]))
        path = shopset.folder / still if still else shopset.video_path(row["video"])
        frame = -1 if still else int(row["frame_index"])
        box = tuple(row[side] for side in ("x1", "y1", "x2", "y2"))
        worn = owner[row["instance"]]
        found[_identity(shopset, worn), str(path), frame, box] = (row["landmarks"], worn["label"])
    return found


def _told(shopset: ShopSet) -> dict[str, set[str]]:
    """Attributes by identity."""
    found = {}
    for row in shopset.instances.to_pylist():
        known: Mapping[str, Any] = json.loads(row["attributes"] or "{}")
        words = {f"{kind}={value}" for kind in ATTRIBUTES for value in _each(known.get(kind)) if value}
        if words:
            found[_identity(shopset, row)] = words
    return found


def _identity(shopset: ShopSet, row: Mapping[str, Any]) -> str:
    """``Photo.instance`` as ``train.photos`` gives it to a garment."""
    return f"{shopset.id}/{row['item_id'] or row['instance']}"


def _each(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]
