"""What every reader of a labelled data set returns: images with boxes, and photos with an identity.

``LabelledImage`` trains and measures the detector, ``Photo`` the embedder. Both hold a path, not pixels, so that a list
of them costs nothing.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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

    A garment that has an item shares its identity with the item's photos; one without has an identity of its own. The
    frames of videos are not read here, only stills.

    Args:
        shopset: the set.
        min_side: crops with a shorter side (pixels) are left out; nothing can be recognised on them.
        heaviest_occlusion: crops of a worse occlusion (index into OCCLUSIONS) are left out; unlabelled ones stay.
    """
    item_of = dict(zip(*(shopset.instances[name].to_pylist() for name in ("instance", "item_id")), strict=True))
    photos = []
    for still in shopset.stills():
        truth = still.truth
        for row, box in enumerate(truth.boxes_xyxy.tolist()):
            small = min(box[2] - box[0], box[3] - box[1]) < min_side
            if small or truth.occlusion[row] > heaviest_occlusion:
                continue
            number = int(truth.instance[row])
            item = item_of[number] or ""
            photos.append(
                Photo(
                    path=still.path,
                    box_xyxy=(box[0], box[1], box[2], box[3]),
                    instance=f"{shopset.id}/{item}" if item else f"{shopset.id}/instance-{number}",
                    label=int(truth.labels[row]),
                    domain="video",
                    viewpoint=int(truth.viewpoint[row]),
                )
            )
    return photos + _shop_photos(shopset)


def _shop_photos(shopset: ShopSet) -> list[Photo]:
    labels = _item_labels(shopset)
    with shopset.catalogue_path.open(encoding="utf-8", newline="") as file:
        return [
            Photo(
                path=shopset.folder / row["image"],
                box_xyxy=None,
                instance=f"{shopset.id}/{row['item_id']}",
                label=labels.get(row["item_id"], _named(row.get("category") or "")),
                domain="shop",
            )
            for row in csv.DictReader(file)
        ]


def _item_labels(shopset: ShopSet) -> dict[str, int]:
    return dict(zip(*(shopset.instances[name].to_pylist() for name in ("item_id", "label")), strict=True))


def _named(category: str) -> int:
    return COARSE_CLASSES.index(category) if category in COARSE_CLASSES else UNLABELLED


def coarse_index(source: str, name: str) -> int:
    """Index into COARSE_CLASSES of a data set's own category name, or -1 where it is no garment of ours.

    >>> coarse_index("clothing", "Polo"), coarse_index("clothing", "Shoes")
    (0, -1)
    """
    coarse = coarse_class(source, name)
    return UNLABELLED if coarse is None or coarse == IGNORE else class_index(coarse)
