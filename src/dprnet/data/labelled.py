"""What every reader of a labelled data set returns: images with boxes, and photos with an identity.

``LabelledImage`` trains and measures the detector, ``Photo`` the embedder. Both hold a path, not pixels, so that a list
of them costs nothing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dprnet.core.classes import COARSE_CLASSES, IGNORE, UNLABELLED, class_index, coarse_class
from dprnet.core.images import cut_out, read_image
from dprnet.core.records import Image, Truth

if TYPE_CHECKING:
    from dprnet.data.shopset import ShopSet

Split = Literal["train", "validation", "test"]
Domain = Literal["shop", "video"]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and all that is known to be true of it."""

    path: Path
    truth: Truth
    """Boxes in pixels of the image as :meth:`load` returns it."""
    source: str
    """The data set: ``ccp``, ``world``, ``pasted`` ..."""
    guessed: Mapping[str, float] = field(default_factory=dict)
    """Branches whose labels another network guessed (``data.pseudo``), and what a guess weighs against a label, 0 to 1.
    For training only: nothing is measured by guesses."""

    def load(self) -> Image:
        """The pixels, uint8 (H, W, 3), RGB, upright.

        Raises:
            MissingFile, BadImage: as :func:`dprnet.core.images.read_image`.
        """
        return read_image(self.path).image


@dataclass(frozen=True, slots=True)
class Photo:
    """One view of one garment, for metric learning."""

    path: Path
    box_xyxy: tuple[float, float, float, float] | None
    """Where the garment is, in pixels; None: the whole photo."""
    instance: str
    """The identity that a query and its right answer share; unique over all data sets."""
    label: int
    """Index into COARSE_CLASSES, or -1."""
    domain: Domain
    viewpoint: int = UNLABELLED
    """Index into VIEWPOINTS, or -1."""
    item: str = ""
    """What photos of several identities have in common that makes them look alike (the product that comes in several
    colours); empty where nothing is known."""

    def load(self, short_side: int | None = None) -> Image:
        """The garment's pixels, uint8 (H, W, 3), RGB, upright, the box cut out.

        Args:
            short_side: pixels that are enough; a whole photo may come smaller, never with a shorter side below this
                (large JPEGs are then read several times faster).

        Raises:
            MissingFile, BadImage: as :func:`dprnet.core.images.read_image`.
        """
        if self.box_xyxy is None:
            return read_image(self.path, short_side=short_side).image
        return cut_out(read_image(self.path).image, self.box_xyxy)


def world_photos(shopset: ShopSet, *, min_side: float = 24.0, heaviest_occlusion: int = 2) -> list[Photo]:
    """The garments of a video-to-shop set: crops of its stills ("video") and the photos of its catalogue ("shop").

    A garment that has an item shares its identity with the item's photos; one without has an identity of its own. Where
    the attributes name an ``identity`` (pasted scenes: that of the photo the garment was cut out of), that is the
    identity, so that such a garment is no other than in its own data set; ``family`` likewise becomes ``Photo.item``.
    The frames of videos are not read here, only stills.

    Args:
        shopset: the set.
        min_side: crops with a shorter side (pixels) are left out; nothing can be recognised on them.
        heaviest_occlusion: crops of a worse occlusion (index into OCCLUSIONS) are left out; unlabelled ones stay.
    """
    known = {row["instance"]: _identity(shopset.id, row) for row in shopset.instances.to_pylist()}
    photos = []
    for still in shopset.stills():
        truth = still.truth
        for row, box in enumerate(truth.boxes_xyxy.tolist()):
            small = min(box[2] - box[0], box[3] - box[1]) < min_side
            if small or truth.occlusion[row] > heaviest_occlusion:
                continue
            identity, family, _ = known[int(truth.instance[row])]
            photos.append(
                Photo(
                    path=still.path,
                    box_xyxy=(box[0], box[1], box[2], box[3]),
                    instance=identity,
                    label=int(truth.labels[row]),
                    domain="video",
                    viewpoint=int(truth.viewpoint[row]),
                    item=family,
                )
            )
    return photos + _shop_photos(shopset)


def _identity(set_id: str, row: Mapping[str, Any]) -> tuple[str, str, int]:
    """Identity, family and class of a row of the table of instances."""
    attributes = json.loads(row["attributes"] or "{}")
    own = f"{set_id}/{row['item_id'] or 'instance-' + str(row['instance'])}"
    return str(attributes.get("identity") or own), str(attributes.get("family") or ""), int(row["label"])


def _shop_photos(shopset: ShopSet) -> list[Photo]:
    if not shopset.catalogue_path.is_file():
        return []
    of_item = {row["item_id"]: _identity(shopset.id, row) for row in shopset.instances.to_pylist() if row["item_id"]}
    photos = []
    with shopset.catalogue_path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            own = (f"{shopset.id}/{row['item_id']}", "", _named(row.get("category") or ""))
            identity, family, label = of_item.get(row["item_id"], own)
            path = shopset.folder / row["image"]
            photos.append(Photo(path, None, identity, label, "shop", item=family))
    return photos


def _named(category: str) -> int:
    return COARSE_CLASSES.index(category) if category in COARSE_CLASSES else UNLABELLED


def coarse_index(source: str, name: str) -> int:
    """Index into COARSE_CLASSES of a data set's own category name, or -1 where it is no garment of ours.

    >>> coarse_index("clothing", "Polo"), coarse_index("clothing", "Shoes")
    (0, -1)
    """
    coarse = coarse_class(source, name)
    return UNLABELLED if coarse is None or coarse == IGNORE else class_index(coarse)
