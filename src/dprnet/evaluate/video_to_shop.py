"""The whole job measured: of all garments in the videos that the shop sells, how many are found (Recall@K)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dprnet.core.images import cut_out
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import Detections, Image, Match
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.bootstrap import ROUNDS, SEED, Interval, ratio_interval
from dprnet.evaluate.metrics import Values, class_name, separation
from dprnet.evaluate.picking import count_picks, shown_instances, why_missed
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.views import of_views
from dprnet.pick import PickConfig, pick

if TYPE_CHECKING:
    from dprnet.embed.embedder import Embedder
    from dprnet.evaluate.match_figures import MatchFigures
    from dprnet.gallery import Gallery

KS = (1, 5, 20)

Search = Callable[[Path, Detections, int], Sequence[Sequence[Match]]]
"""A video file, views of it (P) and k -> items of each view, best first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one garment that the shop sells."""

    video: str
    instance: int
    item: str
    found: tuple[str, ...]
    """Items found for its best pick, best first; empty where it was missed."""
    missed: str = ""
    """Why it was not picked."""
    also: tuple[str, ...] = ()
    """Further items that are as right."""
    label: int = 0
    """Index into COARSE_CLASSES."""

    def is_found(self, k: int) -> bool:
        """A right item is among the first k."""
        return not {self.item, *self.also}.isdisjoint(self.found[:k])


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Garments that the shop does not have: how well "none of these" is said of them.

    A pick is said to have no match when the similarity of its first item is below the threshold.
    """

    threshold: float | None
    """None: nothing is ever said to have no match, so only the separation is known."""
    precision: Interval
    """Share of those said to have no match that have none."""
    recall: Interval
    """Share of the picked garments without an item that are said to have none."""
    separation: float
    """Probability that a garment with an item is more like its first answer than one without (0.5 is chance)."""
    picked: int
    """Picked garments without an item."""


