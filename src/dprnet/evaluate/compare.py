"""All methods on the same garments: ranks of the right items, Recall@K, paired differences (paper, figure 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dprnet.core.progress import Progress, Silent
from dprnet.core.records import FloatArray, IntArray
from dprnet.evaluate.baselines import Method, Views, rank
from dprnet.evaluate.bootstrap import Interval, difference_interval, ratio_interval
from dprnet.evaluate.groups import Group, Grouping, answering, groups_of
from dprnet.evaluate.metrics import class_name
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.shelf import Shelf
from dprnet.evaluate.tracker import TrackConfig
from dprnet.evaluate.views import WHOLE_FRAME, ViewVectors
from dprnet.pick import PickConfig

MISSED = 0  # the rank of a right item for which nothing was asked
NO_DETECTOR = frozenset({"Whole-frame mean"})  # answers for garments that were never detected, too


@dataclass(frozen=True, slots=True)
class Garment:
    """One true garment that the shop sells."""

    video: str
    instance: int
    label: int
    """Index into COARSE_CLASSES."""
    right: tuple[str, ...]
    """Its item; several where several are right."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the right item came, by method and garment. G garments, S seeds (1 where nothing is trained)."""

    garments: tuple[Garment, ...]
    videos: tuple[str, ...]
    """All videos, also those without such garments."""
    ranks: Mapping[str, IntArray]
    """(S, G) from 1; 0 where the garment was missed."""
    asked: NDArray[np.bool_]
    """(G,) a group answers for it."""
    settings: Mapping[str, str] = field(default_factory=dict)

    def hits(self, method: str, k: int) -> FloatArray:
        """(G,) share of the seeds in which a right item is among the first k."""
        ranks = self.ranks[method]
        found: FloatArray = ((ranks != MISSED) & (ranks <= k)).mean(axis=0).astype(np.float32)
        return found

    def recall(self, method: str, k: int, *, asked_only: bool = False, label: int | None = None) -> Interval:
        """Recall@K over all garments (a missed one is a miss), or over those asked for; interval over videos."""
        return ratio_interval(*self._sums(method, k, asked_only, label))

    def difference(self, first: str, second: str, k: int) -> Interval:
        """Recall@K of one method less that of another, paired over videos, over all garments."""
        return difference_interval(self._sums(first, k, False, None), self._sums(second, k, False, None))

    def per_class(self, method: str, k: int) -> dict[str, Interval]:
        """Recall@K of each class that occurs."""
        labels = sorted({garment.label for garment in self.garments})
        return {class_name(label): self.recall(method, k, label=label) for label in labels}

    def _sums(
        self, method: str, k: int, asked_only: bool, label: int | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        place = {name: row for row, name in enumerate(self.videos)}
        hits = self.hits(method, k)
        part, whole = np.zeros(len(self.videos)), np.zeros(len(self.videos))
        for number, garment in enumerate(self.garments):
            if (asked_only and not self.asked[number]) or label not in {None, garment.label}:
                continue
            part[place[garment.video]] += hits[number]
            whole[place[garment.video]] += 1
        return part, whole


def compare_methods(
    seen: Sequence[Seen],
    frames: Mapping[str, IntArray],
    vectors: ViewVectors,
    shelf: Shelf,
    config: PickConfig,
    methods: Mapping[str, Sequence[Method]],
    *,
    grouping: Grouping = "picked",
    best_only: bool = False,
    tracking: TrackConfig | None = None,
    progress: Progress | None = None,
) -> Ranks:
    """Rank the right item of every garment by every method.

    Args:
        seen: detections and truth of each video, all at one interval.
        frames: (F,) indices of the frames looked at, by name of the video.
        vectors: of views and whole frames.
        shelf: the gallery.
        config: how to pick; the same filter and clusters for all methods.
        methods: by name; several of one name are its seeds.
        grouping: see :data:`dprnet.evaluate.groups.Grouping`.
        best_only: embed only the best view of each group: all that DPRNet alone needs.
        tracking: of the grouping ``tracks``.
        progress: shows the videos done.
    """
    garments: list[Garment] = []
    asked: list[bool] = []
    ranks: dict[str, list[list[int]]] = {name: [] for name in methods}
    for video in (progress or Silent()).track(seen, f"comparing on {grouping}", len(seen)):
        groups = groups_of(video, config, grouping, frames[video.truth.name], tracking)
        answers = answering(groups, video.detections)
        if best_only:
            answers = {number: Group(one.rows[[one.best]], 0, number) for number, one in answers.items()}
        looked = frames[video.truth.name] if NO_DETECTOR & methods.keys() else np.zeros(0, np.int64)
        wanted = garments_of(video)
        _embed_at_once(video, [answers[one.instance] for one in wanted if one.instance in answers], looked, vectors)
        for garment in wanted:
            garments.append(garment)
            group = answers.get(garment.instance)
            asked.append(group is not None)
            views = _views(video, group, looked, vectors, shelf)
            right = [shelf.index(item) for item in garment.right]
            for name, seeds in methods.items():
                deaf = group is None and name not in NO_DETECTOR
                ranks[name].append([MISSED if deaf else rank(seed(views), right) for seed in seeds])
    table = {
        name: np.array(rows, np.int64).reshape(len(garments), len(methods[name])).T for name, rows in ranks.items()
    }
    names = tuple(video.truth.name for video in seen)
    return Ranks(tuple(garments), names, table, np.array(asked, bool), {"grouping": grouping})


def garments_of(video: Seen) -> list[Garment]:
    """The counted garments of a video that the shop sells."""
    truth = video.truth
    label = dict(zip(truth.instance.tolist(), truth.label.tolist(), strict=True))
    return [
        Garment(truth.name, number, label[number], right)
        for number in truth.counted
        if (right := truth.right_items(number))
    ]


def _embed_at_once(video: Seen, groups: Sequence[Group], looked: IntArray, vectors: ViewVectors) -> None:
    """Everything that will be asked of a video, so that it is decoded once."""
    rows = np.concatenate([np.zeros(0, np.int64), *(group.rows for group in groups)])
    frames = np.concatenate([video.detections.frame_index[rows], looked])
    boxes = np.concatenate([video.detections.boxes_xyxy[rows], np.tile(WHOLE_FRAME, (len(looked), 1))])
    vectors(video.truth.name, frames, boxes)


def _views(video: Seen, group: Group | None, looked: IntArray, vectors: ViewVectors, shelf: Shelf) -> Views:
    name, found = video.truth.name, video.detections
    rows = group.rows if group else np.zeros(0, np.int64)
    return Views(
        vectors=vectors(name, found.frame_index[rows], found.boxes_xyxy[rows]),
        scores=found.scores[rows],
        areas=(found.boxes_xyxy[rows, 2:] - found.boxes_xyxy[rows, :2]).prod(axis=1),
        best=group.best if group else 0,
        frames=vectors.whole_frames(name, looked),
        shelf=shelf,
    )
