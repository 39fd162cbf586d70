"""Picking on real people: the annotated clips measured, and how far the two passes of their truth agree.

Few garments of few people: counts and ratios, no intervals.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.progress import SILENT, Progress
from dprnet.data.clips import ClipView, clip_views, clips, write_clips
from dprnet.data.shopset import ShopSet
from dprnet.detect import Detector
from dprnet.evaluate.groups import groups_of
from dprnet.evaluate.metrics import iou
from dprnet.evaluate.pick_counts import PickCounts
from dprnet.evaluate.picking import evaluate_picking, shown_instances
from dprnet.evaluate.score_sheet import COVERED, CUT_OFF, Row, balanced, of_one_garment, score_sheet, spread
from dprnet.evaluate.seen import Seen, detector_identity, see, video_detector
from dprnet.pick import PickConfig, pick

ROWS = 10  # ours: garments of a sheet
LEAST_VIEWS = 3  # ours: fewer views of a garment have no best one worth showing


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two passes over the same frames, box by box."""

    views: int
    """Garments that both passes have in a frame."""
    only_first: int
    """Garments of the second pass's frames that it does not have."""
    only_second: int
    iou: float
    """Mean overlap of the two boxes."""
    least_iou: float
    same_class: float
    same_viewpoint: float
    same_occlusion: float
    same_crop: float


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """R_pick, R_duplication, R_optimal and precision of picks as ``evaluate picking`` has them, without intervals."""

    clips: Mapping[str, PickCounts]
    left_out: tuple[str, ...]
    """Annotated clips that were not there."""
    garments: int
    annotated_views: int
    r_pick: float
    r_duplication: float
    r_optimal: float
    precision: float
    missed: Mapping[str, int]
    """Garments that were not picked, by the stage at which they were lost."""
    seen_garments: int
    """Garments that any detection shows."""
    with_good_view: int
    """Garments of which an annotated frame truly has a good view: frontal, at most slightly covered, whole."""
    picked_with_good_view: int
    """How many of these are picked; most people in the clips are seen from behind or cut off, all the time."""
    balanced_accuracy: Mapping[str, float]
    """Of each score at 0.5, over the detections that show a garment."""
    agreement: Agreement
    detector: str


def agreement(first: Sequence[ClipView], second: Sequence[ClipView]) -> Agreement:
    """How far a second pass over some frames agrees with the first; ignored regions are left out.

    >>> one = ClipView("v", 0, 1, 0, (0, 0, 10, 10), 0, 0, 0)
    >>> other = ClipView("v", 0, 1, 0, (0, 0, 10, 5), 0, 1, 0)
    >>> found = agreement([one], [other])
    >>> found.iou, found.same_viewpoint, found.same_occlusion
    (0.5, 1.0, 0.0)
    """
    frames = {(view.video, view.frame_index) for view in second}
    before = {_key(view): view for view in first if _key(view)[:2] in frames and view.instance >= 0}
    after = {_key(view): view for view in second if view.instance >= 0}
    both = [(before[key], after[key]) for key in before.keys() & after.keys()]
    overlaps = np.array([float(iou(np.array([a.box_xyxy]), np.array([b.box_xyxy]))[0, 0]) for a, b in both])

    def same(name: str) -> float:
        return float(np.mean([getattr(a, name) == getattr(b, name) for a, b in both])) if both else float("nan")

    return Agreement(
        views=len(both),
        only_first=len(before.keys() - after.keys()),
        only_second=len(after.keys() - before.keys()),
        iou=float(overlaps.mean()) if both else float("nan"),
        least_iou=float(overlaps.min()) if both else float("nan"),
        same_class=same("label"),
        same_viewpoint=same("viewpoint"),
        same_occlusion=same("occlusion"),
        same_crop=same("crop"),
    )


