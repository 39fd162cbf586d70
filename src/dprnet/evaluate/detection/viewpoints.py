"""Front against back on shop photos: the viewpoint branch where real photos have a label that somebody gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from dprnet.core.records import Detections, Frame
from dprnet.data.labelled import Photo
from dprnet.evaluate.detection.branches import BranchFigures, Judged, judged_figures

Detects = Callable[[Iterable[Frame]], Iterator[Detections]]
SIDES = ("frontal", "side_or_back")


def front_back(detector: Detects, photos: Sequence[Photo]) -> BranchFigures:
    """Whether the photo's garment is judged to be seen from the front or not.

    The garment is the detection of the photo's class with the highest score. A photo in which none is found is judged
    wrong; "not worn" counts as not frontal. Intervals are over photos.

    Args:
        detector: frames -> detections, one record a frame.
        photos: of which those labelled front or back count, as :func:`dprnet.data.luma.photos` reads them.
    """
    wanted = [photo for photo in photos if photo.viewpoint in (0, 1)]
    frames = (Frame(photo.load(), index=number, time_s=0.0) for number, photo in enumerate(wanted))
    chances = [_judged(seen, photo) for seen, photo in zip(detector(frames), wanted, strict=True)]
    truth = np.array([photo.viewpoint for photo in wanted], np.int64)
    judged = Judged(np.arange(len(wanted)), truth, np.array(chances, np.float32).reshape(-1, 2))
    return judged_figures(judged, SIDES, len(wanted))


def _judged(seen: Detections, photo: Photo) -> tuple[float, float]:
    """Chances of front and not front; those of the wrong answer where the garment is not found."""
    own = seen[seen.labels == photo.label]
    if not len(own):
        return (0.0, 1.0) if photo.viewpoint == 0 else (1.0, 0.0)
    frontal = float(own.viewpoint[own.scores.argmax(), 0])
    return frontal, 1 - frontal
