"""COCO detection JSON, in and out: the form in which CVAT, Label Studio and FiftyOne exchange boxes.

    images        id, file_name, width, height
    annotations   image_id, category_id, bbox [x, y, width, height], iscrowd; in ``attributes`` what COCO has no place
                  for: viewpoint, occlusion, crop (names of our classes, or their index), instance_id
    categories    id, name: a coarse class, a category of DeepFashion2, or ``ignore``

Crowds, annotations with ``ignore`` set and the category ``ignore`` are regions in which a detection is neither right
nor wrong. What an annotation does not say, or leaves empty, is -1. Categories of other names are no garment of ours.

COCO has no place for Label Studio's quality labels, so its export to COCO loses them; its own JSON keeps them, and is
read here as well (``label_studio_set``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dprnet.core.classes import COARSE_CLASSES, IGNORE, UNLABELLED, coarse_class
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.records import Truth
from dprnet.data.coco_files import Annotation, CocoFile, find_image, load_coco, upright_size
from dprnet.data.coco_out import NAMES, CocoBox, CocoImage, coco_json
from dprnet.data.labelled import LabelledImage

log = logging.getLogger(__name__)

BRANCHES = NAMES
# What people call them; beside the names themselves, written in any case, with spaces or hyphens.
SYNONYMS: Mapping[str, dict[str, int]] = {
    "viewpoint": {"front": 0, "side": 1, "back": 1, "no_wear": 2},
    "occlusion": {"none": 0, "slight_or_none": 0},
    "crop": {"false": 0, "none": 0, "no": 0, "true": 1, "yes": 1},
}
UNSAID = {"", "__undefined__", "unknown", "unlabelled", "-1", "null"}

Identity = Literal["instance_id", "track_id"]


@dataclass(frozen=True, slots=True)
class _Row:
    box: tuple[float, float, float, float]
    label: int
    views: tuple[int, int, int]
    instance: str | None


def read_coco(path: Path | str, images: Path | str | None = None, *, identity: Identity = "instance_id") -> list[
    LabelledImage
]:  # fmt: skip
    """The images of a COCO file with all their annotations, in the order of the file.

    Args:
        path: the JSON file, or a folder that holds one (as CVAT's ``annotations/instances_default.json``).
        images: folder of the images; found beside the file where it is not given.
        identity: the attribute that says which boxes show one garment. A ``track_id`` is counted within one folder of
            images (one video), never over several.

    Raises:
        MissingFile: no such file; an image is not there.
        BadDataset: not in this form; the first wrong entry is named (``dprnet check`` lists all).
    """
    file = load_coco(path)
    coarse = {number: coarse_name(name) for number, name in file.categories.items()}
    for number, name in file.categories.items():
        if coarse[number] is None:
            log.warning("%s: category '%s' is no garment of ours; its boxes are left out", file.path, name)
    instances: dict[str, int] = {}
    found = []
    for image in file.images:
        place = find_image(file.path, image.file_name, images)
        if place is None:
            raise MissingFile(file.path, f"image '{image.file_name}' is not beside it; say where the images are")
        rows, ignored = [], []
        for annotation in file.of_image(image.id):
            kind = coarse[annotation.category_id]
            if kind == IGNORE or annotation.ignored:
                ignored.append(annotation.box_xyxy)
            elif kind is not None:
                rows.append(_row(file, annotation, kind, identity, image.file_name))
        found.append(LabelledImage(path=place, truth=_truth(rows, ignored, instances), source="coco"))
    log.info("%s: %d images, %d garments", file.path, len(found), sum(len(image.truth) for image in found))
    return found


def coarse_name(name: str) -> str | None:
    """The coarse class of a category's name, ``"ignore"``, or None where it is no garment of ours.

    >>> coarse_name("Dress"), coarse_name("long_sleeve_top"), coarse_name("ignore"), coarse_name("shoe")
    ('dress', 'top', 'ignore', None)
    """
    plain = name.strip().lower().replace("_", " ").replace("-", " ")
    if plain in {*COARSE_CLASSES, IGNORE}:
        return plain
    return coarse_class("deepfashion2", plain)


def label_of(branch: str, value: Any) -> int:
    """Index of the class that an attribute's value names, or -1 where it says nothing.

    Raises:
        ValueError: no class of the branch.

    >>> label_of("viewpoint", "Side or back"), label_of("crop", True), label_of("occlusion", 2), label_of("crop", "")
    (1, 1, 2, -1)
    """
    names = BRANCHES[branch]
    word = "" if value is None else str(value).strip().lower()
    word = word if word in UNSAID else word.replace(" ", "_").replace("-", "_")
    numbers = {str(index): index for index in range(len(names))}
    known = dict.fromkeys(UNSAID, UNLABELLED) | numbers | {name: i for i, name in enumerate(names)} | SYNONYMS[branch]
    if word in known:
        return known[word]
    raise ValueError(f"{branch} {value!r}; wanted one of {', '.join(names)}, an index of these, or nothing")


def _row(file: CocoFile, annotation: Annotation, kind: str, identity: Identity, file_name: str) -> _Row:
    try:
        views = [label_of(branch, annotation.attributes.get(branch)) for branch in BRANCHES]
    except ValueError as error:
        raise BadDataset(file.path, f"annotation {annotation.id}: {error}") from None
    named = annotation.attributes.get(identity)
    instance = None if named is None or str(named).strip() in UNSAID else str(named)
    if instance is not None and identity == "track_id":
        instance = f"{file_name.rpartition('/')[0]}/{instance}"
    return _Row(annotation.box_xyxy, COARSE_CLASSES.index(kind), (views[0], views[1], views[2]), instance)


def _truth(
    rows: Sequence[_Row], ignored: Sequence[tuple[float, float, float, float]], instances: dict[str, int]
) -> Truth:
    numbers = [
        UNLABELLED if row.instance is None else instances.setdefault(row.instance, len(instances)) for row in rows
    ]
    views = np.array([row.views for row in rows], np.int64).reshape(-1, 3)
    return Truth(
        boxes_xyxy=np.array([row.box for row in rows], np.float32).reshape(-1, 4),
        labels=np.array([row.label for row in rows], np.int64),
        viewpoint=views[:, 0],
        occlusion=views[:, 1],
        crop=views[:, 2],
        instance=np.array(numbers, np.int64),
        ignore_xyxy=np.array(ignored, np.float32).reshape(-1, 4),
    )


def write_coco(images: Iterable[LabelledImage], path: Path | str) -> Path:
    """Write labelled images as COCO JSON, the file as a whole or not at all; images are named, not copied.

    Names are relative to the file's folder where the images lie within it, else absolute. What is unlabelled (-1) has
    no attribute. :func:`read_coco` gives the same truth back, instances numbered anew.

    Raises:
        MissingFile, BadDataset: an image is missing, or its size cannot be read.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(coco_json(_coco_image(image, path.parent.resolve()) for image in images)), "utf-8")
    return partial.replace(path)


def _coco_image(image: LabelledImage, folder: Path) -> CocoImage:
    width, height = upright_size(image.path)
    place, truth = image.path.resolve(), image.truth
    name = place.relative_to(folder) if place.is_relative_to(folder) else place
    boxes = [
        CocoBox(box, label, views, {"instance_id": instance} if instance >= 0 else {})
        for box, label, *views, instance in zip(
            truth.boxes_xyxy.tolist(),
            truth.labels.tolist(),
            *(getattr(truth, branch).tolist() for branch in BRANCHES),
            truth.instance.tolist(),
            strict=True,
        )
    ]
    boxes += [CocoBox(box, None) for box in truth.ignore_xyxy.tolist()]
    return CocoImage(name.as_posix(), width, height, boxes)
