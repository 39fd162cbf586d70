"""Which views a method may use for a query: our clusters, the true instances, or the tracks of a tracker.

Every method answers for the same groups; only what it makes of a group's views differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dprnet.core.records import BoolArray, Detections, IntArray
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.tracker import TrackConfig, track
from dprnet.pick import PickConfig, pick

Grouping = Literal["picked", "seen", "true", "tracks"]
"""``picked``: our clusters that were picked, the same queries for all. ``seen``: all our clusters, also those of which
no view passes the filter. ``true``: the detections of each true instance (knows what nobody knows). ``tracks``: of a
tracker instead of clustering, filtered as ours."""


@dataclass(frozen=True, eq=False)
class Group:
    """The views of one garment, as far as the grouping knows."""

    rows: IntArray
    """(n,) rows of the video's detections, in order of time; at least one."""
    best: int
    """Position in rows of the best view: good ones first, then the highest overall quality (paper, section 3.2)."""
    instance: int
    """True instance that most of the views show (of equals the one seen first); -1 where none shows any."""


def groups_of(
    seen: Seen, config: PickConfig, grouping: Grouping, frames: IntArray, tracking: TrackConfig | None = None
) -> list[Group]:
    """The groups of one video.

    Args:
        seen: its detections, matched to its truth.
        config: filter and clustering.
        grouping: see :data:`Grouping`.
        frames: (F,) indices of the frames looked at (a tracker needs those without detections too).
        tracking: of ``tracks``.
    """
    detections = seen.detections
    good = good_views(detections, config)
    shown = shown_instances(seen)
    if grouping == "true":
        labels = shown
    elif grouping == "tracks":
        labels = track(detections, frames, tracking)
    else:
        picks = pick(detections, config)
        wanted = picks.picked if grouping == "picked" else ~picks.doubtful
        labels = np.where(wanted[picks.instance], picks.instance, -1) if len(picks) else picks.instance
    found = list(_split(detections, labels, good, shown))
    if grouping == "tracks":
        found = [group for group in found if _is_picked(detections, group, good, config)]
    return [group for group in found if not _only_ignored(seen, group)]


def good_views(detections: Detections, config: PickConfig) -> BoolArray:
    """(N,) views that the filter keeps (paper, section 3.2)."""
    passes = (detections.quality > np.array(config.limits, np.float32)).all(axis=1)
    good: BoolArray = np.logical_and(passes, detections.scores > np.float32(config.min_score))
    return good


def answering(groups: list[Group], detections: Detections) -> dict[int, Group]:
    """The group that answers for each true instance: of several the one whose best view has the highest quality."""
    answers: dict[int, Group] = {}
    quality = detections.overall
    for group in groups:
        old = answers.get(group.instance)
        if group.instance >= 0 and (old is None or quality[group.rows[group.best]] > quality[old.rows[old.best]]):
            answers[group.instance] = group
    return answers


def _split(detections: Detections, labels: IntArray, good: BoolArray, shown: IntArray) -> Iterator[Group]:
    for name in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == name)
        rows = rows[np.lexsort((detections.frame_index[rows], detections.time_s[rows]))]
        order = np.lexsort((np.arange(len(rows)), -detections.scores[rows], -detections.overall[rows], ~good[rows]))
        yield Group(rows, int(order[0]), _most_shown(shown[rows]))


def _most_shown(shown: IntArray) -> int:
    known = shown[shown >= 0]
    if not len(known):
        return -1
    names, first, counts = np.unique(known, return_index=True, return_counts=True)
    return int(names[np.lexsort((first, -counts))[0]])


def _is_picked(detections: Detections, group: Group, good: BoolArray, config: PickConfig) -> bool:
    frames = len(np.unique(detections.frame_index[group.rows]))
    return bool(good[group.rows[group.best]]) and frames >= config.min_views


def _only_ignored(seen: Seen, group: Group) -> bool:
    best = group.rows[group.best]
    return bool(seen.ignored[best] and seen.views[best] < 0)
