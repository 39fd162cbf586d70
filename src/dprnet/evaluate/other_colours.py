"""Whether a garment's own colour comes before the other colours of the same product: the hardest wrong answers.

Shape legend
    Q  queries    G  photos of the gallery
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dprnet.core.records import FloatArray
from dprnet.data.labelled import Photo
from dprnet.evaluate.bootstrap import Interval, ratio_interval


@dataclass(frozen=True, slots=True)
class ColourOrder:
    """Pairs of a query and another colour of its product that the gallery holds."""

    cases: int
    products: int
    below: Interval
    """Share of the cases in which the other colour comes below the right one; interval over products."""
    mistaken: tuple[tuple[str, str], ...]
    """(query, garment of the other colour) of every other case."""


def colour_order(similarity: FloatArray, queries: Sequence[Photo], gallery: Sequence[Photo]) -> ColourOrder | None:
    """Compare, for each query, its own garment with every other of the same ``Photo.item``; equal counts against.

    A garment is as similar as its most similar photo.

    Args:
        similarity: (Q, G).
        queries, gallery: (Q,) and (G,).

    Returns:
        None where the gallery holds no other colour of any query's product beside the right one.
    """
    photos_of: dict[str, list[int]] = {}
    colours_of: dict[str, dict[str, None]] = {}
    for place, photo in enumerate(gallery):
        photos_of.setdefault(photo.instance, []).append(place)
        if photo.item:
            colours_of.setdefault(photo.item, {})[photo.instance] = None
    products, right, mistaken = [], [], []
    for row, query in enumerate(queries):
        colours = colours_of.get(query.item, {})
        if query.instance not in colours:
            continue
        own = similarity[row, photos_of[query.instance]].max()
        for other in (colour for colour in colours if colour != query.instance):
            below = bool(similarity[row, photos_of[other]].max() < own)
            products.append(query.item)
            right.append(below)
            if not below:
                mistaken.append((str(query.path), other))
    if not products:
        return None
    of = np.unique(products, return_inverse=True)[1]
    below_of = ratio_interval(np.bincount(of, weights=np.array(right, np.float64)), np.bincount(of))
    return ColourOrder(len(products), int(of.max()) + 1, below_of, tuple(mistaken))
