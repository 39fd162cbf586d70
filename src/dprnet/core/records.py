"""What travels between the stages: decode -> detect -> pick -> embed -> match -> report.

Shape legend
    H, W  height and width of an image        N  detections of one or many frames
    I     instances (garments) of a video     D  numbers in an embedding        K  matches of a pick

Every record is frozen and checked at birth: a wrong shape is refused with what was wanted and what came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.detections import (
    BoolArray,
    Detections,
    FloatArray,
    Frame,
    Image,
    IntArray,
    Picks,
    check_shape,
)

Decision = Literal["exact", "similar", "none"]
Status = Literal["complete", "partial", "failed"]


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors of many crops or photos."""

    vectors: FloatArray
    """(N, D) float32, each of Euclidean length 1."""
    ids: tuple[str, ...]
    """(N,) what each vector stands for."""

    def __post_init__(self) -> None:
        check_shape("Embeddings", "vectors", self.vectors, len(self.ids), None)


@dataclass(frozen=True, slots=True)
class Match:
    """One catalogue item found for a pick."""

    item_id: str
    similarity: float
    """Cosine, in [-1, 1]."""
    photo: str = ""
    """Path or address of the item's photo that is most like the pick."""
    category: str = ""
    title: str = ""
    url: str = ""
    price: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Any other columns of the catalogue."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The catalogue items of each garment, best first."""

    items: tuple[tuple[Match, ...], ...]
    """(I) of up to K; empty for a garment that was seen but not picked (unless the fallback is on)."""
    decisions: tuple[Decision | None, ...] = ()
    """(I,) exact, similar or none; None until the matching has been calibrated."""
    probabilities: tuple[float | None, ...] = ()
    """(I,) probability of the decision."""


@dataclass(frozen=True, slots=True)
class Source:
    """One searched video."""

    path: str
    sha256: str
    width: int
    """Pixels, upright."""
    height: int
    duration_s: float
    """Seconds from the first to the end of the last decoded frame."""
    status: Status = "complete"
    note: str = ""
    """What stopped a partial decode, or why the video could not be read at all, as one sentence."""
    decoded_until_s: float = 0.0
    frames: int = 0
    """Key frames that were looked at."""
    hdr: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The answer: each garment once, in its best view, with its matches."""

    sources: tuple[Source, ...]
    picks: Picks
    matches: Matches
    seconds: Mapping[str, float]
    """Wall-clock seconds of each stage."""
    bundle: str
    """Name and content hash of the model bundle."""
    gallery: str
    """Name, version and size of the gallery; empty where none was searched."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    embeddings: Embeddings | None = None
    """Of the best views that were embedded; ids are the numbers of the garments as text. None where none were."""

    @property
    def status(self) -> Status:
        """Partial where any of the videos is not complete; failed where none could be read."""
        found = {source.status for source in self.sources}
        return "complete" if found <= {"complete"} else "failed" if found == {"failed"} else "partial"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known to be true of one image; -1 marks what nobody labelled. Parallel arrays."""

    boxes_xyxy: FloatArray
    """(N, 4) pixels."""
    labels: IntArray
    """(N,) index into COARSE_CLASSES."""
    viewpoint: IntArray
    """(N,) index into VIEWPOINTS, or -1."""
    occlusion: IntArray
    """(N,) index into OCCLUSIONS, or -1."""
    crop: IntArray
    """(N,) index into CROPS, or -1."""
    instance: IntArray
    """(N,) number of the garment within the data set, or -1."""
    ignore_xyxy: FloatArray
    """(M, 4) regions in which a detection is neither right nor wrong."""

    def __post_init__(self) -> None:
        n = len(self.boxes_xyxy)
        check_shape("Truth", "boxes_xyxy", self.boxes_xyxy, n, 4)
        for name in ("labels", "viewpoint", "occlusion", "crop", "instance"):
            check_shape("Truth", name, getattr(self, name), n)
        check_shape("Truth", "ignore_xyxy", self.ignore_xyxy, None, 4)

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


__all__ = [
    "COARSE_CLASSES",
    "BoolArray",
    "Decision",
    "Detections",
    "Embeddings",
    "FloatArray",
    "Frame",
    "Image",
    "IntArray",
    "Match",
    "Matches",
    "Picks",
    "Report",
    "Source",
    "Status",
    "Truth",
]
