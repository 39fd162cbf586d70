"""Ranks of a trained method of Table 2: by its vectors, and for one that compares pairs by its order of a short list.

Shape legend
    N  photos    Q  queries    G  photos of a gallery    D  numbers of a vector    n  pairs
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dprnet.core.records import FloatArray, IntArray
from dprnet.embed.embedder import as_batch
from dprnet.train.methods.base import Method, PairMethod
from dprnet.train.photos import PhotoCache

BATCH = 64  # ours: photos, or pairs, at once

Compare = Callable[[IntArray, IntArray], FloatArray]
"""Queries (n,) and gallery photos (n,), as row numbers, -> (n,) scores."""


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """A cache as a method sees it."""

    vectors: FloatArray
    """(N, D) of length 1."""
    local: Tensor | None = None
    """(N, ...) what a pair-wise method compares; None for the others."""


def describe(method: Method, cache: PhotoCache, device: torch.device | str = "cpu") -> Described:
    """All photos of a cache, a batch at a time, without augmentation; squares must be of the network's side."""
    vectors, local = [], []
    with torch.inference_mode():
        for first in range(0, len(cache), BATCH):
            images = as_batch(cache.images[first : first + BATCH], device).contiguous(memory_format=torch.channels_last)
            vectors.append(method.vectors(images).float().cpu())
            if isinstance(method, PairMethod):
                local.append(method.local(images).cpu())
    return Described(torch.cat(vectors).numpy(), torch.cat(local) if local else None)


def similarities(
    method: Method, seen: Described, queries: IntArray, gallery: IntArray, *, short: int, device: torch.device | str
) -> FloatArray:
    """(Q, G) of rows of what was described; a pair-wise method orders each query's ``short`` best photos anew."""
    found: FloatArray = seen.vectors[queries] @ seen.vectors[gallery].T
    local = seen.local
    if local is None or not isinstance(method, PairMethod):
        return found
    comparing: PairMethod = method

    def compare(q: IntArray, g: IntArray) -> FloatArray:
        with torch.inference_mode():
            a, b = local[torch.from_numpy(queries[q])], local[torch.from_numpy(gallery[g])]
            scores: FloatArray = comparing.compare(a.to(device), b.to(device)).float().cpu().numpy()
        return scores

    return reranked(found, short, compare)


def reranked(similarity: FloatArray, short: int, compare: Compare) -> FloatArray:
    """Similarities in which each query's best photos stand in the order of another judge, all others below as before.

    Args:
        similarity: (Q, G).
        short: photos of a query that are judged again.
        compare: the judge; equal scores stay equal.

    >>> near = np.array([[0.9, 0.8, 0.1]])
    >>> again = reranked(near, 2, lambda q, g: np.array([0.0, 5.0]))  # the judge prefers the second
    >>> (-again).argsort(axis=1).tolist()
    [[1, 0, 2]]
    """
    short = min(short, similarity.shape[1])
    made = similarity.copy()
    chosen = np.argsort(-similarity, axis=1, kind="stable")[:, :short]
    for query, columns in enumerate(chosen):
        parts = [columns[first : first + BATCH] for first in range(0, short, BATCH)]
        scores = np.concatenate([compare(np.full(len(part), query, np.int64), part) for part in parts])
        # Places, not scores: whatever the judge's scale, all of the short list stays above the rest.
        place = np.unique(scores, return_inverse=True)[1]
        made[query, columns] = similarity[query].max() + 1 + place / short
    return made
