"""The failures that say most: queries whose right photo came late though the embedder was sure of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dprnet.core.records import FloatArray, IntArray
from dprnet.data.labelled import Photo

HARDEST = 20  # ours: failures that are listed


@dataclass(frozen=True, slots=True)
class Failure:
    """A query whose right answer came late."""

    query: str
    found: str
    """The photo that came first."""
    rank: int
    """Of the right answer; 0 where the gallery has none."""
    margin: float
    """Similarity of the photo found less that of the best right one; infinite where there is none."""


def hardest(
    queries: Sequence[Photo],
    gallery: Sequence[Photo],
    ranks: FloatArray,
    first: IntArray,
    margins: FloatArray,
    most: int = HARDEST,
) -> tuple[Failure, ...]:
    """Failures in the order of their margin, the largest first.

    Args:
        queries, gallery: (Q,) and (G,).
        ranks: (Q,) of the right answer, from 1; infinity where there is none.
        first: (Q,) photo of the gallery that came first.
        margins: (Q,).
        most: how many at most.
    """
    wrong = np.flatnonzero(ranks > 1)
    listed = wrong[np.argsort(-margins[wrong], kind="stable")][:most]
    return tuple(
        Failure(
            str(queries[row].path),
            str(gallery[int(first[row])].path),
            int(ranks[row]) if np.isfinite(ranks[row]) else 0,
            float(margins[row]),
        )
        for row in listed.tolist()
    )
