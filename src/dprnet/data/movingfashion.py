"""MovingFashion (Godi et al. 2021): videos of social networks and shops, each with the photo of its product.

    videos/*.mp4   imgs/*.{jpg,png}   train.json   test.json
    { "<product>": {"img_path": .., "video_paths": [..], "source": 0 hard | 1 regular,
                    "tracklets": [{"<frame>": [x1, y1, x2, y2]}, one a video] } }        tracklets: test only

The order of a box's corners is stated nowhere: it is checked, and a file that has it otherwise is said to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dprnet.core.errors import BadDataset
from dprnet.data.json_file import read_json

Source = Literal["hard", "regular"]
Split = Literal["train", "test"]
Box = tuple[float, float, float, float]

SOURCES: tuple[Source, ...] = ("hard", "regular")  # 0 and 1 in the files
MAX_BYTES = 1_000_000_000
MOST_OF_A_KIND = 20  # ours: so many examples of one problem, then their number

# Products, videos, photos, hard products, regular products of the published set.
PUBLISHED: Mapping[Split, tuple[int, int, int, int, int]] = {
    "train": (12_648, 13_526, 12_630, 3_530, 9_118),
    "test": (1_342, 1_329, 1_341, 328, 1_014),
}
KNOWN_MISSING: Mapping[Split, int] = {"train": 22, "test": 1}
"""Videos that the published archive lacks."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product with its photo and the videos in which it is worn."""

    product_id: str
    image: str
    """Relative to the folder."""
    videos: tuple[str, ...]
    source: Source
    """``hard``: social networks; ``regular``: the shop's own videos."""
    tracklets: tuple[Mapping[int, Box], ...] = ()
    """One a video: frame -> x1, y1, x2, y2 in pixels; empty in the training split."""


@dataclass(frozen=True, slots=True)
class Query:
    """One video and all products that are right for it."""

    video: str
    products: tuple[str, ...]
    """Thirteen queries of the published test set have several."""
    source: Source
    tracklet: Mapping[int, Box]


