"""Queries and galleries of photos, read once as small squares: what many methods are measured on in one run.

Shape legend
    N  photos    Q  queries    G  photos of a gallery    S  side of a square
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.classes import UNLABELLED
from dprnet.core.errors import BadDataset
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import IntArray
from dprnet.data import luma
from dprnet.data.labelled import Photo
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.retrieval import luma_gallery
from dprnet.gallery import read_catalogue
from dprnet.train.photos import PhotoCache, load_photos
from dprnet.train.shots import Shot


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """One task: find the garments of the queries in the gallery. Photos are told as shots (a file, or a frame)."""

    name: str
    queries: tuple[Shot, ...]
    gallery: tuple[Shot, ...]

    def thinned(self, queries: int, gallery: int) -> PhotoSet:
        """A small one for a try: evenly spaced queries, their right answers, and so many other photos."""
        asked = _evenly(self.queries, queries)
        wanted = {shot.photo.instance for shot in asked}
        right = [shot for shot in self.gallery if shot.photo.instance in wanted]
        others = [shot for shot in self.gallery if shot.photo.instance not in wanted]
        return PhotoSet(self.name, tuple(asked), (*right, *_evenly(others, gallery)))


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSets:
    """Several tasks over one store of squares; a photo that two of them share is there once."""

    cache: PhotoCache
    sets: tuple[tuple[str, IntArray, IntArray], ...]
    """Name, (Q,) and (G,) rows of the cache."""

    def photos(self, rows: IntArray) -> list[Photo]:
        """The photos of some rows."""
        return [self.cache.shots[row].photo for row in rows.tolist()]


def load_sets(
    sets: Sequence[PhotoSet], side: int, progress: Progress = SILENT, *, fit: str = "letterbox", fill: int = 255
) -> LoadedSets:
    """Read all photos of some tasks as (S, S, 3); one that cannot be read is left out and logged.

    ``fit`` and ``fill`` say how a photo becomes a square, as in the settings of an embedder.

    Raises:
        BadDataset: a task without queries or gallery.
    """
    for one in sets:
        if not one.queries or not one.gallery:
            raise BadDataset(one.name, f"{len(one.queries)} queries and {len(one.gallery)} photos; both are needed")
    every = list(dict.fromkeys(shot for one in sets for shot in (*one.queries, *one.gallery)))
    cache = load_photos([every], side, fit=fit, fill=fill, progress=progress)
    row_of = {shot: row for row, shot in enumerate(cache.shots)}

    def rows(shots: Sequence[Shot]) -> IntArray:
        return np.array([row_of[shot] for shot in shots if shot in row_of], np.int64)

    return LoadedSets(cache, tuple((one.name, rows(one.queries), rows(one.gallery)) for one in sets))


def luma_sets(root: Path, split: str) -> tuple[PhotoSet, PhotoSet]:
    """Backs and first alternative views of a split's products, in all fronts and all of clothing."""
    gallery = tuple(Shot(photo) for photo in luma_gallery(root))
    backs = tuple(Shot(back) for _, back in luma.pairs(root, split))
    others = tuple(Shot(photo) for photo in luma.photos(root, split) if photo.path.stem.endswith("_alt1"))
    return (
        PhotoSet(f"luma {split}: back to front", backs, gallery),
        PhotoSet(f"luma {split}: alt1 to front", others, gallery),
    )


def shopset_task(shopset: ShopSet, distractors: Sequence[Path] = ()) -> PhotoSet:
    """The true box of each sold garment's best view, in the photos of the set's shop and of further catalogues.

    Raises:
        MissingFile, BadCatalogue: a catalogue is not there, or cannot be read.
    """
    gallery = [*shop_shots(shopset), *distractor_shots(distractors)]
    return PhotoSet(f"{shopset.folder.name}: best view to shop photo", tuple(best_views(shopset)), tuple(gallery))


def turned_task(shopset: ShopSet, distractors: Sequence[Path] = ()) -> PhotoSet:
    """As :func:`shopset_task`, and asked a second time by each garment's best view that is not frontal."""
    task = shopset_task(shopset, distractors)
    turned = [shot for shot in best_views(shopset, turned=True) if shot not in set(task.queries)]
    return PhotoSet(f"{shopset.folder.name}: views to shop photo", (*task.queries, *turned), task.gallery)


def shop_shots(shopset: ShopSet) -> list[Shot]:
    """The photos of a set's shop; an item's garment is ``SET/ITEM``, as in :func:`best_views`."""
    label_of = {row["item_id"]: row["label"] for row in shopset.instances.to_pylist() if row["item_id"]}
    return [
        Shot(Photo(image, None, f"{shopset.id}/{item.item_id}", label_of.get(item.item_id, -1), "shop"))
        for item in read_catalogue(shopset.catalogue_path).items
        for image in item.files
    ]


def distractor_shots(catalogues: Sequence[Path]) -> list[Shot]:
    """The photos of catalogues that only make a gallery larger (paper, section 4.1): right for no query."""
    return [
        Shot(Photo(image, None, f"distractor {number}/{item.item_id}", -1, "shop"))
        for number, catalogue in enumerate(catalogues)
        for item in read_catalogue(catalogue).items
        for image in item.files
    ]


def best_views(shopset: ShopSet, *, turned: bool = False) -> list[Shot]:
    """The view of the highest true quality of every garment that has an item; of equal ones the largest.

    Quality is [frontal] x (1 - occluded) x (1 - cut off); fractions nobody labelled count as 0, and [frontal] is
    dropped for a garment that is never frontal. Videos that the set leaves out are left out. With ``turned`` only views
    from the side or the back count, and garments without any are left out.
    """
    names = set(shopset.videos)
    stills = {(row["video"], row["frame_index"]): row["image"] for row in shopset.still_frames.to_pylist()}
    views: dict[int, list[dict[str, Any]]] = {}
    for row in shopset.frames.drop_columns(["landmarks"]).to_pylist():
        if not (turned and (row["frontal"] or row["viewpoint"] == UNLABELLED)):
            views.setdefault(row["instance"], []).append(row)
    found = []
    for owner in shopset.instances.to_pylist():
        rows = views.get(owner["instance"])
        if not owner["item_id"] or not rows:
            continue
        best = max(rows, key=_quality)
        still = stills.get((best["video"], best["frame_index"]))
        if still is None and best["video"] not in names:
            continue
        path = shopset.folder / still if still else shopset.video_path(best["video"])
        box = (best["x1"], best["y1"], best["x2"], best["y2"])
        photo = Photo(path, box, f"{shopset.id}/{owner['item_id']}", owner["label"], "video", best["viewpoint"])
        found.append(Shot(photo, -1 if still else best["frame_index"]))
    return found


def _quality(row: dict[str, Any]) -> tuple[bool, float, float]:
    seen = 1.0
    for name in ("occluded", "cut_off"):
        seen *= 1 - (0.0 if math.isnan(row[name]) else row[name])
    # A frontal view goes before any other that is not wholly hidden, which is what the product does.
    return bool(row["frontal"]) and seen > 0, seen, (row["x2"] - row["x1"]) * (row["y2"] - row["y1"])


def _evenly(shots: Sequence[Shot], most: int) -> list[Shot]:
    if len(shots) <= most:
        return list(shots)
    return [shots[int(step)] for step in np.linspace(0, len(shots) - 1, most).round()]
