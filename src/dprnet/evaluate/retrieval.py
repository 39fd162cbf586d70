"""How well photos find their garment in a gallery: Recall@K and mean average precision, with intervals.

Shape legend
    Q  queries    G  photos of the gallery    D  numbers of a vector
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import BadDataset
from dprnet.core.records import BoolArray, FloatArray, Image, IntArray
from dprnet.data import clothing, luma
from dprnet.data.labelled import Photo
from dprnet.evaluate.bootstrap import Interval, difference_interval, ratio_interval
from dprnet.evaluate.failures import Failure, hardest
from dprnet.evaluate.metrics import average_precision
from dprnet.evaluate.other_colours import ColourOrder, colour_order
from dprnet.evaluate.views import Describe, of_views

KS = (1, 5, 10, 20, 50)
ENOUGH_PIXELS = 256  # ours: short side at which photos are read; embedders look at no more
FRONT = 0  # index into VIEWPOINTS


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
    per_class: dict[str, dict[int, Interval]]
    """Recall@K of the queries of each coarse class."""
    hardest: tuple[Failure, ...]
    """Those that the embedder was most sure of, first."""
    garments: tuple[str, ...]
    """(Q,) the garment of each query."""
    ranks: tuple[int, ...]
    """(Q,) rank of the right item, from 1; 0 where the gallery has it not."""
    other_colours: ColourOrder | None = None
    """Where the gallery holds the product of a query in several colours."""
    above_floor: dict[int, Interval] | None = None
    """Recall@K less that of the floor in the same run, paired over garments; None where there was no floor."""

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
    similarity = asking(describe, queries)(_load(queries)) @ describe(_load(gallery)).T
    return figures_of(similarity, queries, gallery, name=name, ks=ks)


def asking(describe: Describe, queries: Sequence[Photo]) -> Describe:
    """As the queries are described: as views, where they are no photos of a shop."""
    return of_views(describe) if any(query.domain == "video" for query in queries) else describe


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
    best = similarity.argmax(axis=1)
    wrong = [(str(queries[row].path), str(gallery[int(best[row])].path)) for row in np.flatnonzero(rank != 1).tolist()]
    own = np.where(owner[None] == wanted[:, None], similarity, -np.inf).max(axis=1)
    margins = np.where(np.isfinite(own), similarity.max(axis=1) - own, np.inf)
    labels = np.array([photo.label for photo in queries])

    def recall(rows: IntArray) -> dict[int, Interval]:
        inside = np.unique(clusters[rows], return_inverse=True)[1]
        return {k: with_interval((rank[rows] <= k).astype(np.float64), inside) for k in ks}

    return RetrievalFigures(
        name=name,
        queries=len(queries),
        gallery_photos=len(gallery),
        gallery_items=int(owner.max()) + 1,
        recall=recall(np.arange(len(queries))),
        mean_average_precision=with_interval(precision, clusters),
        right=int((rank == 1).sum()),
        wrong=tuple(wrong),
        per_class={
            COARSE_CLASSES[label]: recall(np.flatnonzero(labels == label))
            for label in np.unique(labels[labels >= 0]).tolist()
        },
        hardest=hardest(queries, gallery, rank, best, margins),
        garments=tuple(photo.instance for photo in queries),
        ranks=tuple(int(one) if np.isfinite(one) else 0 for one in rank),
        other_colours=colour_order(similarity, queries, gallery),
    )


def above(ours: RetrievalFigures, floor: RetrievalFigures) -> RetrievalFigures:
    """Our figures with Recall@K less that of a floor on the same queries, paired over garments.

    Raises:
        ValueError: the two were not asked for the same garments.
    """
    if ours.garments != floor.garments:
        raise ValueError(f"{ours.name} and {floor.name} are not of the same queries")
    clusters = np.unique(ours.garments, return_inverse=True)[1]
    whole = np.bincount(clusters)

    def hits(figures: RetrievalFigures, k: int) -> FloatArray:
        ranks = np.array(figures.ranks)
        return np.bincount(clusters, weights=(ranks > 0) & (ranks <= k)).astype(np.float32)

    less = {k: difference_interval((hits(ours, k), whole), (hits(floor, k), whole)) for k in ours.recall}
    return replace(ours, above_floor=less)


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


def luma_gallery(data_root: Path) -> list[Photo]:
    """All luma fronts and all of clothing, every split: what the real-catalogue figures are measured in."""
    splits = ("train", "validation", "test")
    fronts = [photo for split in splits for photo in luma.photos(data_root, split) if photo.viewpoint == FRONT]
    return fronts + [photo for split in splits for photo in clothing.photos(data_root, split)]


def luma_figures(describe: Describe, data_root: Path, split: str = "test") -> tuple[RetrievalFigures, ...]:
    """Back to front, alt1 to front, and every other view to front; each photo is described once.

    Raises:
        BadDataset: the split has no backs or no alt1 photos.
    """
    gallery = luma_gallery(data_root)
    others = [photo for photo in luma.photos(data_root, split) if photo.viewpoint != FRONT]
    backs = {back.path for _, back in luma.pairs(data_root, split)}
    alt1 = {photo.path for photo in others if photo.path.stem.endswith("_alt1")}
    if not backs or not alt1:
        raise BadDataset(data_root, f"luma has {len(backs)} backs and {len(alt1)} alt1 photos in '{split}'")
    similarity = describe(_load(others)) @ describe(_load(gallery)).T
    parts = {"back": backs, "alt1": alt1, "every other view": {photo.path for photo in others}}
    found = []
    for name, paths in parts.items():
        rows = [row for row, photo in enumerate(others) if photo.path in paths]
        asked = [others[row] for row in rows]
        found.append(figures_of(similarity[rows], asked, gallery, name=f"luma {split}: {name} to front"))
    return tuple(found)


def _load(photos: Sequence[Photo]) -> Iterator[Image]:
    return (photo.load(short_side=ENOUGH_PIXELS) for photo in photos)
