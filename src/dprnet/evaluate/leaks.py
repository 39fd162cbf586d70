"""Photos that are in two places: the same picture in two splits, or under two items.

Two passes: equal bytes, and near-equal pictures by a difference hash (64 bits of whether each pixel of a 9 x 8
thumbnail is darker than its right neighbour), which survives resizing and compression, not cropping or mirroring.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dprnet.core.errors import BadDataset, BadImage, MissingFile
from dprnet.core.images import resize
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Image
from dprnet.data import clothing, luma, pairs
from dprnet.data.deepfashion_c2s import PARTITION, ConsumerToShop
from dprnet.data.labelled import Photo, world_photos
from dprnet.data.shopset import META, ShopSet
from dprnet.data.splits import SPLITS
from dprnet.data.street2shop import META as STREET2SHOP
from dprnet.data.street2shop import Street2Shop

NEAR = 3  # ours: bits of 64 that may differ
PLAIN = 8  # ours: pictures with fewer set (or unset) bits show next to nothing, and all look alike
BITS = np.array([bin(value).count("1") for value in range(256)], np.uint8)

Hash = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Twin:
    """Two photos that show the same picture."""

    first: Path
    second: Path
    kind: Literal["equal", "near"]
    """Equal bytes, or a hash that differs in at most NEAR bits."""
    splits: tuple[str, str]
    items: tuple[str, str]

    @property
    def leak(self) -> bool:
        """Whether the two lie in different splits: a test that was trained on."""
        return self.splits[0] != self.splits[1]


def splits_of(places: Sequence[Path]) -> dict[str, list[Photo]]:
    """The photos of some data, by split: what must not be in two of them.

    Sets are a split each; the folder of real data, DeepFashion consumer-to-shop, Street2Shop and tables of pairs have
    theirs.

    Raises:
        BadDataset, MissingFile: a place that holds none of these, or cannot be read.
    """
    found: dict[str, list[Photo]] = {}
    for place in places:
        if (place / META).is_file():
            found.setdefault(str(place), []).extend(world_photos(ShopSet.open(place)))
            continue
        for split in SPLITS:
            found.setdefault(f"{place} {split}", []).extend(_photos(place, split))
    return {name: photos for name, photos in found.items() if photos}


def _photos(place: Path, split: str) -> list[Photo]:
    if (place / PARTITION).is_file():
        return ConsumerToShop(place).photos(split)
    if (place / STREET2SHOP).is_dir():
        return Street2Shop(place).photos(split)
    if place.is_file() and pairs.looks_like_pairs(place):
        return pairs.photos(place, split)
    if not any((place / name).is_dir() for name in ("luma", "clothing")):
        wanted = "a set, the folder of real data, DeepFashion consumer-to-shop, Street2Shop or a table of pairs"
        raise BadDataset(place, f"holds no photos that we know; wanted {wanted}")
    readers = {"luma": luma.photos, "clothing": clothing.photos}
    return [photo for name, read in readers.items() if (place / name).is_dir() for photo in read(place, split)]


def find_twins(splits: Mapping[str, Sequence[Photo]], progress: Progress = SILENT) -> list[Twin]:
    """Pairs of files that show one picture, where they lie in two splits or under two items; leaks first.

    Photos that cannot be read are left out; ``dprnet check`` names them.
    """
    place = {photo.path: (split, photo.instance) for split, photos in splits.items() for photo in photos}
    paths, digests, hashes = list[Path](), list[bytes](), list[Hash]()
    for path in progress.track(place, "photos", len(place)):
        photo = Photo(path, None, "", -1, "shop")
        try:
            picture = difference_hash(photo.load(short_side=64))
            digests.append(hashlib.sha256(path.read_bytes()).digest())
        except (BadImage, MissingFile, OSError):
            continue
        paths.append(path)
        hashes.append(picture)
    found = []
    for i, j in _near(np.array(hashes, np.uint8).reshape(-1, 8)):
        (split, item), (other_split, other_item) = place[paths[i]], place[paths[j]]
        if split != other_split or item != other_item:
            kind: Literal["equal", "near"] = "equal" if digests[i] == digests[j] else "near"
            found.append(Twin(paths[i], paths[j], kind, (split, other_split), (item, other_item)))
    return sorted(found, key=lambda twin: (not twin.leak, twin.kind, twin.first, twin.second))


def difference_hash(image: Image) -> Hash:
    """(8,) bytes: whether each pixel of a grey 9 x 8 thumbnail is darker than its right neighbour.

    >>> ramp = np.broadcast_to(np.arange(0, 90, dtype=np.uint8)[None, :, None], (80, 90, 3))
    >>> difference_hash(np.ascontiguousarray(ramp)).tolist()
    [255, 255, 255, 255, 255, 255, 255, 255]
    """
    small = resize(image, 9, 8).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.packbits(small[:, :-1] < small[:, 1:])


def _near(hashes: Hash) -> list[tuple[int, int]]:
    """Pairs of rows that differ in at most NEAR bits, without pictures that show next to nothing.

    Who differs in at most NEAR bits agrees in one of NEAR + 1 parts of the hash, so only rows that share a part are
    compared: hundreds of thousands of photos take minutes.
    """
    ones = BITS[hashes].sum(axis=1) if len(hashes) else np.zeros(0)
    telling = np.flatnonzero((ones >= PLAIN) & (ones <= 64 - PLAIN))
    parts = np.ascontiguousarray(hashes[telling]).view(np.uint16)
    assert parts.shape[1] == NEAR + 1, "a hash of 64 bits has one part of 16 more than may differ"
    found: set[tuple[int, int]] = set()
    for part in parts.T:
        order = np.argsort(part, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
            rows = np.sort(telling[group])
            for place, row in enumerate(rows[:-1]):
                later = rows[place + 1 :]
                apart = BITS[hashes[later] ^ hashes[row]].sum(axis=1)
                found.update((int(row), int(other)) for other in later[apart <= NEAR])
    return sorted(found)
