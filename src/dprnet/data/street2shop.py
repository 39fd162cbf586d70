"""Street2Shop: street photos with the box of a garment, and the shop's photos of the same product, by category.

    meta/json/{train_pairs,test_pairs}_dresses.json   [{"photo", "product", "bbox": {left, top, width, height}}, ...]
    meta/json/retrieval_dresses.json                  [{"photo", "product"}, ...] the shop's photos
    photos/photos.txt                                 000000001,url    the images themselves are fetched by the user,
    photos/000000001.jpg                              under their id (any ending that we read)

Boxes are stored as left, top, width, height; here they are corners, as everywhere. A query is searched among the shop
photos of its own category, as published. What may be wrong with the files is listed by
:func:`dprnet.data.street2shop_check.check_street2shop`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dprnet.core.classes import COARSE_CLASSES, UNLABELLED
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.json_file import read_json
from dprnet.data.labelled import Photo
from dprnet.data.protocols import Protocol, unique
from dprnet.data.splits import check_split

META = "meta/json"
CATEGORIES = ("bags", "belts", "dresses", "eyewear", "footwear", "hats", "leggings", "outerwear", "pants", "skirts",
              "tops")  # fmt: skip
COARSE: Mapping[str, str] = {
    "dresses": "dress", "leggings": "trousers", "outerwear": "outerwear", "pants": "trousers", "skirts": "skirt",
    "tops": "top",
}  # fmt: skip
GARMENTS = tuple(COARSE)
"""The categories that are garments of ours."""
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tiff")
MAX_BYTES = 500_000_000

Entry = Mapping[str, Any]
Box = tuple[float, float, float, float]


class Street2Shop:
    """The data set in a folder.

    Args:
        root: the folder that holds ``meta`` and ``photos``.

    Raises:
        MissingFile: there is no ``meta/json``.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if not (self.root / META).is_dir():
            raise MissingFile(self.root / META, "no such folder; is this the folder that holds meta and photos?")

    @cached_property
    def files(self) -> Mapping[int, Path]:
        """The images that are there, by id."""
        folder = self.root / "photos"
        if not folder.is_dir():
            return {}
        names = [Path(entry.name) for entry in os.scandir(folder)]
        return {
            int(name.stem): folder / name for name in names if name.stem.isdigit() and name.suffix.lower() in ENDINGS
        }

    def path(self, photo: int) -> Path:
        """The file of an image; where it would be, if it is not there."""
        return self.files.get(photo, self.root / "photos" / f"{photo:09d}.jpg")

    def entries(self, kind: str, category: str) -> list[Entry]:
        """The entries of ``train_pairs``, ``test_pairs`` or ``retrieval``.

        Raises:
            MissingFile, BadDataset: no such file, or no list of entries with a photo and a product.
        """
        path = self.root / META / f"{kind}_{category}.json"
        read = read_json(path, MAX_BYTES, "no such list")
        if not isinstance(read, list):
            raise BadDataset(path, "holds no list")
        for row, entry in enumerate(read):
            numbers = [entry.get(name) if isinstance(entry, dict) else None for name in ("photo", "product")]
            if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
                raise BadDataset(path, f"entry {row}: wanted numbers photo and product, got {str(entry)[:80]}")
            if kind != "retrieval":
                corners(path, row, entry)
        return read

    def street(self, kind: str, category: str) -> Iterator[Photo]:
        """Street photos of ``train_pairs`` or ``test_pairs``."""
        path = self.root / META / f"{kind}_{category}.json"
        for row, entry in enumerate(self.entries(kind, category)):
            yield self._photo(entry, category, corners(path, row, entry))

    def shop(self, category: str) -> Iterator[Photo]:
        """The shop's photos of a category."""
        for entry in self.entries("retrieval", category):
            yield self._photo(entry, category, None)

    def photos(self, split: str, categories: tuple[str, ...] = GARMENTS) -> list[Photo]:
        """Street and shop photos of the products of a split, each once.

        There is no validation split: one training product in ten, by a hash of its number, is held out for it (ours).

        Args:
            split: train, validation or test.
            categories: of CATEGORIES.

        Raises:
            MissingFile, BadDataset: a list is missing or wrong.
        """
        wanted, found = check_split(split), list[Photo]()
        for category in categories:
            kind = "test_pairs" if wanted == "test" else "train_pairs"
            held = wanted == "validation"
            street = [p for p in self.street(kind, category) if wanted == "test" or _held_out(p) == held]
            products = {photo.instance for photo in street}
            found += [*street, *(photo for photo in self.shop(category) if photo.instance in products)]
        return list(unique(found))

    def protocol(self, category: str) -> Protocol:
        """Queries of the test pairs among all shop photos of a category."""
        return Protocol(
            f"Street2Shop {category}", tuple(self.street("test_pairs", category)), unique(self.shop(category))
        )

    def _photo(self, entry: Entry, category: str, box: Box | None) -> Photo:
        label = COARSE_CLASSES.index(COARSE[category]) if category in COARSE else UNLABELLED
        instance = f"street2shop/{entry['product']}"
        return Photo(self.path(entry["photo"]), box, instance, label, "shop" if box is None else "video")


def corners(path: Path, row: int, entry: Entry) -> Box:
    """x1 y1 x2 y2 of an entry's box.

    Raises:
        BadDataset: no box with left, top, width and height, or one without an inside.

    >>> corners(Path("x.json"), 0, {"bbox": {"left": 2, "top": 3, "width": 10, "height": 20}})
    (2.0, 3.0, 12.0, 23.0)
    """
    box = entry.get("bbox")
    try:
        left, top, width, height = (float(box[name]) for name in ("left", "top", "width", "height"))  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        raise BadDataset(path, f"entry {row}: bbox wants left, top, width, height, got {str(box)[:80]}") from None
    if not (width > 0 and height > 0):
        raise BadDataset(path, f"entry {row}: the box {left:g} {top:g} {width:g} {height:g} has no inside")
    return left, top, left + width, top + height


def _held_out(photo: Photo) -> bool:
    return zlib.crc32(photo.instance.encode()) % 10 == 0


def photos(root: Path | str, split: str) -> list[Photo]:
    """Garments of a split; see :class:`Street2Shop`."""
    return Street2Shop(root).photos(split)
