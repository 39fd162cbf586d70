"""Ways to ask a gallery for one garment of which there are several views (paper, section 4.4 and figure 9).

A method turns the views of a garment into scores of all items. All get the same frames, detections, embedder and
gallery; those that learn are in `seam` and `asymnet`.

    n  views of the garment      I  items      D  numbers of a vector      J  rankings that a method gives
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dprnet.core.records import FloatArray
from dprnet.evaluate.shelf import Shelf


@dataclass(frozen=True, eq=False)
class Views:
    """What a method may know of one garment."""

    vectors: FloatArray
    """(n, D) of its views, in order of time, each of length 1."""
    scores: FloatArray
    """(n,) how sure the detector is."""
    areas: FloatArray
    """(n,) of the boxes, in pixels."""
    best: int
    """Which view the pick is."""
    frames: FloatArray
    """(F, D) of the whole frames of the video."""
    shelf: Shelf

    @cached_property
    def similarity(self) -> FloatArray:
        """(n, I) of each view to each item."""
        return self.shelf.similarity(self.vectors)


Method = Callable[[Views], FloatArray]
"""Views of a garment -> (J, I) scores, higher is better. J is 1 but for the oracle, whose best ranking counts."""


def dprnet(views: Views) -> FloatArray:
    """The best view alone (paper, section 3.2)."""
    return views.similarity[[views.best]]


def average(views: Views) -> FloatArray:
    """Avg: mean over the views of the similarity to each item."""
    mean: FloatArray = views.similarity.mean(axis=0, keepdims=True)
    return mean


def average_vector(views: Views) -> FloatArray:
    """Avg-desc: similarity of the mean vector to each item."""
    return views.shelf.similarity(views.vectors.mean(axis=0, keepdims=True))


def maximum(views: Views) -> FloatArray:
    """Max: the view that is most like the item, for each item."""
    most: FloatArray = views.similarity.max(axis=0, keepdims=True)
    return most


def last(views: Views) -> FloatArray:
    """Last: the view seen last."""
    return views.similarity[[-1]]


def max_detector_score(views: Views) -> FloatArray:
    """The view of which the detector is most sure: a cheap and strong rival of picking (of equals the first)."""
    return views.similarity[[int(views.scores.argmax())]]


def largest_box(views: Views) -> FloatArray:
    """The view with the largest box: the most pixels of the garment (of equals the first)."""
    return views.similarity[[int(views.areas.argmax())]]


def medoid(views: Views) -> FloatArray:
    """The view most like the mean of all: what a clustering gives without any score (of equals the first)."""
    return views.similarity[[int((views.vectors @ views.vectors.mean(axis=0)).argmax())]]


def whole_frames(views: Views) -> FloatArray:
    """The mean vector of the video's whole frames: no detector at all, one answer for all garments of a video."""
    return views.shelf.similarity(views.frames.mean(axis=0, keepdims=True))


def oracle(views: Views) -> FloatArray:
    """Every view by itself; the best rank counts. No method: the ceiling of every picker, as it knows the answer."""
    return views.similarity


UNTRAINED: Mapping[str, Method] = {
    "DPRNet": dprnet,
    "Avg": average,
    "Avg-desc": average_vector,
    "Max": maximum,
    "Last": last,
    "Max-detector-score": max_detector_score,
    "Largest box": largest_box,
    "Medoid view": medoid,
    "Whole-frame mean": whole_frames,
    "Oracle best view": oracle,
}


def rank(scores: FloatArray, right: list[int]) -> int:
    """Place (from 1) of the best right item in the best of several rankings; equal scores stand in gallery order.

    Args:
        scores: (J, I), higher is better.
        right: positions of the right items, at least one.

    >>> rank(np.array([[0.1, 0.9, 0.5]]), [2]), rank(np.array([[0.5, 0.5, 0.5]]), [1])
    (2, 2)
    >>> rank(np.array([[0.1, 0.9, 0.5], [0.1, 0.2, 0.5]]), [2]), rank(np.array([[0.1, 0.9, 0.5]]), [0, 1])
    (1, 1)
    """
    mine = scores[:, right]
    order = np.arange(scores.shape[1])
    above = scores[:, None, :] > mine[:, :, None]
    equal = (scores[:, None, :] == mine[:, :, None]) & (order < np.array(right)[None, :, None])
    return int((above | equal).sum(axis=2).min()) + 1
