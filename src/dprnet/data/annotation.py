"""Annotated frames as COCO and as Label Studio JSON, out and back in.

An export is a folder: ``task.json`` (which image is which frame of which video), ``frames/``, and one file per tool.
Tools keep the names of the images and little else, so everything is found again by name.

COCO: ``bbox`` is x, y, width, height; quality labels, identity and item ride in ``attributes``; ``iscrowd`` 1, or the
category ``ignore``, is a region in which a detection is neither right nor wrong. Label Studio: rectangles in percent,
and per rectangle the choices ``viewpoint``, ``occlusion``, ``crop`` and the texts ``instance`` and ``item``; the label
``ignore`` is such a region.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from dprnet.core.classes import COARSE_CLASSES, CROPS, IGNORE, OCCLUSIONS, QUALITIES, UNLABELLED, VIEWPOINTS
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.coco_out import ANY_CLASS, CocoBox, CocoImage, coco_json

SCHEMA = 1
TASK = "task.json"
MAX_BYTES = 500_000_000
CHOICES: Mapping[str, tuple[str, ...]] = dict(zip(QUALITIES, (VIEWPOINTS, OCCLUSIONS, CROPS), strict=True))


@dataclass(frozen=True, slots=True)
class Mark:
    """One box of a frame."""

    box_xyxy: tuple[float, float, float, float]
    """Pixels of the upright video."""
    label: int | None
    """Index into COARSE_CLASSES, -1 where nobody said; None: a region where detections are neither right nor wrong."""
    instance: int = -1
    """Number of the garment, unique over all videos of the task; -1 where nobody said."""
    item_id: str | None = None
    viewpoint: int = UNLABELLED
    occlusion: int = UNLABELLED
    crop: int = UNLABELLED


@dataclass(frozen=True, slots=True)
class MarkedFrame:
    """One frame of a task."""

    image: str
    """Path of its picture relative to the task's folder; the file name is unique in the task."""
    video: str
    """Name of the video, as the set will call it."""
    frame_index: int
    time_s: float
    width: int
    height: int
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """What was exported: frames (without marks) and where their videos lie."""

    folder: Path
    frames: tuple[MarkedFrame, ...]
    videos: Mapping[str, str]
    """Path of each video by name."""
    also: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """All items that are right for a garment, its own first, where there are several: no tool has a place for them."""


def write_task(task: Task) -> Path:
    """Write ``task.json``."""
    frames = [{name: getattr(one, name) for name in _FRAME} for one in task.frames]
    path = task.folder / TASK
    also = {str(number): list(items) for number, items in task.also.items()}
    values = {"schema": SCHEMA, "videos": dict(task.videos), "also": also, "frames": frames}
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path


_FRAME = ("image", "video", "frame_index", "time_s", "width", "height")


def read_task(folder: Path) -> Task:
    """Read ``task.json`` of an export.

    Raises:
        MissingFile: the folder holds none.
        BadDataset: damaged, or of a newer version.
    """
    path = folder / TASK
    values = read_json(path)
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise BadDataset(path, f"not a task of schema {SCHEMA}; export it again with `dprnet annotate export`")
    try:
        frames = tuple(MarkedFrame(**{name: one[name] for name in _FRAME}) for one in values["frames"])
        also = {int(number): tuple(map(str, items)) for number, items in dict(values.get("also", {})).items()}
        return Task(folder, frames, dict(values["videos"]), also)
    except (KeyError, TypeError, ValueError) as error:
        raise BadDataset(path, f"a frame lacks or mistypes a field ({error})") from None


def to_coco(frames: Sequence[MarkedFrame]) -> dict[str, Any]:
    """Frames and marks as COCO detection JSON; ids count from 1."""
    return coco_json(
        CocoImage(
            one.image,
            one.width,
            one.height,
            [_coco_box(mark) for mark in one.marks],
            {"video": one.video, "frame_index": one.frame_index, "time_s": one.time_s},
        )
        for one in frames
    )


def _coco_box(mark: Mark) -> CocoBox:
    # CVAT knows a garment over several frames as a track
    numbers = {"instance_id": mark.instance, "track_id": mark.instance} if mark.instance >= 0 else {}
    more = {**numbers, **({"item_id": mark.item_id} if mark.item_id else {})}
    return CocoBox(mark.box_xyxy, mark.label, (mark.viewpoint, mark.occlusion, mark.crop), more)


