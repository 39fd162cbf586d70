"""A video-to-shop set of one's own videos: what the networks find goes out to be corrected, and comes back as truth.

export   videos -> frames as pictures, with boxes, classes, quality and garments as we see them
(correct them in CVAT, Label Studio or any tool that keeps COCO's attributes)
import   corrected file -> a set in our layout, with its videos and catalogue
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.images import jpeg_bytes
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Detections, Image, IntArray
from dprnet.data import annotation as exchange
from dprnet.data import label_studio
from dprnet.data.annotation import Mark, MarkedFrame, Task
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.detect import Detector
from dprnet.evaluate.figures import write_figures
from dprnet.gallery import read_catalogue
from dprnet.pick import PickConfig, pick

log = logging.getLogger(__name__)

Form = Literal["coco", "label-studio"]
FILES: Mapping[Form, str] = {"coco": "annotations.coco.json", "label-studio": "tasks.label-studio.json"}
CONFIG = "label-studio.xml"
LOCAL_FILES = "/data/local-files/?d="  # Label Studio's address of files on its own disk


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made."""

    shopset: ShopSet
    frames: int
    garments: int
    unannotated: int
    """Images that nobody has annotated; they are left out."""


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
    _fresh(out)
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

    _fresh(out)
    (out / "frames").mkdir(parents=True)
    rows = shopset.frames.drop_columns(["landmarks"]).to_pylist()
    ignored = shopset.ignored.to_pylist()
    items = dict(zip(shopset.instances["instance"].to_pylist(), shopset.instances["item_id"].to_pylist(), strict=True))
    frames: list[MarkedFrame] = []
    for video in progress.track(shopset.videos, "writing frames", len(shopset.videos)):
        mine = [row for row in rows if row["video"] == video]
        times = {row["frame_index"]: row["time_s"] for row in mine}
        for frame in frames_at(shopset.video_path(video), sorted(times)[::every]):
            place = _place(out, video, frame.index, float(times[frame.index]), frame.image)
            marks = [_true_mark(row, shopset.labels, items) for row in mine if row["frame_index"] == frame.index]
            marks += [Mark(_corners(row), None) for row in ignored if _is_of(row, video, frame.index)]
            frames.append(replace(place, marks=tuple(marks)))
    return _write(out, frames, {name: str(shopset.video_path(name).resolve()) for name in shopset.videos}, shopset.id)


def import_marks(
    file: Path, task_folder: Path, out: Path, *, catalogue: Path | None = None, media: bool = True, name: str = "mine"
) -> Imported:
    """A corrected file -> a video-to-shop set; COCO and Label Studio are told apart by content.

    Args:
        file: what the tool exported.
        task_folder: the folder of the export, with ``task.json``.
        out: empty or absent folder of the set.
        catalogue: the shop; needed where garments have items.
        media: copy the videos into the set. Without them the set holds truth tables alone.
        name: of the set.

    Raises:
        BadDataset: the file, or what it says, is wrong; the sentence names the annotation.
        MissingFile: a file is not there.
    """
    task, values = exchange.read_task(task_folder), exchange.read_json(file)
    if isinstance(values, list):
        frames, unannotated = label_studio.from_label_studio(values, task, file)
    else:
        frames, unannotated = exchange.from_coco(values, task, file), 0
    garments = _garments(frames, file)
    photos = _photos(catalogue)
    missing = sorted({item for _, _, item in garments.values() if item} - photos.keys())
    if missing:
        where = f"is not in the catalogue {catalogue}" if catalogue else "needs a catalogue; name it with --catalogue"
        raise BadDataset(file, f"item '{missing[0]}' {where} ({len(missing)} such items)")
    _fresh(out)
    writer = ShopSetWriter(out, {"name": name, "split": "test"})
    _add_media(writer, task, frames, photos, media)
    for number, (video, label, item) in sorted(garments.items()):
        writer.add_instance(video, number, label, item)
    for frame, mark in exchange.every_mark(frames):
        if mark.label is None:
            writer.add_ignored(frame.video, frame.frame_index, mark.box_xyxy)
            continue
        writer.add_view(frame.video, frame.frame_index, mark.instance, mark.box_xyxy, time_s=frame.time_s,
                        viewpoint=mark.viewpoint, occlusion=mark.occlusion, crop=mark.crop)  # fmt: skip
    return Imported(writer.finish(), len(frames), len(garments), unannotated)


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


def _write(out: Path, frames: Sequence[MarkedFrame], videos: Mapping[str, str], version: str) -> Task:
    write_figures(exchange.to_coco(frames), out / FILES["coco"])
    tasks = label_studio.to_label_studio(frames, LOCAL_FILES, version)
    write_figures(tasks, out / FILES["label-studio"])
    (out / CONFIG).write_text(label_studio.label_config(), encoding="utf-8")
    task = Task(out, tuple(frames), videos)
    exchange.write_task(task)
    return task


def _fresh(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadDataset(out, "is not empty; choose another folder, so that no correction is lost")


def _garments(frames: Iterable[MarkedFrame], file: Path) -> dict[int, tuple[str, int, str | None]]:
    """Video, class and item of each garment; all its marks must agree."""
    garments: dict[int, tuple[str, int, str | None]] = {}
    for frame, mark in exchange.every_mark(list(frames)):
        if mark.label is None:
            continue
        mine = (frame.video, mark.label, mark.item_id)
        video, label, item = garments.setdefault(mark.instance, mine)
        if (video, label) != mine[:2] or (item and mark.item_id and item != mark.item_id):
            raise BadDataset(
                file, f"garment {mark.instance} is {mine} in {frame.image}, but {(video, label, item)} in an earlier "
                "frame; one number is one garment of one video, with one class and item"
            )  # fmt: skip
        garments[mark.instance] = (video, label, item or mark.item_id)
    return garments


def _photos(catalogue: Path | None) -> dict[str, tuple[tuple[Path, ...], str]]:
    if catalogue is None:
        return {}
    return {item.item_id: (item.images, item.category) for item in read_catalogue(catalogue).items}


def _add_media(
    writer: ShopSetWriter,
    task: Task,
    frames: Sequence[MarkedFrame],
    photos: Mapping[str, tuple[tuple[Path, ...], str]],
    media: bool,
) -> None:
    for name in sorted({frame.video for frame in frames}) if media else ():
        source = Path(task.videos.get(name, ""))
        if not source.is_file():
            raise MissingFile(source, f"the video '{name}' of the task is gone; put it back, or import without media")
        shutil.copyfile(source, writer.add_video(name))
    for number, (item, (images, category)) in enumerate(sorted(photos.items())):
        kept = []
        for place, image in enumerate(images):
            relative = f"gallery/{number:06d}_{place}{image.suffix.lower()}"
            shutil.copyfile(image, writer.folder / relative)
            kept.append(relative)
        writer.add_item(item, kept, category=category)
