"""Agglomerative clustering of one pool (paper, section 3.2 and Eq. 4), exact and bounded in memory."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from dprnet.core.errors import BadVector
from dprnet.core.records import FloatArray, IntArray
from dprnet.pick.components import BLOCK, components, fold
from dprnet.pick.config import PickConfig

log = logging.getLogger(__name__)

# Two detections that must stay apart. Any average over clusters of up to `max_component` members that holds one such
# pair stays far above every cut, so the pair can never be joined; scipy refuses an infinite distance.
APART = 1e9

ROWS = 256  # whose distances are computed at once
SMALL = 256  # up to so many, scipy over the whole pool is faster than looking for components first


def cosine_dissimilarity(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Pairwise ``1 - cos`` of instance embeddings, (N, D) -> (N, N) in [0, 2] (paper, Eq. 4).

    >>> cosine_dissimilarity(np.array([[1.0, 0.0], [0.0, 2.0]]))
    array([[0., 1.],
           [1., 0.]])
    """
    unit = unit_vectors(embeddings)
    distances: NDArray[np.float64] = np.clip(1 - unit @ unit.T, 0, 2)
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0)
    return distances


def unit_vectors(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Rows divided by their Euclidean length, (N, D) -> (N, D).

    Raises:
        BadVector: a row that is zero, NaN or infinite, which has no direction.
    """
    unit: NDArray[np.float64] = np.divide(embeddings, lengths(embeddings)[:, None], dtype=np.float64)
    return unit


def mean_directions(embeddings: NDArray[Any], owner: IntArray, count: int) -> NDArray[np.float64]:
    """(I, D) the mean unit vector of each owner's rows, (N, D) and (N,); read in blocks, so that rows may be many.

    An owner without rows has NaN.

    >>> mean_directions(np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), np.array([0, 0, 1]), 2)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    sums = np.zeros((count, embeddings.shape[1]))
    order = np.argsort(owner, kind="stable")
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        starts = np.flatnonzero(np.diff(owner[rows], prepend=-1))
        sums[owner[rows[starts]]] += np.add.reduceat(unit_vectors(embeddings[rows]), starts, axis=0)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = sums / np.bincount(owner, minlength=count)[:, None]
    return means


def lengths(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) Euclidean lengths of rows (N, D), in memory that does not grow with D.

    Raises:
        BadVector: a row that is zero, NaN or infinite, which has no direction.
    """
    found = np.empty(len(embeddings))
    for start in range(0, len(embeddings), BLOCK):
        rows = embeddings[start : start + BLOCK].astype(np.float64)
        found[start : start + BLOCK] = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    bad = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if len(bad):
        raise BadVector(
            f"detection {bad[0]}",
            f"its instance embedding has length {found[bad[0]]:g}, so it has no direction to compare"
            f" ({len(bad)} of {len(found)} detections); the detector's weights are damaged or not trained",
        )
    return found


def cluster(embeddings: FloatArray, config: PickConfig, apart: IntArray | None = None) -> tuple[IntArray, int]:
    """Cluster one pool: agglomerative linkage over Eq. 4, cut at ``config.cut_distance``.

    Exact (the clusters of scipy over the whole pool) unless a connected component has more than
    ``config.max_component`` members: its nearly equal members are then folded onto leaders, the leaders are
    clustered, and members follow theirs.

    Args:
        embeddings: (N, D) instance embeddings of one coarse class.
        apart: (P, 2) pairs of rows that must not share a cluster. In a folded component only leaders are kept apart.

    Returns:
        (N,) cluster of each row, counted from 0 in order of first appearance, and how many rows were folded.

    Raises:
        BadVector: an embedding that is zero, NaN or infinite.
    """
    length = lengths(embeddings)
    n = len(length)
    if n == 0:
        return np.zeros(0, np.int64), 0
    small = n <= min(SMALL, config.max_component)
    # Of a large pool only the float32 directions are there as a whole, and only while components are looked for;
    # scipy gets float64, a component at a time.
    component = np.zeros(n, np.int64) if small else components(_narrow(embeddings, length), config.cut_distance)
    pairs = np.zeros((0, 2), np.int64) if apart is None else apart
    pairs = pairs[component[pairs[:, 0]] == component[pairs[:, 1]]]
    pairs = pairs[np.argsort(component[pairs[:, 0]], kind="stable")]
    pair_ends = np.searchsorted(component[pairs[:, 0]], np.arange(component.max() + 2))
    order = np.argsort(component, kind="stable")
    labels = np.empty(n, np.int64)
    count = folded = 0
    for number, rows in enumerate(np.split(order, np.flatnonzero(np.diff(component[order])) + 1)):
        inside = np.searchsorted(rows, pairs[pair_ends[number] : pair_ends[number + 1]])
        if len(rows) > config.max_component:
            leaders, follows = fold(_narrow(embeddings[rows], length[rows]), config.max_component, config.fold_distance)
            position = np.full(len(rows), -1, np.int64)
            position[leaders] = np.arange(len(leaders))
            inside = position[inside]
            found = _agglomerate(embeddings[rows[leaders]], config, inside[(inside >= 0).all(axis=1)])[follows]
            folded += len(rows) - len(leaders)
            log.info("folded %d nearly equal detections onto %d leaders", len(rows), len(leaders))
        else:
            found = _agglomerate(embeddings[rows], config, inside)
        labels[rows] = found + count
        count += int(found.max()) + 1
    return in_order_of_appearance(labels), folded


def in_order_of_appearance(labels: IntArray) -> IntArray:
    """Renumber so that cluster 0 is the one seen first.

    >>> in_order_of_appearance(np.array([7, 2, 7, 0]))
    array([0, 1, 0, 2])
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: IntArray = rank[inverse]
    return renumbered


def _agglomerate(embeddings: FloatArray, config: PickConfig, apart: IntArray) -> IntArray:
    if len(embeddings) == 1:
        return np.zeros(1, np.int64)
    distances = _condensed(unit_vectors(embeddings))
    first, second = apart.min(axis=1, initial=len(embeddings)), apart.max(axis=1, initial=0)
    distances[len(embeddings) * first - first * (first + 1) // 2 + second - first - 1] = APART
    tree = linkage(distances, method=config.linkage)
    labels: IntArray = fcluster(tree, config.cut_distance, criterion="distance").astype(np.int64) - 1
    return labels


def _condensed(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eq. 4 between each row and the later ones, (N, D) -> (N * (N - 1) / 2,), the form that scipy wants."""
    n = len(unit)
    found = np.empty(n * (n - 1) // 2)
    at = 0
    for start in range(0, n, ROWS):
        block = np.clip(1 - unit[start : start + ROWS] @ unit[start:].T, 0, 2)
        for row, distances in enumerate(block):
            later = distances[row + 1 :]
            found[at : at + len(later)] = later
            at += len(later)
    return found


def _narrow(embeddings: NDArray[Any], length: NDArray[np.float64]) -> FloatArray:
    """Directions in float32, (N, D) and (N,) -> (N, D)."""
    found: FloatArray = np.empty(embeddings.shape, np.float32)
    for start in range(0, len(found), BLOCK):
        rows = slice(start, start + BLOCK)
        np.divide(embeddings[rows], length[rows, None], out=found[rows], casting="same_kind")
    return found