def from_coco(values: Any, task: Task, where: Path | str) -> list[MarkedFrame]:
    """COCO detection JSON of a task's images -> its frames with marks; images of no annotation are empty frames.

    Raises:
        BadDataset: naming the annotation and the value that is wrong.
    """
    keys = ("images", "categories", "annotations")
    if not isinstance(values, dict) or not all(isinstance(values.get(key), list) for key in keys):
        raise BadDataset(where, f"not COCO detection JSON: wanted lists {', '.join(keys)}")
    known = ImagesByName(task, where)
    try:
        frames = {one["id"]: known(one["file_name"], f"image {one['id']}") for one in values["images"]}
        categories = {
            one["id"]: None if one["name"] == IGNORE else class_of(one["name"], where, f"category {one['id']}")
            for one in values["categories"]
        }
    except (KeyError, TypeError) as error:
        raise BadDataset(where, f"an image or category lacks {error}") from None
    marks: dict[Any, list[Mark]] = {number: [] for number in frames}
    for number, one in enumerate(values["annotations"]):
        name = f"annotation {one.get('id', number) if isinstance(one, dict) else number}"
        try:
            if one["image_id"] not in frames:
                raise BadDataset(where, f"{name}: image_id {one['image_id']} is no image of the file")
            x, y, width, height = (float(value) for value in one["bbox"])
            attributes = one.get("attributes") or {}
            label = None if one.get("iscrowd") else categories[one["category_id"]]
        except (KeyError, TypeError, ValueError) as error:
            raise BadDataset(where, f"{name}: wrong or missing field ({error})") from None
        frame = frames[one["image_id"]]
        box = inside_box((x, y, x + width, y + height), frame, where, name)
        marks[one["image_id"]].append(mark_of(box, label, attributes, where, name))
    return [with_marks(frame, marks[number]) for number, frame in frames.items()]


def read_json(path: Path) -> Any:
    """A JSON file, of bounded size.

    Raises:
        MissingFile: no such file.
        BadDataset: too large, or not JSON.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadDataset(path, f"larger than {MAX_BYTES} bytes")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise MissingFile(path, "no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadDataset(path, f"cannot be read as JSON ({type(error).__name__})") from None


class ImagesByName:
    """The task's frame of an image, whatever folder or address a tool put before its name."""

    def __init__(self, task: Task, where: Path | str) -> None:
        self._frames = {PurePosixPath(one.image).name: one for one in task.frames}
        self._where = where

    def __call__(self, image: str, name: str) -> MarkedFrame:
        """The frame, or BadDataset naming the image."""
        found = self._frames.get(PurePosixPath(str(image).replace("\\", "/")).name)
        if found is None:
            raise BadDataset(self._where, f"{name}: '{image}' is no image of the task ({len(self._frames)} images)")
        return found


def class_of(name: Any, where: Path | str, what: str) -> int:
    """Index into COARSE_CLASSES of a name, -1 of a garment of any class, or BadDataset."""
    if name == ANY_CLASS:
        return UNLABELLED
    if name not in COARSE_CLASSES:
        raise BadDataset(where, f"{what}: '{name}' is no class; wanted {', '.join(COARSE_CLASSES)}, {ANY_CLASS} "
                                f"(not known) or {IGNORE}")  # fmt: skip
    return COARSE_CLASSES.index(name)


def inside_box(
    box: tuple[float, float, float, float], frame: MarkedFrame, where: Path | str, name: str
) -> tuple[float, float, float, float]:
    """Clipped to the frame: tools let a box be drawn a little beyond."""
    x1, y1, x2, y2 = box
    clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(frame.width)), min(y2, float(frame.height)))
    if not (clipped[2] - clipped[0] >= 1 and clipped[3] - clipped[1] >= 1):  # also where a corner is NaN
        shown = ", ".join(f"{value:.1f}" for value in box)
        raise BadDataset(where, f"{name}: box ({shown}) has no area inside its {frame.width} x {frame.height} image")
    return clipped


def mark_of(
    box: tuple[float, float, float, float], label: int | None, values: Mapping[str, Any], where: Path | str, name: str
) -> Mark:
    """A mark of a box and its attributes as tools write them, or BadDataset."""
    qualities = {key: _choice(values.get(key), key, where, name) for key in QUALITIES}
    number = values.get("instance_id", values.get("track_id"))
    try:
        instance = -1 if number in {None, ""} else int(str(number))
    except ValueError:
        raise BadDataset(where, f"{name}: instance '{number}' is no whole number") from None
    if label is not None and instance < 0:
        raise BadDataset(where, f"{name}: has no instance; give every garment a number, the same in all its frames")
    item = str(values.get("item_id") or "").strip()
    return Mark(box, label, instance, item or None, **qualities)


def _choice(value: Any, key: str, where: Path | str, name: str) -> int:
    if value in {None, ""}:
        return UNLABELLED
    names = CHOICES[key]
    if str(value) in names:
        return names.index(str(value))
    raise BadDataset(where, f"{name}: {key} '{value}'; wanted {', '.join(names)} or nothing")


def with_marks(frame: MarkedFrame, marks: Sequence[Mark]) -> MarkedFrame:
    """A frame with its marks."""
    return replace(frame, marks=tuple(marks))


def every_mark(frames: Sequence[MarkedFrame]) -> Iterator[tuple[MarkedFrame, Mark]]:
    """All marks with their frames, in order."""
    for frame in frames:
        for mark in frame.marks:
            yield frame, mark
