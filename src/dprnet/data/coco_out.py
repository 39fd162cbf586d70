"""COCO detection JSON as we write it, whoever asks: labelled images, and frames that go out to be corrected.

Categories are the coarse classes and ``ignore``; a region in which a detection is neither right nor wrong has the
category ``ignore`` and ``iscrowd`` 1, so that tools which know only one of the two leave it out too. What nobody
labelled (-1) has no attribute; a garment of whose class nobody spoke has the category ``garment``, which is listed only
where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dprnet.core.classes import COARSE_CLASSES, CROPS, IGNORE, OCCLUSIONS, QUALITIES, UNLABELLED, VIEWPOINTS

ANY_CLASS = "garment"  # of a garment whose class nobody labelled
NAMES: Mapping[str, Sequence[str]] = dict(zip(QUALITIES, (VIEWPOINTS, OCCLUSIONS, CROPS), strict=True))


@dataclass(frozen=True, slots=True)
class CocoBox:
    """One annotation."""

    box_xyxy: Sequence[float]
    """Pixels of the upright image."""
    label: int | None
    """Index into COARSE_CLASSES, -1 where nobody labelled it; None for an ignored region."""
    quality: Sequence[int] = (UNLABELLED, UNLABELLED, UNLABELLED)
    """Viewpoint, occlusion, crop."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What COCO has no place for: identity, item."""


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image with its annotations."""

    file_name: str
    width: int
    height: int
    boxes: Sequence[CocoBox]
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of its entry in ``images``."""


def coco_json(images: Iterable[CocoImage]) -> dict[str, Any]:
    """Images as the object of a COCO file; ids count from 1 in the order given.

    >>> box = CocoBox((1, 2, 5, 8), 0, (0, -1, 1), {"instance_id": 4})
    >>> made = coco_json([CocoImage("a.jpg", 10, 10, [box, CocoBox((0, 0, 2, 2), None)])])
    >>> made["annotations"][0]["bbox"], made["annotations"][0]["attributes"]
    ([1, 2, 4, 6], {'viewpoint': 'frontal', 'crop': 'cropped', 'instance_id': 4})
    >>> made["annotations"][1]["category_id"] == made["categories"][-1]["id"], made["annotations"][1]["iscrowd"]
    (True, 1)
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        size = {"width": image.width, "height": image.height}
        listed.append({"id": number, "file_name": image.file_name, **size, **image.columns})
        for box in image.boxes:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **_entry(box)})
    names = [*COARSE_CLASSES, IGNORE]
    if any(one["category_id"] > len(names) for one in annotations):
        names.append(ANY_CLASS)
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    about = {"description": "written by dprnet"}
    return {"info": about, "images": listed, "annotations": annotations, "categories": categories}


def _entry(box: CocoBox) -> dict[str, Any]:
    x1, y1, x2, y2 = box.box_xyxy
    ignored = box.label is None
    said = {name: NAMES[name][value] for name, value in zip(QUALITIES, box.quality, strict=True) if value != UNLABELLED}
    return {
        "category_id": _category(box.label),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "segmentation": [],
        "iscrowd": int(ignored),
        "attributes": {} if ignored else {**said, **box.attributes},
    }


def _category(label: int | None) -> int:
    if label is None:
        return len(COARSE_CLASSES) + 1
    return len(COARSE_CLASSES) + 2 if label == UNLABELLED else label + 1
