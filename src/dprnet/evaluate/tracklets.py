"""What the trained methods learn from: the views of a garment in order of time, and the photos of its item.

Everything is a vector of the same embedder that is measured, computed once; no image is looked at in training.

    B  garments of a batch      T  frames of a tracklet      D  numbers of a vector
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dprnet.core.images import cut_out, read_image
from dprnet.core.progress import Progress
from dprnet.core.records import FloatArray, Image, IntArray
from dprnet.data.labelled import LabelledImage
from dprnet.evaluate.groups import groups_of
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.shelf import Shelf
from dprnet.evaluate.views import Embeds, ViewVectors, of_views
from dprnet.pick import PickConfig


@dataclass(frozen=True, eq=False)
class Tracklet:
    """One garment that the shop sells, as our clusters show it."""

    vectors: FloatArray
    """(n, D) of its views, in order of time."""
    item: str
    photos: FloatArray
    """(p, D) of its item's photos."""


def tracklets_of(
    seen: Sequence[Seen], frames: Mapping[str, IntArray], vectors: ViewVectors, shelf: Shelf, config: PickConfig
) -> list[Tracklet]:
    """The tracklets of a training set: our clusters, as in the comparison, where most views show a sold garment.

    Args:
        seen: detections and truth of each video.
        frames: indices of the frames looked at, by name of the video.
        vectors: of the set's views.
        shelf: the set's own gallery.
        config: how to pick.
    """
    ends = np.append(shelf.starts, shelf.photos)
    found = []
    for video in seen:
        groups = groups_of(video, config, "seen", frames[video.truth.name])
        groups = [group for group in groups if video.truth.right_items(group.instance)]
        rows = video.detections[np.concatenate([np.zeros(0, np.int64), *(group.rows for group in groups)])]
        vectors(video.truth.name, rows.frame_index, rows.boxes_xyxy)  # all at once: the video is decoded once
        for group in groups:
            for item in video.truth.right_items(group.instance)[:1]:
                rows, place = video.detections[group.rows], shelf.index(item)
                made = vectors(video.truth.name, rows.frame_index, rows.boxes_xyxy)
                found.append(Tracklet(made, item, shelf.vectors[ends[place] : ends[place + 1]]))
    return found


def tracklets_of_stills(
    images: Sequence[LabelledImage], items: Mapping[int, str], embedder: Embeds, shelf: Shelf, progress: Progress
) -> list[Tracklet]:
    """The tracklets of a set of single frames: the true boxes of each sold garment, in the order of the frames.

    Nothing is detected, and the frames of a garment have no time between them: much to learn from, but not quite
    what the videos show.

    Args:
        images: single frames with their truth, as :meth:`dprnet.data.shopset.ShopSet.stills` gives them.
        items: the item of each garment that the shop sells.
        embedder: the one that is measured.
        shelf: the set's own gallery.
        progress: shows the frames done.
    """
    owners: list[int] = []

    def crops() -> Iterator[Image]:
        for one in progress.track(images, "embedding single frames", len(images)):
            sold = [row for row, number in enumerate(one.truth.instance.tolist()) if number in items]
            frame = read_image(one.path).image if sold else None
            for row in sold:
                assert frame is not None, "read where something is sold"
                owners.append(int(one.truth.instance[row]))
                yield cut_out(frame, one.truth.boxes_xyxy[row])

    vectors = of_views(embedder)(crops())
    ends = np.append(shelf.starts, shelf.photos)
    found = []
    for number in sorted(set(owners)):
        place = shelf.index(items[number])
        rows = np.flatnonzero(np.array(owners) == number)
        found.append(Tracklet(vectors[rows], items[number], shelf.vectors[ends[place] : ends[place + 1]]))
    return found


def resampled(vectors: FloatArray, frames: int) -> FloatArray:
    """A tracklet at a fixed length, evenly over its time: (n, D) -> (T, D); short ones repeat views.

    >>> resampled(np.arange(6, dtype=np.float32)[:, None], 3)[:, 0], resampled(np.ones((1, 2), np.float32), 4).shape
    (array([0., 2., 5.], dtype=float32), (4, 2))
    """
    rows: NDArray[np.int64] = np.linspace(0, len(vectors) - 1, frames).round().astype(np.int64)
    return vectors[rows]


@dataclass(frozen=True, eq=False)
class Batch:
    """Some garments, each with one photo of its item."""

    frames: torch.Tensor
    """(B, T, D) float32."""
    photos: torch.Tensor
    """(B, D) float32; photo b is of the item of garment b."""
    same: torch.Tensor
    """(B, B) whether photo j is of the item of garment i; True on the diagonal."""


def batches(tracklets: Sequence[Tracklet], size: int, frames: int, generator: np.random.Generator) -> Iterator[Batch]:
    """One epoch in random order: a random stretch of each tracklet, a random photo of each item.

    A last batch of one garment, which has no negatives, is left out.
    """
    order = generator.permutation(len(tracklets))
    for start in range(0, len(order), size):
        chosen = [tracklets[place] for place in order[start : start + size]]
        if len(chosen) < 2:
            return
        items = np.array([tracklet.item for tracklet in chosen])
        yield Batch(
            torch.from_numpy(np.stack([resampled(_stretch(one.vectors, generator), frames) for one in chosen])),
            torch.from_numpy(np.stack([one.photos[generator.integers(len(one.photos))] for one in chosen])),
            torch.from_numpy(items[:, None] == items[None]),
        )


def _stretch(vectors: FloatArray, generator: np.random.Generator) -> FloatArray:
    """At least half of a tracklet, without a gap: what a shorter clip would have shown."""
    n = len(vectors)
    length = int(generator.integers((n + 1) // 2, n + 1))
    start = int(generator.integers(0, n - length + 1))
    return vectors[start : start + length]
