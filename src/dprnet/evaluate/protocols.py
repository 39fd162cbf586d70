"""Published protocols of photo retrieval: top-K over the gallery's photos, as DeepFashion and Street2Shop are measured.

Shape legend
    Q  queries    G  photos of the gallery    D  numbers of a vector
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import BadDataset
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import FloatArray, Image, IntArray
from dprnet.data.labelled import Photo
from dprnet.data.protocols import Protocol
from dprnet.evaluate.bootstrap import Interval
from dprnet.evaluate.failures import Failure, hardest
from dprnet.evaluate.retrieval import ENOUGH_PIXELS, owners, with_interval
from dprnet.evaluate.views import Describe, of_views

KS = (1, 5, 10, 20, 50)
BLOCK = 1024  # ours: queries compared at once; all of DeepFashion's with all of its gallery would take 9 GB


@dataclass(frozen=True, slots=True)
class ProtocolFigures:
    """What a protocol gave."""

    name: str
    queries: int
    gallery_photos: int
    top: dict[int, Interval]
    """Top-K accuracy: share of the queries with a right photo among the first K photos; interval over garments."""
    per_class: dict[str, dict[int, Interval]]
    hardest: tuple[Failure, ...]
    """Those that the embedder was most sure of, first."""


def evaluate_protocol(
    describe: Describe, protocol: Protocol, *, ks: Sequence[int] = KS, progress: Progress = SILENT
) -> ProtocolFigures:
    """Measure an embedder by a protocol; as :func:`evaluate_protocols`."""
    return evaluate_protocols(describe, [protocol], ks=ks, progress=progress)[0]


def evaluate_protocols(
    describe: Describe, protocols: Sequence[Protocol], *, ks: Sequence[int] = KS, progress: Progress = SILENT
) -> tuple[ProtocolFigures, ...]:
    """Measure an embedder by several protocols; each photo is described once, however often and where it asks.

    Raises:
        BadDataset: a protocol without queries or gallery.
        MissingFile, BadImage: a photo that cannot be read.
    """
    for one in protocols:
        if not one.queries or not one.gallery:
            sentence = f"{len(one.queries)} queries and {len(one.gallery)} gallery photos; both are needed"
            raise BadDataset(one.name, sentence)
    photos = list(dict.fromkeys(photo for one in protocols for photo in (*one.queries, *one.gallery)))
    photos.sort(key=lambda photo: photo.domain)  # the shop's first; sorting keeps the order of the others
    own = sum(photo.domain == "shop" for photo in photos)
    sides = ((describe, photos[:own]), (of_views(describe), photos[own:]))
    vectors = np.concatenate([side(_pixels(shown, progress)) for side, shown in sides if shown])
    row_of = {photo: row for row, photo in enumerate(photos)}

    def of(asked: Sequence[Photo]) -> FloatArray:
        found: FloatArray = vectors[[row_of[photo] for photo in asked]]
        return found

    return tuple(figures_of_vectors(of(one.queries), of(one.gallery), one, ks=ks) for one in protocols)


def figures_of_vectors(
    queries: FloatArray, gallery: FloatArray, protocol: Protocol, *, ks: Sequence[int] = KS
) -> ProtocolFigures:
    """The figures of vectors that are already there, (Q, D) and (G, D), in the protocol's order."""
    owner, wanted = owners(protocol.queries, protocol.gallery)
    parts = []
    for first in range(0, len(queries), BLOCK):
        similarity: FloatArray = queries[first : first + BLOCK] @ gallery.T
        parts.append(_best_of(similarity, owner, wanted[first : first + BLOCK]))
    ranks, found, margins = (np.concatenate([part[column] for part in parts]) for column in range(3))
    clusters = np.unique([photo.instance for photo in protocol.queries], return_inverse=True)[1]
    labels = np.array([photo.label for photo in protocol.queries])

    def top(rows: IntArray) -> dict[int, Interval]:
        inside = np.unique(clusters[rows], return_inverse=True)[1]
        return {k: with_interval((ranks[rows] <= k).astype(np.float32), inside) for k in ks}

    return ProtocolFigures(
        name=protocol.name,
        queries=len(queries),
        gallery_photos=len(gallery),
        top=top(np.arange(len(queries))),
        per_class={
            COARSE_CLASSES[label]: top(np.flatnonzero(labels == label))
            for label in np.unique(labels[labels >= 0]).tolist()
        },
        hardest=hardest(protocol.queries, protocol.gallery, ranks, found, margins),
    )


def photo_ranks(similarity: FloatArray, owner: IntArray, wanted: IntArray) -> FloatArray:
    """Rank of the best right photo among all photos, (Q,) from 1; infinity where there is none. Ties count against.

    Papers on DeepFashion count photos; ``retrieval.item_ranks`` counts items, each by its best photo, never worse.

    Args:
        similarity: (Q, G).
        owner: (G,) item of each photo.
        wanted: (Q,) the right item, or -1.

    >>> photo_ranks(np.array([[0.9, 0.8, 0.5]]), np.array([0, 0, 1]), np.array([1]))
    array([3.])
    """
    return _best_of(similarity, owner, wanted)[0]


def _best_of(similarity: FloatArray, owner: IntArray, wanted: IntArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Ranks, the photo found first, and how far it lies above the best right one."""
    right = owner[None] == wanted[:, None]
    own = np.where(right, similarity, -np.inf).max(axis=1)
    before = ((similarity >= own[:, None]) & ~right).sum(axis=1)
    first = similarity.argmax(axis=1)
    ranks = np.where(right.any(axis=1), before + 1.0, np.inf)
    margins = np.where(np.isfinite(own), similarity.max(axis=1) - own, np.inf)
    return ranks, first, margins


def _pixels(photos: Sequence[Photo], progress: Progress) -> Iterator[Image]:
    for photo in progress.track(photos, "photos", len(photos)):
        yield photo.load(short_side=ENOUGH_PIXELS)
