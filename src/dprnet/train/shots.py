"""Which photos an embedder is trained on: sources as a recipe names them, and the garments on their photos."""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from dprnet.core.config import Settings
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.labelled import Photo
from dprnet.data.shopset import ShopSet

log = logging.getLogger(__name__)

DATA_VARIABLE = "DPRNET_DATA"
SMALLEST = 24  # ours: pixels; narrower views show no cloth
MOST_HIDDEN = 0.6  # ours: fraction of a garment; a view with less of it could be anything


class PhotoSource(Settings):
    """Where training photos come from."""

    kind: Literal["luma", "clothing", "shopset", "deepfashion_c2s", "street2shop", "pairs"]
    path: str = ""  # of the set; empty for luma and clothing: in the folder that DPRNET_DATA names
    split: Literal["train", "validation"] = "train"  # of luma and clothing; a shopset is one split
    weight: float = Field(default=1.0, gt=0)  # ours: this source's share of the instances drawn
    paired: float = Field(default=1.0, gt=0)  # ours: how much more often an instance with several photos is drawn
    light: float = Field(default=1.0, ge=0)  # ours: share of `augment`'s change of light; a studio's is even
    per_instance: int = Field(default=12, ge=1)  # ours: most photos kept of one instance, evenly spaced


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo of one garment in a file of its own, or in a frame of a video."""

    photo: Photo
    frame: int = -1
    """Index of the frame where ``photo.path`` is a video."""
    group: str = ""
    """Garments that are easily mistaken for one another share it (other colours of a product, a class of the world)."""


def read_sources(sources: Sequence[PhotoSource]) -> list[list[Shot]]:
    """The photos of each source.

    Raises:
        MissingFile: a source that is not there.
        BadDataset: a source without photos.
    """
    found = []
    for source in sources:
        shots_ = thin(_READERS[source.kind](source), source.per_instance)
        name = f"{source.kind} {source.path}".strip()
        if not shots_:
            raise BadDataset(name, f"has no photos (split '{source.split}')")
        log.info("%s: %d photos of %d instances", name, len(shots_), len({shot.photo.instance for shot in shots_}))
        found.append(shots_)
    return found


def shots(photos: Sequence[Photo]) -> list[Shot]:
    """Photos in files of their own; garments of one product (``Photo.item``) are a group."""
    return [Shot(photo, group=photo.item) for photo in photos]


def shopset_shots(shopset: ShopSet, most: int) -> list[Shot]:
    """Views of each garment in the videos and stills of a set, and the shop's photos of its item.

    Garments without an item are instances by themselves; items that nobody wears too (they tell look-alikes apart).

    Args:
        shopset: the set.
        most: views kept of one garment, evenly spaced over those that show enough of it.
    """
    owner = {row["instance"]: row for row in shopset.instances.to_pylist()}
    stills = {(row["video"], row["frame_index"]): row["image"] for row in shopset.still_frames.to_pylist()}
    views: dict[int, list[Shot]] = {}
    for row in shopset.frames.drop_columns(["landmarks"]).to_pylist():
        box = (row["x1"], row["y1"], row["x2"], row["y2"])
        hidden = 1 - (1 - _known(row["occluded"])) * (1 - _known(row["cut_off"]))
        if min(box[2] - box[0], box[3] - box[1]) < SMALLEST or hidden > MOST_HIDDEN:
            continue
        worn = owner[row["instance"]]
        still = stills.get((row["video"], row["frame_index"]))
        path = shopset.folder / still if still else shopset.video_path(row["video"])
        name = f"{shopset.id}/{worn['item_id'] or row['instance']}"
        photo = Photo(path, box, name, worn["label"], "video", row["viewpoint"])
        group = f"{shopset.id}/{worn['label']}"
        views.setdefault(row["instance"], []).append(Shot(photo, -1 if still else row["frame_index"], group))
    found = [shot for pile in views.values() for shot in thin(pile, most)]
    label_of = {row["item_id"]: row["label"] for row in owner.values() if row["item_id"]}
    with shopset.catalogue_path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            item, label = row["item_id"], label_of.get(row["item_id"], -1)
            photo = Photo(shopset.folder / row["image"], None, f"{shopset.id}/{item}", label, "shop")
            found.append(Shot(photo, group=f"{shopset.id}/{label}" if label >= 0 else ""))
    return found


def _known(fraction: float) -> float:
    return 0.0 if math.isnan(fraction) else fraction


def thin(found: Sequence[Shot], most: int) -> list[Shot]:
    """At most so many shots of an instance and domain, evenly spaced in the order given."""
    piles: dict[tuple[str, str], list[int]] = {}
    for row, shot in enumerate(found):
        piles.setdefault((shot.photo.instance, shot.photo.domain), []).append(row)
    kept: set[int] = set()
    for pile in piles.values():
        steps = np.linspace(0, len(pile) - 1, min(most, len(pile))).round().astype(int)
        kept.update(pile[step] for step in steps)
    return [shot for row, shot in enumerate(found) if row in kept]


def data_folder() -> Path:
    """The folder that the environment variable DPRNET_DATA names.

    Raises:
        MissingFile: the variable is not set, or names no folder.
    """
    value = os.environ.get(DATA_VARIABLE, "")
    if not value or not Path(value).is_dir():
        raise MissingFile(value or DATA_VARIABLE, f"set {DATA_VARIABLE} to the folder of real data")
    return Path(value)


def _luma(source: PhotoSource) -> list[Shot]:
    from dprnet.data import luma

    return shots(
        luma.photos(Path(os.path.expandvars(source.path)) if source.path else data_folder() / "luma", source.split)
    )


def _clothing(source: PhotoSource) -> list[Shot]:
    from dprnet.data import clothing

    return shots(
        clothing.photos(
            Path(os.path.expandvars(source.path)) if source.path else data_folder() / "clothing", source.split
        )
    )


def _shopset(source: PhotoSource) -> list[Shot]:
    return shopset_shots(ShopSet.open(Path(os.path.expandvars(source.path))), source.per_instance)


def _deepfashion_c2s(source: PhotoSource) -> list[Shot]:
    from dprnet.data import deepfashion_c2s

    return shots(deepfashion_c2s.photos(_given(source), source.split))


def _street2shop(source: PhotoSource) -> list[Shot]:
    from dprnet.data import street2shop

    return shots(street2shop.photos(_given(source), source.split))


def _pairs(source: PhotoSource) -> list[Shot]:
    from dprnet.data import pairs

    return shots(pairs.photos(_given(source), source.split))


def _given(source: PhotoSource) -> Path:
    return Path(os.path.expandvars(source.path))


_READERS: Mapping[str, Callable[[PhotoSource], list[Shot]]] = {
    "luma": _luma,
    "clothing": _clothing,
    "shopset": _shopset,
    "deepfashion_c2s": _deepfashion_c2s,
    "street2shop": _street2shop,
    "pairs": _pairs,
}
