"""Label Studio's own export (format JSON) as a data set, quality labels and identity with it.

    [{"id": 7, "data": {"image": "..."}, "annotations": [{"result": [...], "was_cancelled": false, "updated_at": ""}]}]

A region is a result ``rectanglelabels`` (or ``polygonlabels``: its extent), in percent of ``original_width`` and
``original_height``; the choices ``viewpoint``, ``occlusion``, ``crop`` and the text or number ``instance`` are further
results of the same id. Of each task the newest annotation that was not cancelled counts, predictions never do, and a
task that nobody annotated is left out: nobody said that it shows nothing. From here on all is as in a COCO file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dprnet.core.errors import DprnetError
from dprnet.data.coco_files import Annotation, CocoFile, ImageEntry, find_image, upright_size
from dprnet.data.label_studio import TEXTS, image_path

SHAPES = {"rectanglelabels": "rectanglelabels", "polygonlabels": "polygonlabels"}
"""Type of a result that is a region -> key of its labels."""
UNUSABLE = ("brushlabels", "ellipselabels", "keypointlabels", "rectangle", "polygon")
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file

Box = tuple[float, float, float, float]


def looks_like_label_studio(values: Any) -> bool:
    """Whether parsed JSON is a list of tasks (JSON-MIN, which does not say which choice is of which box, is none)."""
    return isinstance(values, list) and any(
        isinstance(task, dict) and isinstance(task.get("data"), dict) and isinstance(task.get("annotations"), list)
        for task in values
    )


def label_studio_file(path: Path, tasks: list[Any], wrong: list[str]) -> CocoFile:
    """Tasks as the entries of a COCO file.

    Args:
        path: of the export; its images are looked for as those of a COCO file.
        tasks: what it holds.
        wrong: where entries that cannot be used are noted; they are left out.
    """
    images: list[ImageEntry] = []
    annotations: list[Annotation] = []
    categories: dict[str, int] = {}
    rows: dict[int, list[int]] = {}
    for number, task in enumerate(tasks):
        name = f"task {task.get('id', number) if isinstance(task, dict) else number}"
        try:
            done = [entry for entry in task["annotations"] if not entry.get("was_cancelled")]
            if not done:
                continue
            results = max(done, key=lambda entry: str(entry.get("updated_at") or ""))["result"]
            image = _image(path, len(images) + 1, str(task["data"]["image"]), results)
            regions = _regions(results, name, wrong)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            wrong.append(f"{name}: wrong or missing field ({type(error).__name__}: {error})")
            continue
        images.append(image)
        for label, box, attributes in regions:
            category = categories.setdefault(label, len(categories) + 1)
            rows.setdefault(image.id, []).append(len(annotations))
            annotations.append(Annotation(len(annotations) + 1, image.id, category, box, False, attributes))
    named = {number: label for label, number in categories.items()}
    return CocoFile(path, tuple(images), tuple(annotations), named, rows)


def _image(path: Path, number: int, address: str, results: list[dict[str, Any]]) -> ImageEntry:
    name = image_path(address).replace("\\", "/").lstrip("/")
    folder, slash, last = name.rpartition("/")
    # Uploads are renamed on the way in; the folder of the person who exports may hold the names from before.
    names = [name, folder + slash + UPLOADED.sub("", last)]
    name = next((one for one in names if find_image(path, one) is not None), name)
    sizes = [(one["original_width"], one["original_height"]) for one in results if "original_width" in one]
    if sizes:
        return ImageEntry(number, name, int(sizes[0][0]), int(sizes[0][1]))
    place = find_image(path, name)
    try:
        width, height = upright_size(place) if place is not None else (0, 0)
    except DprnetError:
        width, height = 0, 0  # `dprnet check` says what is wrong with the image
    return ImageEntry(number, name, width, height)


def _regions(results: list[dict[str, Any]], name: str, wrong: list[str]) -> list[tuple[str, Box, Mapping[str, Any]]]:
    """Label, box and attributes of the regions of a task."""
    boxes: dict[str, tuple[str, Box]] = {}
    attributes: dict[str, dict[str, Any]] = {}
    for one in results:
        kind, key = one["type"], str(one.get("id", ""))
        if kind in SHAPES:
            value = one["value"]
            box = _box(value, kind, float(one["original_width"]), float(one["original_height"]))
            labels = value.get(SHAPES[kind]) or [""]
            if value.get("rotation"):
                wrong.append(f"{name}, region {key}: is rotated by {value['rotation']} degrees; draw it upright")
            elif not (box[0] < box[2] and box[1] < box[3]):
                wrong.append(f"{name}, region {key}: the box {[round(side, 1) for side in box]} has no inside")
            else:
                boxes[key] = (str(labels[0]), box)
        elif kind in UNUSABLE:
            wrong.append(f"{name}, region {key}: is of type '{kind}'; wanted rectanglelabels or polygonlabels")
        elif kind in {"choices", "textarea", "number"}:
            told = one["value"].get("choices") or one["value"].get("text") or one["value"].get("number")
            said = told[0] if isinstance(told, list) else told
            attributes.setdefault(key, {})[TEXTS.get(one["from_name"], one["from_name"])] = said
    return [(label, box, attributes.get(key, {})) for key, (label, box) in boxes.items()]


def _box(value: Mapping[str, Any], kind: str, width: float, height: float) -> Box:
    """Corners in pixels."""
    if kind == "polygonlabels":
        across, down = ([float(point[axis]) for point in value["points"]] for axis in (0, 1))
        left, top, right, bottom = min(across), min(down), max(across), max(down)
    else:
        left, top = float(value["x"]), float(value["y"])
        right, bottom = left + float(value["width"]), top + float(value["height"])
    return left / 100 * width, top / 100 * height, right / 100 * width, bottom / 100 * height
