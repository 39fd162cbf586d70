"""What the detector saw of every video of a set, with its truth: computed once, kept on disk, used by all evaluations.

The cache is one npz a video, in a folder named by a hash of set, detector and interval; a changed set, detector or
interval is another folder, and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import BoolArray, Detections, IntArray
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.truth import VideoTruth, video_truths

if TYPE_CHECKING:
    from dprnet.detect import Detector

log = logging.getLogger(__name__)

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
    folder = None
    if cache is not None:
        key = json.dumps({"set": shopset.id, "detector": detector, "every": every}, sort_keys=True)
        folder = cache / hashlib.sha256(key.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.json").write_text(key + "\n", encoding="utf-8")
    found = []
    truths = video_truths(shopset)
    for truth in (progress or Silent()).track(truths, "detecting", len(truths)):
        path = shopset.video_path(truth.name)
        kept = folder / f"{truth.name}.npz" if folder else None
        detections = _load(kept) if kept else None
        if detections is None:
            detections = detect(path)
            if kept:
                _save(detections, kept)
        found.append(match(detections, truth))
    return found


def video_detector(detector: Detector, every: str) -> Detect:
    """A function that decodes a video and runs the detector over its frames."""
    from dprnet.decode import Every, open_video

    def detect(path: Path) -> Detections:
        with open_video(path, Every.parse(every), short_side=detector.short_side) as video:
            return Detections.concatenate(list(detector(video)))

    return detect


def detector_identity(bundle: Bundle) -> str:
    """``name@hash`` of the detector alone: does not change when picking is calibrated."""
    part = {"settings": bundle.settings("detector"), "weights": bundle.manifest["weights"].get("detector")}
    digest = hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()
    return f"{bundle.name}@{digest[:12]}"


def _save(detections: Detections, path: Path) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **{f.name: getattr(detections, f.name) for f in fields(Detections)})
    partial.replace(path)


def _load(path: Path) -> Detections | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Detections(**{f.name: arrays[f.name] for f in fields(Detections)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s); the video is detected again", path, type(error).__name__)
        return None
