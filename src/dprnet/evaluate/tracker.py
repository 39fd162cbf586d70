"""The rival of clustering: a tracker that joins detections of neighbouring frames by the overlap of their boxes.

It knows nothing of embeddings: a garment that leaves and comes back, a cut, or a step of a second between frames breaks
its track. The paper (section 1) names "detection and tracking" as what earlier pipelines do.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from dprnet.core.config import Settings
from dprnet.core.records import Detections, IntArray
from dprnet.evaluate.metrics import iou


class TrackConfig(Settings):
    """How boxes are joined into tracks."""

    least_iou: float = Field(0.3, gt=0, le=1)  # SORT (Bewley et al. 2016) takes 0.3
    gap: int = Field(1, ge=1)  # SORT: a track ends when it is not seen in the next frame looked at


def track(detections: Detections, frames: IntArray, config: TrackConfig | None = None) -> IntArray:
    """(N,) number of the track of each detection, counted from 0 in the order in which tracks begin.

    Detections of a frame are assigned to the tracks of their coarse class so that the sum of the overlaps is largest
    (Kuhn 1955); a pair below ``least_iou`` is none.

    Args:
        detections: of one video.
        frames: (F,) indices of the frames that were looked at, ascending, also those without detections.
        config: the two limits.

    >>> import dataclasses
    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], np.float32)
    >>> seen = dataclasses.replace(Detections.empty(), **{
    ...     name: np.zeros((3, *getattr(Detections.empty(), name).shape[1:]), getattr(Detections.empty(), name).dtype)
    ...     for name in (field.name for field in dataclasses.fields(Detections))} | {
    ...     "boxes_xyxy": boxes, "frame_index": np.array([0, 6, 6])})
    >>> track(seen, np.array([0, 6]))
    array([0, 0, 1])
    """
    config = config or TrackConfig()
    tracks = np.full(len(detections), -1, np.int64)
    last: dict[int, tuple[int, int]] = {}  # track -> its last row and the step at which it was seen
    count = 0
    for step, frame in enumerate(frames.tolist()):
        rows = np.flatnonzero(detections.frame_index == frame)
        live = [name for name, (_, seen) in last.items() if step - seen <= config.gap]
        for row, name in _pairs(detections, rows, live, last, config.least_iou):
            tracks[row] = name
        for row in rows.tolist():
            if tracks[row] < 0:
                tracks[row], count = count, count + 1
            last[int(tracks[row])] = (row, step)
    if len(tracks) and tracks.min() < 0:
        raise ValueError("frames must hold every frame that has detections")
    return tracks


def _pairs(
    detections: Detections, rows: IntArray, live: list[int], last: dict[int, tuple[int, int]], least: float
) -> list[tuple[int, int]]:
    if not len(rows) or not live:
        return []
    before = np.array([last[name][0] for name in live], np.int64)
    overlap = iou(detections.boxes_xyxy[rows], detections.boxes_xyxy[before])
    overlap[detections.labels[rows][:, None] != detections.labels[before][None]] = 0
    overlap[overlap < least] = 0
    mine, theirs = linear_sum_assignment(overlap, maximize=True)
    pairs = zip(mine.tolist(), theirs.tolist(), strict=True)
    return [(int(rows[a]), live[b]) for a, b in pairs if overlap[a, b] > 0]
