"""Views of garments a row, with their three scores beside what is true, the best marked (paper, figure 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.images import cut_out, shrink
from dprnet.core.records import Image, IntArray
from dprnet.evaluate.groups import Group
from dprnet.evaluate.metrics import balanced_accuracy
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.reproduce.curves import sheet
from dprnet.evaluate.seen import Seen

COLUMNS = 6  # ours; the paper shows some rows of one video each
SIDE = 240  # ours: pixels
COVERED, CUT_OFF = 0.2, 0.05  # below which a view counts as good: the classes' own limits (core/classes)

Row = tuple[Seen, Group]
"""A garment of a video, as far as a detector saw it."""


def score_sheet(rows: Sequence[Row], video_path: Callable[[str], Path], out: Path) -> list[str]:
    """Draw at most COLUMNS views of each garment, in order of time, over the range of their quality.

    Args:
        rows: garments and their videos; the views must show a known garment.
        video_path: file of a video by its name.
        out: picture (PNG).

    Returns:
        Title of each row.
    """
    drawn, titles = [], []
    for video, group in rows:
        shown = evenly(video, group)
        images = _crops(video_path(video.truth.name), video, shown)
        best = group.rows[group.best]
        cells = [(image, _text(video, int(row)), bool(row == best)) for image, row in zip(images, shown, strict=True)]
        drawn.append(cells)
        titles.append(f"{video.truth.name}, {COARSE_CLASSES[int(video.detections.labels[best])]}")
    if drawn:
        sheet(drawn, titles, out)
    return titles


def of_one_garment(video: Seen, group: Group) -> Group | None:
    """The views that truly show the garment of the best one: only of those is known what the scores should say."""
    shown = shown_instances(video)[group.rows]
    best = int(group.rows[group.best])
    if shown[group.best] < 0:
        return None
    rows = group.rows[shown == shown[group.best]]
    return Group(rows, int(np.flatnonzero(rows == best)[0]), int(shown[group.best]))


def spread(video: Seen, group: Group) -> float:
    """How much the overall quality of a garment's views differs, as the detector has it."""
    overall = video.detections.overall[group.rows]
    return float(overall.max() - overall.min())


def evenly(video: Seen, group: Group) -> IntArray:
    """The best view and others over the range of the quality, COLUMNS at most, in order of time."""
    order = group.rows[np.argsort(video.detections.overall[group.rows], kind="stable")]
    others = order[order != group.rows[group.best]]
    places = np.unique(np.linspace(0, len(others) - 1, min(COLUMNS - 1, len(others))).round().astype(int))
    rows = np.append(others[places], group.rows[group.best])
    return rows[np.argsort(video.detections.time_s[rows], kind="stable")]


def good_and_said(seen: Sequence[Seen]) -> dict[str, tuple[IntArray, IntArray]]:
    """Of each score, over the detections that show a garment and are labelled: what is true, and what 0.5 says."""
    good: dict[str, list[IntArray]] = {name: [np.zeros(0, np.int64)] for name in QUALITIES}
    said: dict[str, list[IntArray]] = {name: [np.zeros(0, np.int64)] for name in QUALITIES}
    for video in seen:
        rows = np.flatnonzero(video.views >= 0)
        views, truth = video.views[rows], video.truth
        true = (truth.frontal[views], truth.occluded[views] < COVERED, truth.cut_off[views] <= CUT_OFF)
        known = (truth.viewpoint_known[views], np.isfinite(truth.occluded[views]), np.isfinite(truth.cut_off[views]))
        for column, name in enumerate(QUALITIES):
            good[name].append(true[column][known[column]].astype(np.int64))
            said[name].append((video.detections.quality[rows[known[column]], column] > 0.5).astype(np.int64))
    return {name: (np.concatenate(good[name]), np.concatenate(said[name])) for name in QUALITIES}


def balanced(seen: Sequence[Seen]) -> dict[str, float]:
    """Balanced accuracy of each score at 0.5; NaN where nothing is labelled."""
    return {name: balanced_accuracy(good, said) for name, (good, said) in good_and_said(seen).items()}


def _crops(path: Path, video: Seen, rows: IntArray) -> list[Image]:
    from dprnet.decode import frames_at

    found = video.detections
    frames = {frame.index: frame.image for frame in frames_at(path, found.frame_index[rows].tolist())}
    return [shrink(cut_out(frames[int(found.frame_index[row])], found.boxes_xyxy[row]), SIDE) for row in rows]


def _text(video: Seen, row: int) -> str:
    found, truth, view = video.detections, video.truth, int(video.views[row])
    true = (
        ("frontal" if truth.frontal[view] else "turned") if truth.viewpoint_known[view] else "not known",
        _share(truth.occluded[view], "covered"),
        _share(truth.cut_off[view], "cut off"),
    )
    scores = zip(QUALITIES, found.quality[row], true, strict=True)
    return "\n".join([f"{found.time_s[row]:.1f} s", *(f"{name} {score:.2f} ({what})" for name, score, what in scores)])


def _share(fraction: float, what: str) -> str:
    return f"{fraction:.0%} {what}" if np.isfinite(fraction) else "not known"
