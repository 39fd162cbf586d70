"""How hard a set is: the share of good views, what the shop holds, and how far colours and general features get.

The floor is what anybody has without training: a colour histogram beside features of a network that was trained on
something else (`evaluate.floors.Floor`). It is handed in as a function, so that this room needs no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image as PillowImage

from dprnet.core.errors import BadDataset
from dprnet.core.images import cut_out
from dprnet.core.records import FloatArray, Image
from dprnet.data.shopset import ShopSet
from dprnet.data.world.seeds import rng_of

SMALLEST = 32
"""Pixels; views with a shorter side are no queries (METHODS: measures of picking)."""
SHORTEST_S = 0.5
"""Seconds; garments seen for less do not count (METHODS: measures of picking)."""

Describe = Callable[[Sequence[Image]], FloatArray]
"""Many crops (uint8 RGB of any size) to (N, D) features of length 1."""


@dataclass(frozen=True)
class Difficulty:
    """Figures of one set; shares in [0, 1]."""

    set_id: str
    garments: int
    """Garments that are seen long and large enough."""
    views: int
    items: int
    good_views: float
    """Share of views that are frontal, at most slightly occluded and not cropped; the world aims at 0.5 or less."""
    seen_well: float
    """Share of garments with at least one such view."""
    lookalike: float
    """Share of garments with a look-alike in the shop; the world aims at 0.2."""
    no_item: float
    """Share of garments that the shop does not have; the world aims at 0.1."""
    floor_recall_at_1: float | None = None
    """Share of garments found first by the floor on a random view; the world aims at 0.40 or less."""
    floor_recall_at_5: float | None = None
    queries: int = 0

    def lines(self) -> list[str]:
        """One sentence a figure."""
        floor = [] if self.floor_recall_at_1 is None else [self.floor_recall_at_1, self.floor_recall_at_5]
        texts = [
            f"set {self.set_id}: {self.garments} garments in {self.views} views, {self.items} items",
            f"good views: {self.good_views:.3f} of all (aim: 0.5 or less); {self.seen_well:.3f} of garments have one",
            f"garments with a look-alike in the shop: {self.lookalike:.3f} (aim: 0.2)",
            f"garments without an item: {self.no_item:.3f} (aim: 0.1)",
        ]
        if floor:
            texts.append(
                f"floor over {self.queries} garments: Recall@1 {floor[0]:.3f} (aim: 0.40 or less), @5 {floor[1]:.3f}"
            )
        return texts

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def difficulty(shopset: ShopSet, describe: Describe | None = None, seed: int = 0) -> Difficulty:
    """Measure a set; the floor's recall only where ``describe`` is given.

    Raises:
        BadDataset: the set has no views.
    """
    frames, instances = shopset.frames, shopset.instances
    if not frames.num_rows:
        raise BadDataset(shopset.folder, "the set has no annotated frames")
    large = _large(shopset)
    counted = _counted(shopset, large)
    chosen = np.isin(frames["instance"].to_numpy(), list(counted))
    good = good_views(shopset)
    rows = [row for row in instances.to_pylist() if row["instance"] in counted]
    items = {row["item_id"] for row in catalogue(shopset)}
    well = set(frames["instance"].to_numpy()[good & large].tolist())
    found: dict[str, Any] = {}
    if describe is not None:
        found = _floor(shopset, describe, counted, large & chosen, seed)
    total = max(1, len(rows))
    return Difficulty(
        set_id=shopset.id,
        garments=len(rows),
        views=int(frames.num_rows),
        items=len(items),
        good_views=float(good.mean()),
        seen_well=len(well & counted) / total,
        lookalike=sum(bool(row["lookalike"]) for row in rows) / total,
        no_item=sum(row["item_id"] is None for row in rows) / total,
        **found,
    )


def good_views(shopset: ShopSet) -> NDArray[np.bool_]:
    """(rows of frames,) True where a view is frontal, at most slightly occluded and not cropped."""
    frames = shopset.frames
    good = pc.and_(pc.equal(frames["viewpoint"], 0), pc.equal(frames["occlusion"], 0))
    result: NDArray[np.bool_] = pc.and_(good, pc.equal(frames["crop"], 0)).to_numpy(zero_copy_only=False)
    return result


def _large(shopset: ShopSet) -> NDArray[np.bool_]:
    x1, y1, x2, y2 = (shopset.frames[name].to_numpy() for name in ("x1", "y1", "x2", "y2"))
    result: NDArray[np.bool_] = np.minimum(x2 - x1, y2 - y1) >= SMALLEST
    return result


def _counted(shopset: ShopSet, large: NDArray[np.bool_]) -> set[int]:
    """Garments seen long enough in large views (in single frames: in any)."""
    table = shopset.frames
    seen: dict[int, int] = {}
    for instance in table["instance"].to_numpy()[large].tolist():
        seen[instance] = seen.get(instance, 0) + 1
    fps = int(dict(shopset.meta.get("settings") or {}).get("fps", 12))
    least = 1 if shopset.still_frames.num_rows else SHORTEST_S * fps
    return {instance for instance, count in seen.items() if count >= least}


def catalogue(shopset: ShopSet) -> list[Mapping[str, str]]:
    """The rows of the catalogue."""
    import csv

    with shopset.catalogue_path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _floor(
    shopset: ShopSet, describe: Describe, counted: set[int], large: NDArray[np.bool_], seed: int
) -> dict[str, Any]:
    items = {row["instance"]: row["item_id"] for row in shopset.instances.to_pylist()}
    table = shopset.frames.to_pylist()
    views: dict[int, list[int]] = {}
    for k in np.flatnonzero(large):
        views.setdefault(table[k]["instance"], []).append(int(k))
    wanted = []
    for instance in sorted(counted):
        if items[instance] is not None:
            rows = views[instance]
            wanted.append(table[rows[int(rng_of("view", seed, instance).integers(len(rows)))]])
    if not wanted:
        return {}
    queries, truth = [], []
    for row, crop in _crops(shopset, wanted):
        queries.append(crop)
        truth.append(items[row["instance"]])
    rows_of_shop = catalogue(shopset)
    photos = [_open(shopset, row["image"]) for row in rows_of_shop]
    similar = describe(queries) @ describe(photos).T
    names = np.array([row["item_id"] for row in rows_of_shop])
    hits = [_rank(similar[k], names, item) for k, item in enumerate(truth)]
    at = {n: sum(rank < n for rank in hits) / len(hits) for n in (1, 5)}
    return {"floor_recall_at_1": at[1], "floor_recall_at_5": at[5], "queries": len(hits)}


def _rank(similar: FloatArray, names: NDArray[Any], item: str) -> int:
    """How many other items are more similar than the right one (an item is as similar as its best photo)."""
    right = similar[names == item].max(initial=-np.inf)
    return len(set(names[(similar > right) & (names != item)].tolist()))


def _open(shopset: ShopSet, relative: str) -> Image:
    with PillowImage.open(shopset.folder / relative) as image:
        return np.asarray(image.convert("RGB"))


def _crops(shopset: ShopSet, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Image]]:
    """The boxes of rows of ``frames``, cut out of their videos or single frames."""
    stills = {(row["video"], row["frame_index"]): row["image"] for row in shopset.still_frames.to_pylist()}
    for video in sorted({row["video"] for row in rows}):
        mine = sorted((row for row in rows if row["video"] == video), key=lambda row: row["frame_index"])
        indices = [row["frame_index"] for row in mine]
        if (video, indices[0]) in stills:
            images: Mapping[int, Image] = {k: _open(shopset, stills[video, k]) for k in set(indices)}
        else:
            images = _frames(shopset, video, set(indices))
        for row in mine:
            yield row, cut_out(images[row["frame_index"]], (row["x1"], row["y1"], row["x2"], row["y2"]))


def _frames(shopset: ShopSet, video: str, indices: set[int]) -> dict[int, Image]:
    import av

    found: dict[int, Image] = {}
    with av.open(str(shopset.video_path(video))) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in indices:
                found[number] = frame.to_ndarray(format="rgb24")
            if len(found) == len(indices):
                break
    return found
