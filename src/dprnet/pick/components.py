"""What keeps clustering small: connected components in blocks, and folding onto leaders.

    N  detections of one pool      D  numbers in an embedding      L  leaders

No merge of average, complete or single linkage below the cut can join two components of the graph "dissimilarity
<= cut", for every distance between them lies above it. So clustering each component on its own is exact.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from dprnet.core.records import BoolArray, FloatArray, IntArray

BLOCK = 1024  # rows compared at once
TILE = 8192  # columns compared at once: 32 MB of float32
ROUNDING = 1e-5  # float32 products may be this wrong; a component that is too large is still exact
ANGLE_ROUNDING = 0.005  # radians; arccos of a float32 cosine near 1 may be this wrong


def components(unit: FloatArray, cut: float) -> IntArray:
    """Connected components of the graph "1 - cos <= cut" (or a hair above), in memory that grows with N alone.

    Args:
        unit: (N, D) float32, each row of length 1.

    Returns:
        (N,) component of each row, counted from 0.
    """
    n = len(unit)
    if n <= BLOCK:
        return _grouped(unit @ unit.T >= 1 - cut - ROUNDING)
    least = np.float32(1 - cut - ROUNDING)
    # A first look from rows spread over the pool gathers most of every large component; rows in the order of their
    # component then share blocks, and most columns are out of reach of all the kinds in a block.
    spread = np.linspace(0, n - 1, BLOCK).astype(np.int64)
    labels = _joined(np.arange(n), *_edges(unit, spread, np.arange(n), least))
    order = np.argsort(labels, kind="stable")
    unit, labels = np.ascontiguousarray(unit[order]), labels[order]
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        later = _within_reach(unit, labels, rows, start, cut)
        if len(later):
            labels = _joined(labels, *_edges(unit, rows, later, least))
    answer = np.empty(n, np.int64)
    answer[order] = labels
    return answer


def fold(unit: FloatArray, limit: int, distance: float) -> tuple[IntArray, IntArray]:
    """Fold nearly equal rows onto leaders, at most ``limit`` of them.

    The first row leads; a row further than ``distance`` from every leader before it leads too; each other row then
    belongs to its nearest leader. The distance is doubled until the leaders are few enough.

    Args:
        unit: (N, D) float32, each row of length 1, in the order in which rows may lead.

    Returns:
        (L,) the rows that lead, ascending, and (N,) the position in them of each row's leader.
    """
    while True:
        leaders = _leaders(unit, limit, distance)
        if leaders is not None:
            break
        distance *= 2
    follows = np.empty(len(unit), np.int64)
    for start in range(0, len(unit), BLOCK):
        follows[start : start + BLOCK] = (unit[start : start + BLOCK] @ unit[leaders].T).argmax(axis=1)
    follows[leaders] = np.arange(len(leaders))
    return leaders, follows


def _leaders(unit: FloatArray, limit: int, distance: float) -> IntArray | None:
    found: list[int] = []
    waiting: IntArray = np.arange(len(unit))
    least = 1 - distance
    while len(waiting):
        head = waiting[:BLOCK]
        near = unit[head] @ unit[head].T >= least
        free = np.ones(len(head), bool)
        new = []
        for position in range(len(head)):
            if free[position]:
                new.append(position)
                free &= ~near[position]
        found.extend(int(row) for row in head[new])
        if len(found) > limit:
            return None
        waiting = waiting[BLOCK:]
        led: BoolArray = np.zeros(len(waiting), bool)
        for start in range(0, len(waiting), TILE):
            columns = waiting[start : start + TILE]
            led[start : start + TILE] = (unit[columns] @ unit[head[new]].T >= least).any(axis=1)
        waiting = waiting[~led]
    return np.array(found, np.int64)


def _within_reach(unit: FloatArray, labels: IntArray, rows: IntArray, start: int, cut: float) -> IntArray:
    """Rows from ``start`` on that may be linked to a row of the block of another component.

    Angles obey the triangle inequality: a row further from the middle of a kind than the kind's radius and the
    angle of the cut together is further than the cut from each of its members.
    """
    rows = rows[np.argsort(labels[rows], kind="stable")]
    kinds, first = np.unique(labels[rows], return_index=True)
    if len(kinds) > BLOCK // 8:  # mostly single rows: comparing with the middles would cost as much as with the rows
        return np.arange(start, len(unit))
    sizes = np.diff(first, append=len(rows))
    middles = np.add.reduceat(unit[rows], first, axis=0)
    middles /= np.maximum(np.linalg.norm(middles, axis=1, keepdims=True), np.float32(1e-6))
    cosines = (np.repeat(middles, sizes, axis=0) * unit[rows]).sum(axis=1)
    radius = np.arccos(np.clip(np.minimum.reduceat(cosines, first), -1, 1))
    angle = np.minimum(radius + np.arccos(max(1 - cut, -1.0)) + ANGLE_ROUNDING, np.pi)
    found = []
    for begin in range(start, len(unit), TILE):
        tile = slice(begin, min(begin + TILE, len(unit)))
        close = (middles @ unit[tile].T >= np.cos(angle)[:, None] - ROUNDING) & (labels[tile] != kinds[:, None])
        found.append(begin + np.flatnonzero(close.any(axis=0)))
    return np.concatenate(found)


def _edges(unit: FloatArray, rows: IntArray, columns: IntArray, least: np.float32) -> tuple[IntArray, IntArray]:
    """Edges that connect what "cosine >= least" connects between rows and columns: a few, not all of them."""
    block = unit[rows]
    group = _grouped(block @ block.T >= least)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    leader = rows[order[starts]]
    ends = [(leader[group], rows)]
    contiguous = columns[-1] - columns[0] + 1 == len(columns)
    block = block[order]
    for start in range(0, len(columns), TILE):
        tile = columns[start : start + TILE]
        others = unit[tile[0] : tile[-1] + 1] if contiguous else unit[tile]
        close = block @ others.T >= least
        reached = np.logical_or.reduceat(close, starts, axis=0) if len(starts) < len(rows) else close
        here, there = np.nonzero(reached)
        ends.append((leader[here], tile[there]))
    return np.concatenate([a for a, _ in ends]), np.concatenate([b for _, b in ends])


def _joined(labels: IntArray, first: IntArray, second: IntArray) -> IntArray:
    """Components after joining the components of the two ends of every edge."""
    count = int(labels.max()) + 1
    a, b = labels[first], labels[second]
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(count, count))
    merged: IntArray = connected_components(graph, directed=False)[1][labels].astype(np.int64)
    return merged


def _grouped(near: BoolArray) -> IntArray:
    labels: IntArray = connected_components(csr_array(near), directed=False)[1].astype(np.int64)
    return labels
