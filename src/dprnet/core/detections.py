"""What is seen in a video: frames, detections, and the garments they show; :mod:`dprnet.core.records` has the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import CROPS, OCCLUSIONS, QUALITIES, VIEWPOINTS

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Image = NDArray[np.uint8]


def check_shape(owner: str, name: str, array: NDArray[Any], *wanted: int | None) -> None:
    """Refuse an array of another shape; None stands for any number."""
    fits = array.ndim == len(wanted) and all(w is None or w == s for w, s in zip(wanted, array.shape, strict=True))
    if not fits:
        text = ", ".join("any" if w is None else str(w) for w in wanted)
        raise ValueError(f"{owner}.{name} must have shape ({text}), got {array.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded image with its place in the video."""

    image: Image
    """uint8 (H, W, 3), RGB, upright."""
    index: int
    """Position in the video, counted from 0 in presentation order."""
    time_s: float
    """Seconds since the first frame."""
    source: int = 0
    """Which of the searched videos (0 unless several are searched as one)."""
    scale: float = 1.0
    """Pixels of this image per pixel of the upright video (below 1 where the decoder made it smaller)."""

    def __post_init__(self) -> None:
        check_shape("Frame", "image", self.image, None, None, 3)
        if self.image.dtype != np.uint8:
            raise ValueError(f"Frame.image must be uint8, got {self.image.dtype}")


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The garments seen in one frame, or in many frames put one after another; parallel arrays.

    Filtering is indexing: ``detections[detections.scores > 0.5]``.
    """

    boxes_xyxy: FloatArray
    """(N, 4) corners in pixels of the upright video (not of a scaled frame)."""
    labels: IntArray
    """(N,) index into COARSE_CLASSES."""
    scores: FloatArray
    """(N,) probability of the class, in [0, 1]."""
    viewpoint: FloatArray
    """(N, 3) probabilities of VIEWPOINTS."""
    occlusion: FloatArray
    """(N, 3) probabilities of OCCLUSIONS."""
    crop: FloatArray
    """(N, 2) probabilities of CROPS."""
    embeddings: FloatArray
    """(N, D) instance embeddings (paper 3.1: output of the last but one layer of the instance branch).

    Only their directions count; of a whole video they are in float16."""
    frame_index: IntArray
    """(N,) frame in which each was seen."""
    time_s: FloatArray
    """(N,) seconds since the first frame (float32 keeps milliseconds for two hours)."""
    source: IntArray
    """(N,) which of the searched videos."""

    def __post_init__(self) -> None:
        n = len(self.boxes_xyxy)
        check_shape("Detections", "boxes_xyxy", self.boxes_xyxy, n, 4)
        for name in ("labels", "scores", "frame_index", "time_s", "source"):
            check_shape("Detections", name, getattr(self, name), n)
        check_shape("Detections", "viewpoint", self.viewpoint, n, len(VIEWPOINTS))
        check_shape("Detections", "occlusion", self.occlusion, n, len(OCCLUSIONS))
        check_shape("Detections", "crop", self.crop, n, len(CROPS))
        check_shape("Detections", "embeddings", self.embeddings, n, None)

    @property
    def quality(self) -> FloatArray:
        """(N, 3) in [0, 1]: P(frontal), P(slight or no occlusion), P(not cropped); columns as QUALITIES."""
        return np.stack([self.viewpoint[:, 0], self.occlusion[:, 0], self.crop[:, 0]], axis=1)

    @property
    def overall(self) -> FloatArray:
        """(N,) product of the three scores (ours; the paper does not say how they become one)."""
        product: FloatArray = self.quality.prod(axis=1)
        return product

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def __getitem__(self, rows: slice | BoolArray | IntArray | Sequence[int]) -> Self:
        index = rows if isinstance(rows, slice) else np.asarray(rows)
        if isinstance(index, np.ndarray) and index.size == 0:
            index = index.astype(np.int64)
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def empty(cls, embedding_size: int = 0) -> Self:
        """No detections, with embeddings of the given size."""
        return cls(
            boxes_xyxy=np.zeros((0, 4), np.float32),
            labels=np.zeros(0, np.int64),
            scores=np.zeros(0, np.float32),
            viewpoint=np.zeros((0, len(VIEWPOINTS)), np.float32),
            occlusion=np.zeros((0, len(OCCLUSIONS)), np.float32),
            crop=np.zeros((0, len(CROPS)), np.float32),
            embeddings=np.zeros((0, embedding_size), np.float32),
            frame_index=np.zeros(0, np.int64),
            time_s=np.zeros(0, np.float32),
            source=np.zeros(0, np.int64),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Self:
        """One record of many, in the order given (empty parts may have embeddings of any size)."""
        full = [part for part in parts if len(part)]
        if not full:
            return cls.empty(parts[0].embeddings.shape[1] if parts else 0)
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in full]) for f in fields(cls)})


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """The garments of a video: a partition of its detections, with the best view of each.

    ``instance[n]`` says to which garment detection n belongs, ``best[i]`` which detection shows garment i best, and
    ``failing[n]`` which of the three limits detection n does not pass, so that every detection has its reason.
    """

    detections: Detections
    """(N) everything the detector saw, in the order it came."""
    instance: IntArray
    """(N,) index of the garment each detection shows, in [0, I)."""
    failing: BoolArray
    """(N, 3) True where a score is not above its limit; columns as QUALITIES."""
    best: IntArray
    """(I,) index into detections of each garment's best view."""
    picked: BoolArray
    """(I,) True where the best view passes all limits and the garment is seen in ``min_views`` frames, or over
    ``min_span_s``.

    False: seen, but never well or too briefly (reported, not picked)."""
    limits: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The three limits that were applied; as QUALITIES."""
    crops: tuple[Image | None, ...] = ()
    """The pixels of each garment's best view (uint8 RGB), or empty before they are cut out."""
    folded: int = 0
    """Detections that were folded onto near-equal leaders before clustering (0: clustering was exact)."""
    min_score: float = 0.0
    """Detector score that a good view lies above."""
    min_views: int = 1
    """Frames in which a garment must be seen to be picked."""
    min_span_s: float | None = None
    """Seconds between its first and last view of a video that do as well."""

    def __post_init__(self) -> None:
        n, i = len(self.detections), len(self.best)
        check_shape("Picks", "instance", self.instance, n)
        check_shape("Picks", "failing", self.failing, n, len(QUALITIES))
        check_shape("Picks", "best", self.best, i)
        check_shape("Picks", "picked", self.picked, i)
        if n and not (self.instance.min() >= 0 and self.instance.max() < i):
            raise ValueError(f"Picks.instance must lie in [0, {i}), got {self.instance.min()} to {self.instance.max()}")
        if self.crops and len(self.crops) != i:
            raise ValueError(f"Picks.crops must be empty or hold {i} images, got {len(self.crops)}")

    def __len__(self) -> int:
        """Number of garments, picked or only seen."""
        return len(self.best)

    @property
    def views(self) -> Detections:
        """(I) the best view of each garment."""
        return self.detections[self.best]

    @property
    def doubtful(self) -> BoolArray:
        """(I,) True where the detector is sure of no view (none above ``min_score``): most likely no garment at all."""
        sure = np.zeros(len(self), bool)
        sure[self.instance[self.detections.scores > np.float32(self.min_score)]] = True
        return ~sure

    def members(self, garment: int) -> IntArray:
        """Indices into detections of all views of a garment, in order of time."""
        rows: IntArray = np.flatnonzero(self.instance == garment)
        order = np.lexsort((self.detections.time_s[rows], self.detections.source[rows]))
        return rows[order]

    def seen_s(self, garment: int) -> tuple[float, float]:
        """First and last time in seconds at which a garment is seen, in any view."""
        times = self.detections.time_s[self.instance == garment]
        return float(times.min()), float(times.max())

    def reason(self, row: int) -> str:
        """Why detection ``row`` was kept or dropped, as one sentence.

        ``best view of garment 2``, ``duplicate of garment 2``, ``viewpoint 0.31 not above 0.50``,
        ``best view of garment 4, but seen in 1 frame, fewer than 2``.
        """
        garment = int(self.instance[row])
        seen = self.detections
        scores = (seen.viewpoint[row, 0], seen.occlusion[row, 0], seen.crop[row, 0])  # not of all views: N are asked
        failed = [
            f"{name} {score:.2f} not above {limit:.2f}"
            for name, score, limit, bad in zip(QUALITIES, scores, self.limits, self.failing[row], strict=True)
            if bad
        ]
        if self.detections.scores[row] <= np.float32(self.min_score) and self.min_score > 0:
            failed.append(f"score {self.detections.scores[row]:.2f} not above {self.min_score:.2f}")
        if row == self.best[garment] and not failed and not self.picked[garment]:
            frames = len({(self.detections.source[m], self.detections.frame_index[m]) for m in self.members(garment)})
            span = "" if self.min_span_s is None else f" and over less than {self.min_span_s:g} s"
            failed.append(f"seen in {frames} frame{'s' * (frames != 1)}, fewer than {self.min_views}{span}")
        if row == self.best[garment]:
            return f"best view of garment {garment}" + (f", but {', '.join(failed)}" if failed else "")
        return ", ".join(failed) if failed else f"duplicate of garment {garment}"