def measure_clips(
    bundle: Bundle,
    videos: Path,
    *,
    sheet: Path | None = None,
    device: str = "cpu",
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> ClipFigures:
    """Detect and pick in the annotated frames of the clips of a folder.

    Args:
        bundle: its detector and its fitted picking.
        videos: folder of the clips.
        sheet: where to draw the views of some garments with their scores (figure 5), or None.
        device: where the detector runs.
        cache: folder of kept detections, or None.
        progress: shows the clips done.

    Raises:
        MissingFile, BadDataset: no clip, or another file under a clip's name.
    """
    config = parse_settings(dict(bundle.settings("picking")), PickConfig, f"{bundle.name}.picking")
    with tempfile.TemporaryDirectory() as folder:
        shopset = write_clips(videos, Path(folder) / "clips")
        seen = see_clips(shopset, bundle, device=device, cache=cache, progress=progress)
        if sheet is not None:
            score_sheet(_rows(seen, config), shopset.video_path, sheet)
    figures = evaluate_picking(seen, config)
    good = {number for video in seen for number in well_seen(video)}
    picked = {number for video in seen for number in _picked(video, config)}
    names = set(shopset.videos)
    return ClipFigures(
        clips=figures.videos,
        left_out=tuple(clip.name for clip in clips() if clip.name not in names),
        garments=figures.counts.instances,
        annotated_views=sum(len(video.truth.instance) for video in seen),
        r_pick=figures.r_pick.value,
        r_duplication=figures.r_duplication.value,
        r_optimal=figures.r_optimal.value,
        precision=figures.precision.value,
        missed=figures.missed,
        seen_garments=len({number for video in seen for number in shown_instances(video).tolist() if number >= 0}),
        with_good_view=len(good),
        picked_with_good_view=len(good & picked),
        balanced_accuracy=balanced(seen),
        agreement=agreement(clip_views(), clip_views(second_pass=True)),
        detector=detector_identity(bundle),
    )


def see_clips(
    shopset: ShopSet, bundle: Bundle, *, device: str = "cpu", cache: Path | None = None, progress: Progress = SILENT
) -> list[Seen]:
    """Detections of each clip in its annotated frames, matched to its truth."""
    detector = Detector.from_bundle(bundle, device=device)
    of = {clip.name: clip for clip in clips()}
    intervals = sorted({of[name].every for name in shopset.videos})
    found: dict[str, Seen] = {}
    for every in intervals:
        part = _SomeVideos(shopset.folder, shopset.meta, tuple(n for n in shopset.videos if of[n].every == every))
        detect = video_detector(detector, every)
        for one in see(part, detect, detector=detector_identity(bundle), every=every, cache=cache, progress=progress):
            found[one.truth.name] = one
    return [found[name] for name in shopset.videos]


def well_seen(video: Seen) -> set[int]:
    """The counted garments of which some true view is frontal, at most slightly covered, and whole."""
    truth = video.truth
    good = truth.frontal & (truth.occluded < COVERED) & (truth.cut_off <= CUT_OFF)
    return set(truth.counted) & set(truth.instance[good].tolist())


def _picked(video: Seen, config: PickConfig) -> set[int]:
    picks = pick(video.detections, config)
    return set(shown_instances(video)[picks.best[picks.picked]].tolist())


@dataclass(frozen=True)
class _SomeVideos(ShopSet):
    names: tuple[str, ...] = ()

    @cached_property
    def videos(self) -> tuple[str, ...]:
        return self.names


def _rows(seen: Sequence[Seen], config: PickConfig) -> list[Row]:
    """The garments whose views differ most, by what is true (picked or not), at most ROWS."""
    found: list[Row] = []
    for video in seen:
        groups = groups_of(video, config, "true", np.unique(video.detections.frame_index))
        known = [part for group in groups if (part := of_one_garment(video, group)) is not None]
        found += [(video, group) for group in known if len(group.rows) >= LEAST_VIEWS]
    return sorted(found, key=lambda row: -spread(*row))[:ROWS]


def _key(view: ClipView) -> tuple[str, int, int]:
    return view.video, view.frame_index, view.instance
