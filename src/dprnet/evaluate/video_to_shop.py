"""The whole job measured: of all garments in the videos that the shop sells, how many are found (Recall@K)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dprnet.core.images import cut_out
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import Detections, Image
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.bootstrap import Interval, ratio_interval
from dprnet.evaluate.picking import count_picks, shown_instances, why_missed
from dprnet.evaluate.seen import Seen
from dprnet.pick import PickConfig, pick

if TYPE_CHECKING:
    from dprnet.embed.embedder import Embedder
    from dprnet.gallery import Gallery

KS = (1, 5, 20)

Search = Callable[[Path, Detections, int], Sequence[Sequence[str]]]
"""A video file, views of it (P) and k -> item ids of each view, best first."""


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
    settings: Mapping[str, Any]
    set_id: str = ""
    bundle: str = ""
    every: str = ""


def evaluate_video_to_shop(
    shopset: ShopSet,
    seen: Sequence[Seen],
    config: PickConfig,
    search: Search,
    *,
    ks: Sequence[int] = KS,
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
        bundle, every: what the figures are of; copied into them.
        progress: shows how many videos are done.
    """
    answers: list[Answer] = []
    rows: list[tuple[int, int, int]] = []  # of each video: right first answers, right picks, picks
    for video in (progress or Silent()).track(seen, "searching", len(seen)):
        picks = pick(video.detections, config)
        best = picks.best[picks.picked]
        best = best[(video.views[best] >= 0) | ~video.ignored[best]]
        views = video.detections[best]
        found = search(shopset.video_path(video.truth.name), views, max(ks)) if len(best) else []
        shown = shown_instances(video)[best]
        items = [video.truth.items.get(int(number)) if number >= 0 else None for number in shown]
        first = sum(bool(ids) and item is not None and ids[0] == item for ids, item in zip(found, items, strict=True))
        rows.append((first, count_picks(video, picks).right, len(best)))
        reasons = why_missed(video, picks)
        for number in video.truth.counted:
            item = video.truth.items.get(number)
            if item is None:
                continue
            mine = np.flatnonzero(shown == number)
            ids = tuple(found[mine[views.overall[mine].argmax()]]) if len(mine) else ()
            answers.append(Answer(video.truth.name, number, item, ids, reasons.get(number, "")))
    names = [video.truth.name for video in seen]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return VideoToShopFigures(
        recall={k: _recall(answers, names, k, missed=True) for k in ks},
        recall_of_picked={k: _recall(answers, names, k, missed=False) for k in ks},
        precision=ratio_interval(table[:, 1], table[:, 2]),
        right_answers=ratio_interval(table[:, 0], table[:, 2]),
        garments=len(answers),
        picked=sum(not answer.missed for answer in answers),
        videos=len(seen),
        answers=tuple(answers),
        settings=config.model_dump(),
        set_id=shopset.id,
        bundle=bundle,
        every=every,
    )


def gallery_search(embedder: Embedder, gallery: Gallery, *, margin: float = 0.0) -> Search:
    """A search that decodes the frames of the views, cuts them out, embeds them and asks a gallery.

    Args:
        embedder: makes the vectors.
        gallery: built with the same embedder.
        margin: as :func:`dprnet.core.images.cut_out`.
    """
    from dprnet.decode import frames_at

    def search(path: Path, views: Detections, k: int) -> list[list[str]]:
        crops: dict[int, Image] = {}
        for frame in frames_at(path, views.frame_index.tolist()):
            for row in np.flatnonzero(views.frame_index == frame.index):
                crops[int(row)] = cut_out(frame.image, views.boxes_xyxy[row], margin)
        vectors = embedder(crops[row] for row in range(len(views)))
        return [[match.item_id for match in matches] for matches in gallery.search(vectors, k)]

    return search


def _recall(answers: Sequence[Answer], names: Sequence[str], k: int, *, missed: bool) -> Interval:
    asked = [answer for answer in answers if missed or not answer.missed]
    position = {name: row for row, name in enumerate(names)}
    right, whole = np.zeros(len(names)), np.zeros(len(names))
    for answer in asked:
        whole[position[answer.video]] += 1
        right[position[answer.video]] += answer.item in answer.found[:k]
    return ratio_interval(right, whole)
