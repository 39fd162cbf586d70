"""The way back: a corrected COCO or Label Studio file -> a video-to-shop set with its videos and catalogue."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data import annotation as exchange
from dprnet.data import label_studio
from dprnet.data.annotation import MarkedFrame, Task
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.evaluate.annotating import fresh_folder
from dprnet.gallery import read_catalogue


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made."""

    shopset: ShopSet
    frames: int
    garments: int
    unannotated: int
    """Images that nobody has annotated; they are left out."""


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
    also = {number: _others(task, number, item) for number, (_, _, item) in garments.items()}
    right = {item for _, _, item in garments.values() if item}.union(*also.values())
    missing = sorted(right - photos.keys())
    if missing:
        where = f"is not in the catalogue {catalogue}" if catalogue else "needs a catalogue; name it with --catalogue"
        raise BadDataset(file, f"item '{missing[0]}' {where} ({len(missing)} such items)")
    fresh_folder(out)
    writer = ShopSetWriter(out, {"name": name, "split": "test"})
    _add_media(writer, task, frames, photos, media)
    for number, (video, label, item) in sorted(garments.items()):
        writer.add_instance(video, number, label, item, attributes={"also": also[number]} if also[number] else None)
    for frame, mark in exchange.every_mark(frames):
        if mark.label is None:
            writer.add_ignored(frame.video, frame.frame_index, mark.box_xyxy)
            continue
        writer.add_view(frame.video, frame.frame_index, mark.instance, mark.box_xyxy, time_s=frame.time_s,
                        viewpoint=mark.viewpoint, occlusion=mark.occlusion, crop=mark.crop)  # fmt: skip
    return Imported(writer.finish(), len(frames), len(garments), unannotated)


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


def _others(task: Task, number: int, item: str | None) -> list[str]:
    """Further right items of a garment as the exported set had them; none where the correction names another item."""
    right = task.also.get(number, ())
    return [other for other in right if other != item] if item in right else []


def _photos(catalogue: Path | None) -> dict[str, tuple[tuple[Path, ...], str]]:
    if catalogue is None:
        return {}
    return {item.item_id: (item.files, item.category) for item in read_catalogue(catalogue).items}


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
