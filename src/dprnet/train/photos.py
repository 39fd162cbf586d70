"""Photos of garments in memory, ready for P x K batches: read once, kept small."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dprnet.core.errors import BadDataset, BadImage, MissingFile
from dprnet.core.images import cut_out, letterbox, resize
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Image
from dprnet.train.shots import Shot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class PhotoCache:
    """Photos as squares in memory, with what the sampler needs; the arrays are parallel."""

    images: NDArray[np.uint8]
    """(n, S, S, 3)."""
    shots: tuple[Shot, ...]
    source: NDArray[np.int64]
    """(n,) index of the source each came from."""

    def __len__(self) -> int:
        return len(self.shots)

    def only(self, keep: NDArray[np.bool_]) -> PhotoCache:
        """Some of the photos."""
        rows = np.flatnonzero(keep)
        return PhotoCache(self.images[rows], tuple(self.shots[row] for row in rows), self.source[rows])


def load_photos(
    groups: Sequence[Sequence[Shot]],
    side: int,
    *,
    fit: str = "letterbox",
    fill: int = 255,
    progress: Progress = SILENT,
) -> PhotoCache:
    """Read, cut out and shrink every shot to (side, side, 3); one that cannot be read is left out and logged.

    Raises:
        BadDataset: none could be read.
    """
    found = [shot for group in groups for shot in group]
    source = np.array([number for number, group in enumerate(groups) for _ in group], np.int64)
    images = np.empty((len(found), side, side, 3), np.uint8)
    good = np.zeros(len(found), bool)
    for row, image in progress.track(_pixels(found, side), "read photos", len(found)):
        if image is not None:
            images[row] = letterbox(image, side, fill) if fit == "letterbox" else resize(image, side, side)
            good[row] = True
    if not good.any():
        raise BadDataset("photos", "none could be read")
    cache = PhotoCache(images, tuple(found), source)
    return cache if good.all() else cache.only(good)


def _pixels(found: Sequence[Shot], side: int) -> Iterator[tuple[int, Image | None]]:
    videos: dict[Path, list[int]] = {}
    for row, shot in enumerate(found):
        if shot.frame >= 0:
            videos.setdefault(shot.photo.path, []).append(row)
            continue
        try:
            yield row, shot.photo.load(short_side=side)
        except (BadImage, MissingFile) as error:
            log.warning("left out: %s", error)
            yield row, None
    for path, rows in videos.items():
        yield from _from_video(path, rows, found)


def _from_video(path: Path, rows: Sequence[int], found: Sequence[Shot]) -> Iterator[tuple[int, Image | None]]:
    from dprnet.decode import frames_at

    wanted: dict[int, list[int]] = {}
    for row in rows:
        wanted.setdefault(found[row].frame, []).append(row)
    for frame in frames_at(path, sorted(wanted)):
        for row in wanted.pop(frame.index, []):
            box = found[row].photo.box_xyxy
            yield row, frame.image if box is None else cut_out(frame.image, box)
    for row in (row for left in wanted.values() for row in left):
        log.warning("left out: %s has no frame %d", path, found[row].frame)
        yield row, None
