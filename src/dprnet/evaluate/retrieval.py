"""How well photos find their garment in a gallery: Recall@K and mean average precision, with intervals.

Shape legend
    Q  queries    G  photos of the gallery    D  numbers of a vector
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.errors import BadDataset
from dprnet.core.records import BoolArray, FloatArray, Image, IntArray
from dprnet.data import clothing, luma
from dprnet.data.labelled import Photo
from dprnet.evaluate.bootstrap import Interval, ratio_interval
from dprnet.evaluate.metrics import average_precision

KS = (1, 5, 10, 20, 50)
ENOUGH_PIXELS = 256  # ours: short side at which photos are read; embedders look at no more
FRONT = 0  # index into VIEWPOINTS
Describe = Callable[[Iterable[Image]], FloatArray]
"""Images (uint8 RGB (H, W, 3)) -> (N, D) vectors of length 1: an embedder, a floor, a baseline."""


@dataclass(frozen=True, slots=True)
class RetrievalFigures:
    """What one run of queries against one gallery gave."""

    name: str
    queries: int
    gallery_photos: int
    gallery_items: int
    recall: dict[int, Interval]
    """Recall@K by K: fraction of queries whose garment is among the K best items."""
    mean_average_precision: Interval
    """Over the gallery's photos: all photos of the garment should come first."""
    right: int
    """Queries whose best item is the right one."""
    wrong: tuple[tuple[str, str], ...]
    """(query, photo found first) of every other query."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self) | {"recall": {str(k): asdict(figure) for k, figure in self.recall.items()}}


def evaluate_retrieval(
    describe: Describe,
    queries: Sequence[Photo],
    gallery: Sequence[Photo],
    *,
    name: str = "retrieval",
    ks: Sequence[int] = KS,
) -> RetrievalFigures:
    """Search every query in a gallery; the right answer is the item of the same ``Photo.instance``.

    An item is as similar as its most similar photo. Queries whose garment is not in the gallery count as misses.

    Raises:
        BadDataset: no query or no gallery photo.
        MissingFile, BadImage: a photo that cannot be read.
    """
    if not queries or not gallery:
        raise BadDataset(name, f"{len(queries)} queries and {len(gallery)} gallery photos; both are needed")
    similarity = describe(_load(queries)) @ describe(_load(gallery)).T
    return figures_of(similarity, queries, gallery, name=name, ks=ks)


def figures_of(
    similarity: FloatArray,
    queries: Sequence[Photo],
    gallery: Sequence[Photo],
    *,
    name: str = "retrieval",
    ks: Sequence[int] = KS,
) -> RetrievalFigures:
    """The figures of similarities that are already there, (Q, G)."""
    owner, wanted = owners(queries, gallery)
    rank = item_ranks(similarity, owner, wanted)
    precision = average_precisions(similarity, owner, wanted)
    clusters = np.unique([photo.instance for photo in queries], return_inverse=True)[1]
    best = similarity.argmax(axis=1).tolist()
    wrong = [(str(queries[row].path), str(gallery[best[row]].path)) for row in np.flatnonzero(rank != 1).tolist()]
    return RetrievalFigures(
        name=name,
        queries=len(queries),
        gallery_photos=len(gallery),
        gallery_items=int(owner.max()) + 1,
        recall={k: with_interval((rank <= k).astype(np.float64), clusters) for k in ks},
        mean_average_precision=with_interval(precision, clusters),
        right=int((rank == 1).sum()),
        wrong=tuple(wrong),
    )


def owners(queries: Sequence[Photo], gallery: Sequence[Photo]) -> tuple[IntArray, IntArray]:
    """(G,) number of each gallery photo's item, in the order they come; (Q,) the right item of each query, or -1."""
    numbers = {instance: number for number, instance in enumerate(dict.fromkeys(photo.instance for photo in gallery))}
    owner = np.array([numbers[photo.instance] for photo in gallery], np.int64)
    return owner, np.array([numbers.get(photo.instance, -1) for photo in queries], np.int64)


