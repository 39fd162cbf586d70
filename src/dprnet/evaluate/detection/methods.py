"""Ways to tell the garments of a video apart, each with one cut: vectors clustered as picking does, or a tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from dprnet.core.records import FloatArray, IntArray
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.tracker import TrackConfig, track

# Shape legend:  N detections of a video that show a garment   D numbers of a vector   K cuts   P pairs

Vectors = Callable[[Seen], FloatArray]
"""A video -> one vector for each of all its detections, (all, D)."""
CUTS = tuple(round(0.02 * step, 2) for step in range(51))  # ours: 1 - cosine from 0 to 1
OVERLAPS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # ours: IoU of a tracker


@dataclass(frozen=True)
class Method:
    """A way to tell garments apart."""

    name: str
    cuts: tuple[float, ...]
    """The values of its one setting that are tried, ascending."""
    clusters: Callable[[Seen], IntArray]
    """A video -> (K, N) cluster of each detection that shows a garment, at every cut."""
    distances: Callable[[Seen], Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]] | None = None
    """A video -> for each pool the distances of its pairs (P,) and whether they show one garment (P,)."""


def by_vectors(name: str, vectors: Vectors, cuts: Sequence[float] = CUTS) -> Method:
    """Agglomerative clustering of vectors by Eq. 4, average linkage, as picking does with the instance embeddings."""

    def clusters(video: Seen) -> IntArray:
        rows = showing(video)
        found = np.zeros((len(cuts), len(rows)), np.int64)
        every = vectors(video)
        for pool, distance in _pools(video, rows, every):
            base = found.max(initial=-1) + 1
            if len(pool) == 1:
                found[:, pool] = base
                continue
            tree = linkage(squareform(distance, checks=False), "average")
            for step, cut in enumerate(cuts):
                found[step, pool] = base + fcluster(tree, cut, "distance")
        return found

    def distances(video: Seen) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        rows = showing(video)
        instance = shown_instances(video)[rows]
        for pool, distance in _pools(video, rows, vectors(video)):
            above = np.triu_indices(len(pool), 1)
            yield distance[above], instance[pool][above[0]] == instance[pool][above[1]]

    return Method(name, tuple(cuts), clusters, distances)


def by_overlap(name: str = "IoU tracker", cuts: Sequence[float] = OVERLAPS, gap: int = 1) -> Method:
    """A tracker that joins boxes of neighbouring frames (of those that hold any detection) by their overlap."""

    def clusters(video: Seen) -> IntArray:
        rows, frames = showing(video), np.unique(video.detections.frame_index)
        tracks = [track(video.detections, frames, TrackConfig(least_iou=cut, gap=gap))[rows] for cut in cuts]
        return np.stack(tracks)

    return Method(name, tuple(cuts), clusters)


def instance_branch(video: Seen) -> FloatArray:
    """The vectors of the paper's way: the instance branch's embeddings."""
    return video.detections.embeddings


def showing(video: Seen) -> IntArray:
    """(N,) rows of the detections that show a true garment."""
    rows: IntArray = np.flatnonzero(video.views >= 0)
    return rows


def _pools(video: Seen, rows: IntArray, vectors: FloatArray) -> Iterator[tuple[IntArray, NDArray[np.float64]]]:
    """Positions in rows of each coarse class, and their dissimilarities (Eq. 4)."""
    labels = video.detections.labels[rows]
    for label in np.unique(labels):
        pool = np.flatnonzero(labels == label)
        chosen = vectors[rows[pool]].astype(np.float64)
        unit = chosen / np.linalg.norm(chosen, axis=1, keepdims=True)
        distance = np.clip(1 - unit @ unit.T, 0, 2)
        np.fill_diagonal(distance, 0)
        yield pool, (distance + distance.T) / 2
