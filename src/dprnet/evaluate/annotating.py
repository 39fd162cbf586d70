"""A video-to-shop set of one's own videos: what the networks find goes out to be corrected, and comes back as truth.

export   videos -> frames as pictures, with boxes, classes, quality and garments as we see them
(correct them in CVAT, Label Studio or any tool that keeps COCO's attributes)
import   corrected file -> a set in our layout, with its videos and catalogue
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadDataset
from dprnet.core.images import jpeg_bytes
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Detections, Image, IntArray
from dprnet.data import annotation as exchange
from dprnet.data import label_studio
from dprnet.data.annotation import Mark, MarkedFrame, Task
from dprnet.data.shopset import ShopSet
from dprnet.detect import Detector
from dprnet.evaluate.figures import write_figures
from dprnet.evaluate.truth import video_truths
from dprnet.pick import PickConfig, pick

log = logging.getLogger(__name__)

Form = Literal["coco", "label-studio"]
FILES: Mapping[Form, str] = {"coco": "annotations.coco.json", "label-studio": "tasks.label-studio.json"}
CONFIG = "label-studio.xml"
LOCAL_FILES = "/data/local-files/?d="  # Label Studio's address of files on its own disk


def export_videos(
    videos: Sequence[Path], out: Path, bundle: Bundle, *, every: str = "1s", device: str = "cpu",
    progress: Progress = SILENT,
) -> Task:  # fmt: skip
    """Detect and pick in videos and write frames and both files for correction.

    Args:
        videos: names without extension must differ.
        out: empty or absent folder.
        bundle: its detector and its fitted picking.
        every: interval of the frames; every annotated frame costs somebody's time.
        device: where the detector runs.
        progress: shows the frames done.

    Raises:
        BadDataset: the folder holds something, or two videos have one name.
        MissingFile, BadVideo: a video cannot be read.
    """
    if len({path.stem for path in videos}) != len(videos):
        raise BadDataset(out, "two videos have the same name; rename one of them")
    detector = Detector.from_bundle(bundle, device=device)
    config = parse_settings(dict(bundle.settings("picking")), PickConfig, f"{bundle.name}.picking")
    fresh_folder(out)
    (out / "frames").mkdir(parents=True)
    frames: list[MarkedFrame] = []
    garments = 0
    for path in videos:
        found, places = _look(path, out, detector, every, progress)
        picks = pick(found, config)
        numbers = np.where(~picks.doubtful[picks.instance], picks.instance, -1) if len(found) else picks.instance
        marked = [replace(place, marks=_marks(found, numbers, garments, place)) for place in places]
        frames += marked
        garments += len(picks)
    return _write(out, frames, {path.stem: str(path.resolve()) for path in videos}, bundle.identity)


def export_set(shopset: ShopSet, out: Path, *, every: int = 12, progress: Progress = SILENT) -> Task:
    """Write the truth of a set's videos for correction: every so many of its annotated frames.

    Raises:
        BadDataset: the folder holds something.
    """
    from dprnet.decode import frames_at

    fresh_folder(out)
    (out / "frames").mkdir(parents=True)
    rows = shopset.frames.drop_columns(["landmarks"]).to_pylist()
    ignored = shopset.ignored.to_pylist()
    items = dict(zip(shopset.instances["instance"].to_pylist(), shopset.instances["item_id"].to_pylist(), strict=True))
    frames: list[MarkedFrame] = []
    for video in progress.track(shopset.videos, "writing frames", len(shopset.videos)):
        mine = [row for row in rows if row["video"] == video]
        times = {row["frame_index"]: row["time_s"] for row in mine}
        looked = times.keys() | {row["frame_index"] for row in ignored if row["video"] == video}
        for frame in frames_at(shopset.video_path(video), sorted(looked)[::every]):
            place = _place(out, video, frame.index, float(times.get(frame.index, frame.time_s)), frame.image)
            marks = [_true_mark(row, shopset.labels, items) for row in mine if row["frame_index"] == frame.index]
            marks += [Mark(_corners(row), None) for row in ignored if _is_of(row, video, frame.index)]
            frames.append(replace(place, marks=tuple(marks)))
    videos = {name: str(shopset.video_path(name).resolve()) for name in shopset.videos}
    truths = [(truth, number) for truth in video_truths(shopset) for number in truth.also]
    also = {number: truth.right_items(number) for truth, number in truths}
    return _write(out, frames, videos, shopset.id, also)


def _look(
    path: Path, out: Path, detector: Detector, every: str, progress: Progress
) -> tuple[Detections, list[MarkedFrame]]:
    """Detections of a video, and its frames, written as pictures at full size."""
    from dprnet.decode import Every, open_video

    places: list[MarkedFrame] = []
    found: list[Detections] = []
    with open_video(path, Every.parse(every)) as video:
        for frame in progress.track(video, f"looking at {path.name}"):
            places.append(_place(out, path.stem, frame.index, frame.time_s, frame.image))
            found.extend(detector([frame]))
    return Detections.concatenate(found), places


def _place(out: Path, video: str, index: int, time_s: float, image: Image) -> MarkedFrame:
    relative = f"frames/{video}__{index:06d}.jpg"
    (out / relative).write_bytes(jpeg_bytes(image, 92))
    height, width = image.shape[:2]
    return MarkedFrame(relative, video, index, time_s, width, height)


def _marks(found: Detections, numbers: IntArray, first: int, place: MarkedFrame) -> tuple[Mark, ...]:
    rows = np.flatnonzero((found.frame_index == place.frame_index) & (numbers >= 0))
    return tuple(
        Mark(
            _box(found.boxes_xyxy[row].tolist()),
            int(found.labels[row]),
            first + int(numbers[row]),
            viewpoint=int(found.viewpoint[row].argmax()),
            occlusion=int(found.occlusion[row].argmax()),
            crop=int(found.crop[row].argmax()),
        )
        for row in rows
    )


def _true_mark(row: Mapping[str, object], labels: Mapping[int, int], items: Mapping[int, str | None]) -> Mark:
    def number(name: str) -> int:
        return int(str(row[name]))

    instance = number("instance")
    quality = {name: number(name) for name in ("viewpoint", "occlusion", "crop")}
    return Mark(_corners(row), labels[instance], instance, items.get(instance) or None, **quality)


def _corners(row: Mapping[str, object]) -> tuple[float, float, float, float]:
    return _box([float(str(row[name])) for name in ("x1", "y1", "x2", "y2")])


def _box(corners: list[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = corners
    return x1, y1, x2, y2


def _is_of(row: Mapping[str, object], video: str, index: int) -> bool:
    return row["video"] == video and row["frame_index"] == index


def _write(
    out: Path,
    frames: Sequence[MarkedFrame],
    videos: Mapping[str, str],
    version: str,
    also: Mapping[int, tuple[str, ...]] | None = None,
) -> Task:
    write_figures(exchange.to_coco(frames), out / FILES["coco"])
    tasks = label_studio.to_label_studio(frames, LOCAL_FILES, version)
    write_figures(tasks, out / FILES["label-studio"])
    (out / CONFIG).write_text(label_studio.label_config(), encoding="utf-8")
    task = Task(out, tuple(frames), videos, also or {})
    exchange.write_task(task)
    return task


def fresh_folder(out: Path) -> None:
    """Refuse a folder that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadDataset(out, "is not empty; choose another folder, so that no correction is lost")
