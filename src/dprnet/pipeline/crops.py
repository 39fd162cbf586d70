"""The second decode: crops at full size, of the frames that matter and no others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dprnet.core.errors import DprnetError
from dprnet.core.images import cut_out, shrink
from dprnet.core.progress import Progress
from dprnet.core.records import Image, IntArray, Picks
from dprnet.decode import DecodeLimits, frames_at

CROP_SIDE = (
    360  # ours: longest side of the crops that a report keeps, so that memory does not grow with the video's size
)
LOST_IN_ALL = 240  # ours: some ten seconds of decoding at most

_log = logging.getLogger(__name__)


class Cutter:
    """Crops of the best views at full size, streamed to the embedder; small ones kept for a page."""

    def __init__(
        self,
        paths: list[Path],
        picks: Picks,
        wanted: IntArray,
        lost: list[int],
        limits: DecodeLimits,
        progress: Progress,
    ) -> None:
        self.order: list[int] = []
        """Garments in the order in which :meth:`crops` handed out their best views."""
        self.pictures: dict[int, Image] = {}
        """Small crops by detection."""
        self.notes: dict[int, str] = {}
        """What went wrong, by video."""
        self._paths, self._picks, self._limits, self._progress = paths, picks, limits, progress
        self._garment_of = {int(picks.best[garment]): int(garment) for garment in wanted}
        self._rows = sorted({int(row) for row in picks.best[~picks.doubtful]} | set(lost))

    def crops(self) -> Iterator[Image]:
        """Full-size crops of the best views that are to be embedded."""
        found = self._picks.detections
        by_place: dict[tuple[int, int], list[int]] = {}
        for row in self._rows:
            by_place.setdefault((int(found.source[row]), int(found.frame_index[row])), []).append(row)
        for number in sorted({source for source, _ in by_place}):
            indices = sorted(index for source, index in by_place if source == number)
            path = self._paths[number]
            frames = frames_at(path, indices, limits=self._limits, source=number)
            try:
                for frame in self._progress.track(frames, f"Cutting out of {path.name}", len(indices)):
                    for row in by_place[number, frame.index]:
                        crop = cut_out(frame.image, found.boxes_xyxy[row] * frame.scale)
                        self.pictures[row] = shrink(crop, CROP_SIDE)
                        if row in self._garment_of:
                            self.order.append(self._garment_of[row])
                            yield crop
            except DprnetError as error:
                _log.warning("the best views could not all be cut out: %s", error)
                self.notes[number] = f"the best views could not all be cut out: {error}"

    def best_views(self) -> tuple[Image | None, ...]:
        """The small crop of each garment's best view; None where its frame could not be decoded
        again, and for doubtful garments."""
        return tuple(self.pictures.get(int(row)) for row in self._picks.best)


def lost_views(picks: Picks, per_garment: int) -> list[int]:
    """Some of the views that were not picked, evenly over the time of each garment."""
    rows: list[int] = []
    for garment in np.flatnonzero(~picks.doubtful).tolist() if per_garment else ():
        others = [int(row) for row in picks.members(garment) if row != picks.best[garment]]
        places = np.unique(np.linspace(0, len(others) - 1, min(per_garment, len(others))).round().astype(int))
        rows.extend(others[place] for place in places)
        if len(rows) >= LOST_IN_ALL:
            break
    return rows[:LOST_IN_ALL]