@dataclass(frozen=True)
class MovingFashion:
    """One split, as far as its files are there."""

    folder: Path
    split: Split
    products: tuple[Product, ...]
    """All that the table lists, also those whose files are missing."""

    def of(self, source: Source) -> MovingFashion:
        """The hard or the regular part."""
        return replace(self, products=tuple(one for one in self.products if one.source == source))

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Videos and photos that the table lists and the folder lacks, each once, in order."""
        listed = {name for one in self.products for name in (one.image, *one.videos)}
        return tuple(sorted(name for name in listed if not (self.folder / name).is_file()))

    @property
    def queries(self) -> tuple[Query, ...]:
        """One a video that is there, with every product that lists it and whose photo is there."""
        missing = set(self.missing)
        found: dict[str, Query] = {}
        for one in self.products:
            if one.image in missing:
                continue
            for place, video in enumerate(one.videos):
                if video in missing:
                    continue
                tracklet = one.tracklets[place] if one.tracklets else {}
                old = found.get(video)
                if old is None:
                    found[video] = Query(video, (one.product_id,), one.source, tracklet)
                elif one.product_id not in old.products:
                    found[video] = replace(old, products=(*old.products, one.product_id))
        return tuple(found[video] for video in sorted(found))

    @property
    def gallery(self) -> dict[str, str]:
        """Photo (relative to the folder) of each product whose photo is there."""
        missing = set(self.missing)
        return {one.product_id: one.image for one in self.products if one.image not in missing}


def read_movingfashion(folder: Path | str, split: Split = "test", source: Source | None = None) -> MovingFashion:
    """Read one split; files that the archive lacks are no error, see :attr:`MovingFashion.missing`.

    Args:
        folder: holds ``train.json`` or ``test.json``.
        split: which of them.
        source: only the hard or the regular part; both unless given.

    Raises:
        MissingFile: no such table.
        BadDataset: it is not in the form above; the sentence names product and value.
    """
    folder = Path(folder)
    path = folder / f"{split}.json"
    products = tuple(_product(path, name, values) for name, values in _table(path).items())
    whole = MovingFashion(folder, split, products)
    return whole.of(source) if source else whole


def check_movingfashion(folder: Path | str, split: Split = "test") -> list[str]:
    """All that is wrong or unlike the published set, as sentences; an empty list means neither.

    Raises:
        MissingFile: no such table.
        BadDataset: not JSON, or no table of products.
    """
    path = Path(folder) / f"{split}.json"
    products, problems = [], []
    for name, values in _table(path).items():
        try:
            products.append(_product(path, name, values))
        except BadDataset as error:
            problems.append(str(error))
    problems = _bounded(problems)
    read = MovingFashion(Path(folder), split, tuple(products))
    return [*problems, *_bounded(list(_files(read))), *_unlike(read)]


def _table(path: Path) -> dict[str, Any]:
    values = read_json(path, MAX_BYTES, "no such table; is this the folder of MovingFashion?")
    if not isinstance(values, dict):
        raise BadDataset(path, "wanted an object: product -> img_path, video_paths, source")
    return values


def _product(path: Path, name: str, values: Any) -> Product:
    where = f"product '{name}'"
    if not isinstance(values, dict):
        raise BadDataset(path, f"{where}: wanted img_path, video_paths and source, got {type(values).__name__}")
    image, videos, source = (values.get(key) for key in ("img_path", "video_paths", "source"))
    if not isinstance(image, str) or not image:
        raise BadDataset(path, f"{where}: img_path is {image!r}, wanted a path")
    if not isinstance(videos, list) or not all(isinstance(video, str) and video for video in videos):
        raise BadDataset(path, f"{where}: video_paths is no list of paths")
    if isinstance(source, bool) or source not in {0, 1}:
        raise BadDataset(path, f"{where}: source is {source!r}, wanted 0 (hard) or 1 (regular)")
    for relative in (image, *videos):
        if Path(relative).is_absolute() or ".." in Path(relative).parts:
            raise BadDataset(path, f"{where}: '{relative}' leads out of the folder")
    tracklets = values.get("tracklets") or []
    if tracklets and len(tracklets) != len(videos):
        raise BadDataset(path, f"{where}: {len(tracklets)} tracklets for {len(videos)} videos")
    boxes = tuple(_tracklet(path, f"{where}, tracklet {number}", one) for number, one in enumerate(tracklets))
    return Product(name, image, tuple(videos), SOURCES[int(source)], boxes)


def _tracklet(path: Path, where: str, values: Any) -> dict[int, Box]:
    if not isinstance(values, dict):
        raise BadDataset(path, f"{where}: wanted frame -> box, got {type(values).__name__}")
    found: dict[int, Box] = {}
    for frame, box in values.items():
        try:
            index = int(frame)
            x1, y1, x2, y2 = (float(value) for value in box)
        except (TypeError, ValueError):
            raise BadDataset(path, f"{where}: frame '{frame}' has {box!r}, wanted four numbers") from None
        if index < 0 or not all(map(math.isfinite, (x1, y1, x2, y2))):
            raise BadDataset(path, f"{where}: frame '{frame}' or its box {box!r} is no number of an image")
        if x2 <= x1 or y2 <= y1:
            raise BadDataset(path, f"{where}: box {box!r} of frame {frame} is no x1, y1, x2, y2 (width and height, or "
                                   "corners in another order?)")  # fmt: skip
        found[index] = (x1, y1, x2, y2)
    return dict(sorted(found.items()))


def _files(read: MovingFashion) -> Iterator[str]:
    for name in read.missing:
        owner = next(one.product_id for one in read.products if name in {one.image, *one.videos})
        yield f"{name}: missing (product '{owner}')"


def _unlike(read: MovingFashion) -> Iterator[str]:
    videos = len({video for one in read.products for video in one.videos})
    images = len({one.image for one in read.products})
    hard = sum(one.source == "hard" for one in read.products)
    found = (len(read.products), videos, images, hard, len(read.products) - hard)
    names = ("products", "videos", "photos", "hard products", "regular products")
    for what, have, published in zip(names, found, PUBLISHED[read.split], strict=True):
        if have != published:
            yield f"{read.split}.json: {have} {what}, the published set has {published}"


def _bounded(sentences: list[str]) -> list[str]:
    if len(sentences) <= MOST_OF_A_KIND:
        return sentences
    return [*sentences[:MOST_OF_A_KIND], f"and {len(sentences) - MOST_OF_A_KIND} more like the last"]
