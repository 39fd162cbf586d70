"""The truth of one video, as arrays, and which of its instances are counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.records import BoolArray, Detections, FloatArray, IntArray
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.metrics import Values, covered, match_views
from dprnet.evaluate.pick_counts import true_quality

VISIBLE_S = 0.5  # ours: an instance counts when it is visible for at least half a second ...
SMALLEST_PX = 32  # ours: ... with boxes whose shorter side is at least this long
OCCLUDED_OF = (0.1, 0.35, 0.75)  # ours: fraction where only the class is labelled: the middle of slight, medium, heavy
CUT_OFF_OF = (0.0, 0.3)  # ours: of whole and cropped
FRAME_S = 0.04  # used where a video has too few annotated frames to tell its own


@dataclass(frozen=True, eq=False)
class VideoTruth:
    """Every true view of a video (M: a garment in a frame), parallel arrays as in `ShopSet.frames`."""

    name: str
    frame_index: IntArray
    time_s: FloatArray
    boxes_xyxy: FloatArray
    instance: IntArray
    label: IntArray
    frontal: BoolArray
    occluded: FloatArray
    """Covered fraction; of a view with a class alone the middle of the class; NaN where nobody said."""
    cut_off: FloatArray
    """Fraction outside the frame, likewise."""
    turned: BoolArray | None = None
    """Labelled as seen from the side or the back; None: all that are not frontal. Others nobody labelled."""
    items: Mapping[int, str | None] = field(default_factory=dict)
    """The catalogue item of each instance, or None where the shop has none."""
    also: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Further items that are as right (the same garment under other ids); ``also`` in an instance's attributes."""
    ignored_frame: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ignored_xyxy: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    @cached_property
    def viewpoint_known(self) -> BoolArray:
        """(M,) somebody said from which side it is seen."""
        if self.turned is None:
            return np.ones(len(self.frontal), bool)
        known: BoolArray = self.frontal | self.turned
        return known

    @cached_property
    def quality(self) -> Values:
        """(M,) true quality of each view."""
        return true_quality(self.instance, self.frontal, self.occluded, self.cut_off)

    @cached_property
    def counted(self) -> tuple[int, ...]:
        """Instances visible for at least half a second in boxes of at least 32 px (shorter side), ascending."""
        times = np.unique(self.time_s)
        frame_s = float(np.median(np.diff(times))) if len(times) > 1 else FRAME_S
        sides = self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]
        large = self.instance[sides.min(axis=1) >= SMALLEST_PX]
        numbers, frames = np.unique(large, return_counts=True)
        return tuple(int(n) for n, seen in zip(numbers, frames, strict=True) if seen * frame_s >= VISIBLE_S - 1e-6)

    def right_items(self, instance: int) -> tuple[str, ...]:
        """All items that are right for an instance, its own first; empty where the shop has none."""
        item = self.items.get(instance)
        return () if item is None else (item, *self.also.get(instance, ()))

    def views(self, detections: Detections) -> IntArray:
        """(N,) the true view that each detection shows, or -1."""
        return match_views(
            detections.frame_index,
            detections.boxes_xyxy,
            detections.labels,
            self.frame_index,
            self.boxes_xyxy,
            self.label,
        )

    def is_ignored(self, detections: Detections) -> BoolArray:
        """(N,) whether at least half of a detection lies in an ignored region of its frame."""
        found = np.zeros(len(detections), bool)
        for frame in np.unique(self.ignored_frame):
            here = np.flatnonzero(detections.frame_index == frame)
            regions = self.ignored_xyxy[self.ignored_frame == frame]
            found[here] = covered(detections.boxes_xyxy[here], regions) >= 0.5
        return found


def video_truth(shopset: ShopSet, name: str) -> VideoTruth:
    """The truth of one video of a set."""
    return video_truths(shopset, (name,))[0]


def video_truths(shopset: ShopSet, names: tuple[str, ...] | None = None) -> list[VideoTruth]:
    """The truth of the videos of a set, in the order of names (all its videos when none are given)."""
    names = shopset.videos if names is None else names
    table = shopset.frames
    video = np.array(table["video"].to_pylist(), object)
    columns = {key: table[key].to_numpy() for key in table.column_names if key not in ("video", "landmarks")}
    boxes = np.stack([columns[key] for key in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float32).reshape(-1, 4)
    labels = np.array([shopset.labels[int(number)] for number in columns["instance"]], np.int64)
    ignored = shopset.ignored
    where = np.array(ignored["video"].to_pylist(), object)
    regions = np.stack([ignored[key].to_numpy() for key in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float32)
    items: dict[str, dict[int, str | None]] = {name: {} for name in names}
    also: dict[str, dict[int, tuple[str, ...]]] = {name: {} for name in names}
    for row in shopset.instances.select(["video", "instance", "item_id", "attributes"]).to_pylist():
        if row["video"] in items:
            items[row["video"]][row["instance"]] = row["item_id"] or None
            if more := _also(row["attributes"]):
                also[row["video"]][row["instance"]] = more
    found = []
    for name in names:
        rows, places = np.flatnonzero(video == name), np.flatnonzero(where == name)
        rows = rows[np.argsort(columns["frame_index"][rows], kind="stable")]
        found.append(
            VideoTruth(
                name=name,
                frame_index=columns["frame_index"][rows].astype(np.int64),
                time_s=columns["time_s"][rows].astype(np.float32),
                boxes_xyxy=boxes[rows],
                instance=columns["instance"][rows].astype(np.int64),
                label=labels[rows],
                frontal=columns["frontal"][rows].astype(bool),
                occluded=_fraction(columns["occluded"][rows], columns["occlusion"][rows], OCCLUDED_OF),
                cut_off=_fraction(columns["cut_off"][rows], columns["crop"][rows], CUT_OFF_OF),
                turned=columns["viewpoint"][rows] > 0,
                items=items[name],
                also=also[name],
                ignored_frame=ignored["frame_index"].to_numpy()[places].astype(np.int64),
                ignored_xyxy=regions[places],
            )
        )
    return found


def _fraction(known: NDArray[Any], label: NDArray[Any], of: Sequence[float]) -> FloatArray:
    """The fraction where it is known, else that of the class, else NaN.

    >>> _fraction(np.array([0.4, np.nan, np.nan]), np.array([0, 1, -1]), (0.1, 0.35, 0.75))
    array([0.4 , 0.35,  nan], dtype=float32)
    """
    by_class = np.array([*of, np.nan], np.float32)[np.where(label < 0, len(of), label).astype(np.int64)]
    found: FloatArray = np.where(np.isfinite(known), known, by_class).astype(np.float32)
    return found


def _also(attributes: str | None) -> tuple[str, ...]:
    """The further right items in the attributes (JSON) of an instance.

    >>> _also('{"also": ["A2", "A3"], "print": "dots"}'), _also(None)
    (('A2', 'A3'), ())
    """
    if not attributes or '"also"' not in attributes:
        return ()
    return tuple(str(item) for item in json.loads(attributes).get("also", ()))
