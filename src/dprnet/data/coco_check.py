"""All that is wrong or odd in a COCO file and its images, as sentences with entry and value."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dprnet.core.errors import BadDataset
from dprnet.data.coco import BRANCHES, coarse_name, label_of
from dprnet.data.coco_files import Annotation, find_image, load_coco, upright_size

EDGE = 1.0  # ours: pixels by which a box may leave its image


def check_coco(path: Path | str, images: Path | str | None = None) -> tuple[str, list[str]]:
    """Size in a few words, and all that is wrong or odd, as sentences with entry and value.

    Raises:
        MissingFile, BadDataset: it cannot be read at all.
    """
    problems: list[str] = []
    file = load_coco(path, problems)
    problems += [
        f"category '{name}' is no garment of ours; its boxes are left out"
        for name in file.categories.values()
        if coarse_name(name) is None
    ]
    for image in file.images:
        where = f"image {image.id}"
        place = find_image(file.path, image.file_name, images)
        if place is None:
            problems.append(f"{where}: '{image.file_name}' is not beside the file")
            continue
        try:
            size = upright_size(place)
        except BadDataset as error:
            problems.append(f"{where}: '{image.file_name}' is {error.sentence}")
            continue
        if (image.width, image.height) != size:
            told = f"{image.width} x {image.height} pixels, the image has {size[0]} x {size[1]} (upright)"
            problems.append(f"{where}: '{image.file_name}' is listed with {told}")
        for annotation in file.of_image(image.id):
            problems += [f"annotation {annotation.id}: {text}" for text in _odd(annotation, size)]
    return f"{len(file.images)} images, {len(file.annotations)} annotations", problems


def _odd(annotation: Annotation, size: tuple[int, int]) -> Iterable[str]:
    x1, y1, x2, y2 = annotation.box_xyxy
    if min(x1, y1) < -EDGE or x2 > size[0] + EDGE or y2 > size[1] + EDGE:
        told = f"leaves the image of {size[0]} x {size[1]} pixels; wanted x y width height, not corners"
        yield f"bbox {[round(value, 1) for value in (x1, y1, x2 - x1, y2 - y1)]} {told}"
    for branch in BRANCHES:
        try:
            label_of(branch, annotation.attributes.get(branch))
        except ValueError as error:
            yield str(error)
