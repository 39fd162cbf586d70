"""What the limits of picking keep of single photos of real people (ours; the paper fits nothing).

A made-up world can be drawn without end, but a detector is surer of what was drawn than of people: limits that are
fitted on drawn videos alone drop real garments. A photo says nothing of clustering; it does say which garments pass.
A limit is asked only where somebody said that the view is good in its respect: nothing is guessed.

Shape legend
    K  detections of all photos    G  true garments of all photos
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import BadDataset
from dprnet.core.records import BoolArray, Detections, FloatArray, Truth
from dprnet.evaluate.detection.boxes import MATCH_IOU, overlaps
from dprnet.evaluate.metrics import ratio
from dprnet.pick import PickConfig


@dataclass(frozen=True, slots=True)
class StillCounts:
    """What passes the limits, on photos."""

    garments: int = 0
    """True garments of whose labels none is bad: not turned, not hidden, not cut off, as far as anybody said."""
    found: int = 0
    """Of these, with a detection of their class that passes."""
    kept: int = 0
    """Detections that pass, outside of ignore regions."""
    right: int = 0
    """Of these, such as lie on a true garment of their class."""

    @property
    def recall(self) -> float:
        """``found / garments``; NaN without garments."""
        return ratio(self.found, self.garments)

    @property
    def precision(self) -> float:
        """``right / kept``; NaN where nothing passes."""
        return ratio(self.right, self.kept)


@dataclass(frozen=True, slots=True, eq=False)
class Stills:
    """Detections on photos beside what is true of these, to be asked for any limits."""

    scores: FloatArray
    """(K,)"""
    quality: FloatArray
    """(K, 3) chances of frontal, slight, whole."""
    asked: BoolArray
    """(K, 3) which limits: those of the labels that are good on the garment that a detection lies on."""
    right: BoolArray
    """(K,) on a true garment of its class."""
    aside: BoolArray
    """(K,) not right, and in an ignore region."""
    of: tuple[NDArray[np.int64], ...]
    """For each of the G garments that may be picked, the detections on it."""

    @classmethod
    def of_photos(
        cls, found: Sequence[Detections], truths: Sequence[Truth], either: Sequence[tuple[str, str]] = ()
    ) -> Self:
        """From the detections and the truth of each photo.

        Args:
            found: of each photo, in its own pixels, as its truth.
            truths: of the same photos, in the same order.
            either: pairs of classes that one garment may be seen as: then a detection of either is right.

        Raises:
            BadDataset: no photo shows a garment that may be picked.
        """
        asked, right, aside, garments, before = [], [], [], [], 0
        same = _same_class(either)
        for seen, truth in zip(found, truths, strict=True):
            overlap = overlaps(seen.boxes_xyxy, truth.boxes_xyxy) * same[np.ix_(seen.labels, truth.labels)]
            on = overlap >= MATCH_IOU
            matched = on.any(axis=1)
            covered = (overlaps(seen.boxes_xyxy, truth.ignore_xyxy, of_first=True) >= MATCH_IOU).any(axis=1)
            labels = np.stack([truth.viewpoint, truth.occlusion, truth.crop], axis=1)  # 0: good; -1: nobody said
            limits = np.zeros((len(seen), 3), bool)
            if matched.any():
                limits[matched] = (labels == 0)[overlap[matched].argmax(axis=1)]
            asked.append(limits)
            right.append(matched)
            aside.append(covered & ~matched)
            good = (labels <= 0).all(axis=1)
            garments += [before + np.flatnonzero(on[:, garment]) for garment in np.flatnonzero(good)]
            before += len(seen)
        if not garments:
            raise BadDataset("validation photos", f"no garment in a good view in {len(truths)} photos")
        return cls(
            scores=np.concatenate([seen.scores for seen in found]),
            quality=np.concatenate([seen.quality for seen in found]),
            asked=np.concatenate(asked),
            right=np.concatenate(right),
            aside=np.concatenate(aside),
            of=tuple(garments),
        )

    def counts(self, config: PickConfig) -> StillCounts:
        """What passes a setting's limits, where they are asked, and its least score; clustering plays no part."""
        passes = ((self.quality > np.array(config.limits, np.float32)) | ~self.asked).all(axis=1)
        passes &= self.scores > np.float32(config.min_score)
        return StillCounts(
            garments=len(self.of),
            found=sum(bool(passes[of].any()) for of in self.of),
            kept=int((passes & ~self.aside).sum()),
            right=int((passes & self.right).sum()),
        )


def _same_class(either: Sequence[tuple[str, str]]) -> BoolArray:
    same = np.eye(len(COARSE_CLASSES), dtype=bool)
    for pair in either:
        first, second = (COARSE_CLASSES.index(name) for name in pair)
        same[first, second] = same[second, first] = True
    return same