def average_precisions(similarity: FloatArray, owner: IntArray, wanted: IntArray) -> FloatArray:
    """(Q,) average precision over the gallery's photos; arguments as :func:`item_ranks`."""
    return np.array([_precision(row, owner == want) for row, want in zip(similarity, wanted, strict=True)])


def item_ranks(similarity: FloatArray, owner: IntArray, wanted: IntArray) -> FloatArray:
    """Rank of the right item for each query, from 1; infinity where the gallery has it not. Ties count against.

    Args:
        similarity: (Q, G).
        owner: (G,) item of each gallery photo, numbered 0, 1, ...
        wanted: (Q,) the right item, or -1.

    >>> item_ranks(np.array([[0.9, 0.2, 0.5]]), np.array([0, 1, 1]), np.array([1]))
    array([2.])
    >>> item_ranks(np.array([[0.5, 0.5], [0.1, 0.2]]), np.array([0, 1]), np.array([1, -1]))
    array([ 2., inf])
    """
    items = int(owner.max()) + 1
    best = np.full((len(similarity), items), -np.inf)
    for item in range(items):
        best[:, item] = similarity[:, owner == item].max(axis=1, initial=-np.inf)
    known = wanted >= 0
    own = np.take_along_axis(best, np.maximum(wanted, 0)[:, None], axis=1)
    # The item itself is among those at least as similar, so counting it gives ranks from 1.
    return np.where(known, (best >= own).sum(axis=1), np.inf)


def with_interval(values: FloatArray, clusters: IntArray) -> Interval:
    """Mean of the queries' values with its interval; whole garments are drawn, not single queries.

    >>> print(with_interval(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])))
    0.500 [0.000, 1.000]
    """
    return ratio_interval(np.bincount(clusters, weights=values), np.bincount(clusters))


def _precision(similarity: FloatArray, relevant: BoolArray) -> float:
    """Average precision of one query, (G,) and (G,); of equal similarities the wrong comes first."""
    return average_precision(relevant[np.lexsort((relevant, -similarity))], max(int(relevant.sum()), 1))


def luma_back_to_front(describe: Describe, data_root: Path, split: str = "test") -> RetrievalFigures:
    """Backs find their fronts: the clean pairs of a split against all luma fronts and all of clothing."""
    queries = [back for _, back in luma.pairs(data_root, split)]
    return evaluate_retrieval(describe, queries, luma_gallery(data_root), name=f"luma {split}: back to front")


def luma_alt1_to_front(describe: Describe, data_root: Path, split: str = "test") -> RetrievalFigures:
    """First alternative views find their fronts, in the same gallery."""
    queries = [photo for photo in luma.photos(data_root, split) if photo.path.stem.endswith("_alt1")]
    return evaluate_retrieval(describe, queries, luma_gallery(data_root), name=f"luma {split}: alt1 to front")


def luma_gallery(data_root: Path) -> list[Photo]:
    """All luma fronts and all of clothing, every split: what the real-catalogue figures are measured in."""
    splits = ("train", "validation", "test")
    fronts = [photo for split in splits for photo in luma.photos(data_root, split) if photo.viewpoint == FRONT]
    return fronts + [photo for split in splits for photo in clothing.photos(data_root, split)]


def luma_figures(describe: Describe, data_root: Path, split: str = "test") -> tuple[RetrievalFigures, RetrievalFigures]:
    """Back to front and alt1 to front, the gallery described once."""
    gallery = luma_gallery(data_root)
    backs = [back for _, back in luma.pairs(data_root, split)]
    others = [photo for photo in luma.photos(data_root, split) if photo.path.stem.endswith("_alt1")]
    if not backs or not others:
        raise BadDataset(data_root, f"luma has {len(backs)} backs and {len(others)} alt1 photos in '{split}'")
    similarity = describe(_load([*backs, *others])) @ describe(_load(gallery)).T
    first = figures_of(similarity[: len(backs)], backs, gallery, name=f"luma {split}: back to front")
    second = figures_of(similarity[len(backs) :], others, gallery, name=f"luma {split}: alt1 to front")
    return first, second


def _load(photos: Sequence[Photo]) -> Iterator[Image]:
    return (photo.load(short_side=ENOUGH_PIXELS) for photo in photos)
