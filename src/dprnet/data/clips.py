"""Ten short real clips of people whose garments were annotated by eye: a small truth, kept without the media.

    clips_truth/videos.csv       clip, file, frames a second, interval of the annotated frames, hash of the file
    clips_truth/truth.csv        a garment in a frame: box, class, number of the garment, viewpoint, occlusion, crop
    clips_truth/second_pass.csv  some of the frames once more, without a look at the first pass

Frames of the interval that have no row show no garment. The class ``ignore`` is a region that could not be decided
(grey layers under a grey coat). How the tables were made, and how far two passes agree: docs/benchmark.md.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from dprnet.core.classes import COARSE_CLASSES, CROPS, IGNORE, OCCLUSIONS, VIEWPOINTS
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.shopset import ShopSet, ShopSetWriter

log = logging.getLogger(__name__)

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Clip:
    """One video file."""

    name: str
    file: str
    rate: float
    """Frames a second."""
    every: str
    """Interval of the frames that were annotated, as the decoder takes it."""
    sha256: str


@dataclass(frozen=True, slots=True)
class ClipView:
    """A garment in a frame of a clip."""

    video: str
    frame_index: int
    instance: int
    """Number of the garment, unique over all clips; -1 of an ignored region."""
    label: int
    """Index into COARSE_CLASSES; -1 of an ignored region."""
    box_xyxy: Box
    viewpoint: int
    occlusion: int
    crop: int


@cache
def clips() -> tuple[Clip, ...]:
    """All clips, by name."""
    return tuple(
        Clip(row["video"], row["file"], float(row["rate"]), row["every"], row["sha256"]) for row in _rows("videos")
    )


@cache
def clip_views(second_pass: bool = False) -> tuple[ClipView, ...]:
    """The annotated views of all clips; of the second pass, which covers a sample of the frames, where asked for."""
    return tuple(_view(row) for row in _rows("second_pass" if second_pass else "truth"))


def write_clips(videos: Path, out: Path) -> ShopSet:
    """Write the clips that a folder holds as a video-to-shop set without a shop; GIF becomes MP4.

    Raises:
        MissingFile: the folder holds none of the clips.
        BadDataset: a file is not the one that was annotated, or ``out`` already holds a set.
    """
    found = [clip for clip in clips() if (videos / clip.file).is_file()]
    if not found:
        raise MissingFile(videos, f"holds none of the {len(clips())} annotated clips, such as {clips()[0].file}")
    for clip in found:
        if hashlib.sha256((videos / clip.file).read_bytes()).hexdigest() != clip.sha256:
            raise BadDataset(videos / clip.file, "is not the clip that was annotated (its hash differs)")
    writer = ShopSetWriter(out, {"name": "clips", "split": "test"})
    for clip in found:
        _add_media(videos / clip.file, writer.add_video(clip.name))
    rate = {clip.name: clip.rate for clip in found}
    views = [view for view in clip_views() if view.video in rate]
    for video, number, label in sorted({(v.video, v.instance, v.label) for v in views if v.instance >= 0}):
        writer.add_instance(video, number, label)
    for view in views:
        if view.instance < 0:
            writer.add_ignored(view.video, view.frame_index, view.box_xyxy)
            continue
        writer.add_view(view.video, view.frame_index, view.instance, view.box_xyxy,
                        time_s=view.frame_index / rate[view.video], viewpoint=view.viewpoint,
                        occlusion=view.occlusion, crop=view.crop)  # fmt: skip
    return writer.finish()


def _add_media(source: Path, target: Path) -> None:
    if source.suffix != ".gif":
        shutil.copyfile(source, target)
        return
    import av

    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream: Any = None
        for number, frame in enumerate(read.decode(video=0)):
            pixels = frame.to_ndarray(format="rgb24")
            if stream is None:
                rate = read.streams.video[0].average_rate
                stream = written.add_stream("libx264", rate=rate, options={"crf": "12"})  # next to no loss
                stream.height, stream.width = (side // 2 * 2 for side in pixels.shape[:2])
                stream.pix_fmt = "yuv420p"
            even = av.VideoFrame.from_ndarray(pixels[: stream.height, : stream.width], format="rgb24")
            even.pts = number
            written.mux(stream.encode(even))
        if stream is not None:
            written.mux(stream.encode())


def _rows(name: str) -> Sequence[dict[str, str]]:
    text = files("dprnet.data").joinpath("clips_truth", f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _view(row: dict[str, str]) -> ClipView:
    box = (float(row["x1"]), float(row["y1"]), float(row["x2"]), float(row["y2"]))
    if row["class"] == IGNORE:
        return ClipView(row["video"], int(row["frame_index"]), -1, -1, box, -1, -1, -1)
    return ClipView(
        row["video"],
        int(row["frame_index"]),
        int(row["instance"]),
        COARSE_CLASSES.index(row["class"]),
        box,
        VIEWPOINTS.index(row["viewpoint"]),
        OCCLUSIONS.index(row["occlusion"]),
        CROPS.index(row["crop"]),
    )