@dataclass(frozen=True, slots=True)
class VideoToShopFigures:
    """Recall over all garments that have an item: one that was not picked is a miss at every K."""

    recall: Mapping[int, Interval]
    recall_of_picked: Mapping[int, Interval]
    """Over the picked garments alone: what the retrieval is worth once picking has worked."""
    precision: Interval
    """Share of the picks that show a true garment."""
    right_answers: Interval
    """Share of all picks whose first item is the right one; false picks and garments without an item are wrong."""
    garments: int
    picked: int
    videos: int
    answers: tuple[Answer, ...]
    by_class: Mapping[str, Mapping[int, Interval]]
    """Recall over all garments of each class that occurs."""
    no_match: NoMatch
    settings: Mapping[str, Any]
    set_id: str = ""
    bundle: str = ""
    every: str = ""
    bootstrap_rounds: int = ROUNDS
    bootstrap_seed: int = SEED
    matching: MatchFigures | None = None
    """Of exact, similar or none; None where the bundle's matching was not calibrated."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """One video: what became of its garments."""

    answers: tuple[Answer, ...]
    first_right: int
    right_picks: int
    picks: int
    similar: tuple[tuple[float, bool], ...]
    """Of each picked garment that counts: similarity of its first item, and whether the shop has it."""


def evaluate_video_to_shop(
    shopset: ShopSet,
    seen: Sequence[Seen],
    config: PickConfig,
    search: Search,
    *,
    ks: Sequence[int] = KS,
    no_match_below: float | None = None,
    bundle: str = "",
    every: str = "",
    progress: Progress | None = None,
) -> VideoToShopFigures:
    """Pick, search, and compare with the truth; intervals by bootstrap over whole videos.

    A garment that was picked twice answers with its pick of the highest overall quality.

    Args:
        shopset: where the videos are.
        seen: detections and truth of each video, as :func:`dprnet.evaluate.seen.see` gives them.
        config: how to pick.
        search: as :func:`gallery_search` makes it.
        ks: the ranks at which recall is measured.
        no_match_below: similarity of the first item below which a pick is said to have no match; None says it of none.
        bundle, every: what the figures are of; copied into them.
        progress: shows how many videos are done.
    """
    shown = (progress or Silent()).track(seen, "searching", len(seen))
    judged = [_judge(shopset, video, config, search, max(ks)) for video in shown]
    answers = tuple(answer for one in judged for answer in one.answers)
    names = [video.truth.name for video in seen]
    table = np.array([(one.first_right, one.right_picks, one.picks) for one in judged], np.int64).reshape(-1, 3)
    labels = sorted({answer.label for answer in answers})
    return VideoToShopFigures(
        recall={k: _recall(answers, names, k) for k in ks},
        recall_of_picked={k: _recall([one for one in answers if not one.missed], names, k) for k in ks},
        precision=ratio_interval(table[:, 1], table[:, 2]),
        right_answers=ratio_interval(table[:, 0], table[:, 2]),
        garments=len(answers),
        picked=sum(not answer.missed for answer in answers),
        videos=len(seen),
        answers=answers,
        by_class={
            class_name(label): {k: _recall([one for one in answers if one.label == label], names, k) for k in ks}
            for label in labels
        },
        no_match=no_match([one.similar for one in judged], no_match_below),
        settings=config.model_dump(),
        set_id=shopset.id,
        bundle=bundle,
        every=every,
    )


def no_match(similar: Sequence[Sequence[tuple[float, bool]]], threshold: float | None) -> NoMatch:
    """Precision and recall of "no match", over videos of (similarity of the first item, the shop has it).

    >>> found = no_match([[(0.9, True), (0.2, False)], [(0.3, True), (0.8, False)]], 0.5)
    >>> found.precision.value, found.recall.value, found.separation
    (0.5, 0.5, 0.75)
    """
    below = -np.inf if threshold is None else threshold
    said = np.array([sum(value < below for value, _ in video) for video in similar])
    absent = np.array([sum(not sold for _, sold in video) for video in similar])
    right = np.array([sum(value < below and not sold for value, sold in video) for video in similar])
    values: dict[bool, Values] = {
        kind: np.array([value for video in similar for value, sold in video if sold is kind]) for kind in (True, False)
    }
    precision, recall = ratio_interval(right, said), ratio_interval(right, absent)
    return NoMatch(threshold, precision, recall, separation(values[True], values[False]), int(absent.sum()))


def _judge(shopset: ShopSet, video: Seen, config: PickConfig, search: Search, k: int) -> _Judged:
    truth = video.truth
    picks = pick(video.detections, config)
    best = picks.best[picks.picked]
    best = best[(video.views[best] >= 0) | ~video.ignored[best]]
    views = video.detections[best]
    found = search(shopset.video_path(truth.name), views, k) if len(best) else []
    ids = [tuple(match.item_id for match in matches) for matches in found]
    shown = shown_instances(video)[best]
    first = sum(
        bool(items) and items[0] in truth.right_items(int(number)) for items, number in zip(ids, shown, strict=True)
    )
    reasons = why_missed(video, picks)
    labels = dict(zip(truth.instance.tolist(), truth.label.tolist(), strict=True))
    answers, similar = [], []
    for number in truth.counted:
        right = truth.right_items(number)
        mine = np.flatnonzero(shown == number)
        row = int(mine[views.overall[mine].argmax()]) if len(mine) else None
        if row is not None and found[row]:
            similar.append((found[row][0].similarity, bool(right)))
        if right:
            answer = () if row is None else ids[row]
            answers.append(
                Answer(truth.name, number, right[0], answer, reasons.get(number, ""), right[1:], labels[number])
            )
    right_picks = count_picks(video, picks).right
    return _Judged(tuple(answers), first, right_picks, len(best), tuple(similar))


def gallery_search(embedder: Embedder, gallery: Gallery, *, margin: float = 0.0) -> Search:
    """A search that decodes the frames of the views, cuts them out, embeds them and asks a gallery.

    Args:
        embedder: makes the vectors.
        gallery: built with the same embedder.
        margin: as :func:`dprnet.core.images.cut_out`.
    """
    from dprnet.decode import frames_at

    def search(path: Path, views: Detections, k: int) -> Sequence[Sequence[Match]]:
        crops: dict[int, Image] = {}
        for frame in frames_at(path, views.frame_index.tolist()):
            for row in np.flatnonzero(views.frame_index == frame.index):
                crops[int(row)] = cut_out(frame.image, views.boxes_xyxy[row], margin)
        vectors = of_views(embedder)(crops[row] for row in range(len(views)))
        return gallery.search(vectors, k)

    return search


def _recall(asked: Sequence[Answer], names: Sequence[str], k: int) -> Interval:
    position = {name: row for row, name in enumerate(names)}
    right, whole = np.zeros(len(names)), np.zeros(len(names))
    for answer in asked:
        whole[position[answer.video]] += 1
        right[position[answer.video]] += answer.is_found(k)
    return ratio_interval(right, whole)
