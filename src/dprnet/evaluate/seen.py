"""What the detector saw of every video of a set, with its truth: computed once, kept on disk, used by all evaluations.

The cache is one npz a video, in a folder named by a hash of set, detector and interval; a changed set, detector or
interval is another folder, a video that was exchanged is looked at again, and an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from dprnet.core.bundle import Bundle
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import BoolArray, Detections, IntArray
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.kept import keyed_folder, load_arrays, save_arrays
from dprnet.evaluate.truth import VideoTruth, video_truths

if TYPE_CHECKING:
    from dprnet.detect import Detector

FRAMES = "scaled once, full colour"  # how they are decoded (part of the key): changes when their pixels do

Detect = Callable[[Path], Detections]
"""A video file -> all its detections (frames put one after another)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One video: what was detected, what is true, and which true view each detection shows."""

    detections: Detections
    truth: VideoTruth
    views: IntArray
    """(N,) true view of each detection, or -1."""
    ignored: BoolArray
    """(N,) in an ignored region: neither right nor wrong."""


def match(detections: Detections, truth: VideoTruth) -> Seen:
    """Match the detections of a video to its truth."""
    return Seen(detections, truth, truth.views(detections), truth.is_ignored(detections))


def see(
    shopset: ShopSet,
    detect: Detect,
    *,
    detector: str,
    every: str,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[Seen]:
    """Detections of every video of a set, matched to its truth.

    Args:
        shopset: the set.
        detect: a video file -> its detections, as :func:`video_detector` makes it.
        detector: identity of the detector, as :func:`detector_identity` gives it (part of the key of the cache).
        every: interval between frames (part of the key).
        cache: folder of kept detections, or None to keep nothing.
        progress: shows how many videos are done.
    """
    key = {"set": shopset.id, "detector": detector, "every": every, "frames": FRAMES}
    folder = keyed_folder(cache, "seen", key) if cache is not None else None
    found = []
    truths = video_truths(shopset)
    for truth in (progress or Silent()).track(truths, "detecting", len(truths)):
        path = shopset.video_path(truth.name)
        kept = folder / f"{truth.name}.npz" if folder else None
        detections = _load(kept, path) if kept else None
        if detections is None:
            detections = detect(path)
            if kept:
                columns = {one.name: getattr(detections, one.name) for one in fields(Detections)}
                save_arrays(kept, columns, of=path)
        found.append(match(detections, truth))
    return found


def video_detector(detector: Detector, every: str) -> Detect:
    """A function that decodes a video and runs the detector over its frames."""
    from dprnet.decode import Every, open_video

    def detect(path: Path) -> Detections:
        short, long = detector.short_side, detector.long_side  # as the pipeline asks for frames
        with open_video(path, Every.parse(every), short_side=short, long_side=long) as video:
            return Detections.concatenate(list(detector(video)))

    return detect


def detector_identity(bundle: Bundle) -> str:
    """``name@hash`` of the detector alone: does not change when picking is calibrated."""
    part = {"settings": bundle.settings("detector"), "weights": bundle.manifest["weights"].get("detector")}
    digest = hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()
    return f"{bundle.name}@{digest[:12]}"


def seen_by(
    bundle: Bundle, shopset: ShopSet, every: str, *, device: str, cache: Path | None, progress: Progress
) -> list[Seen]:
    """As :func:`see`, by the detector of a bundle.

    Raises:
        BadBundle: no detector in it, or weights that do not fit.
    """
    from dprnet.detect import Detector

    detect = video_detector(Detector.from_bundle(bundle, device=device), every)
    return see(shopset, detect, detector=detector_identity(bundle), every=every, cache=cache, progress=progress)


def _load(path: Path, video: Path) -> Detections | None:
    arrays = load_arrays(path, of=video)
    names = {one.name for one in fields(Detections)}
    if arrays is None or arrays.keys() != names:
        return None
    return Detections(**arrays)
