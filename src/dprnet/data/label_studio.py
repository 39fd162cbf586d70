"""Annotated frames as Label Studio tasks, out and back in; see `annotation` for what is exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dprnet.core.classes import COARSE_CLASSES, IGNORE, QUALITIES, UNLABELLED
from dprnet.core.errors import BadDataset
from dprnet.data.annotation import CHOICES, ImagesByName, MarkedFrame, Task, class_of, inside_box, mark_of, with_marks
from dprnet.data.coco_out import ANY_CLASS

TEXTS: Mapping[str, str] = {"instance": "instance_id", "item": "item_id"}
"""Name of a text field in Label Studio -> name of the attribute."""


def label_config() -> str:
    """The labelling interface (XML) to paste into a Label Studio project."""
    labels = "\n".join(f'    <Label value="{name}"/>' for name in (*COARSE_CLASSES, ANY_CLASS, IGNORE))
    parts = ['<View>\n  <Image name="image" value="$image" zoom="true"/>',
             f'  <RectangleLabels name="garment" toName="image">\n{labels}\n  </RectangleLabels>']  # fmt: skip
    for key, names in CHOICES.items():
        choices = "".join(f'<Choice value="{name}"/>' for name in names)
        parts.append(f'  <Choices name="{key}" toName="image" perRegion="true" choice="single">{choices}</Choices>')
    parts += [f'  <TextArea name="{name}" toName="image" perRegion="true" editable="true" maxSubmissions="1"/>'
              for name in TEXTS]  # fmt: skip
    return "\n".join([*parts, "</View>\n"])


def to_label_studio(frames: Sequence[MarkedFrame], prefix: str, version: str) -> list[dict[str, Any]]:
    """Frames as tasks whose marks are predictions, to be corrected.

    Args:
        frames: with their marks.
        prefix: put before the path of each image, such as ``/data/local-files/?d=``.
        version: who predicted; a bundle's identity.
    """
    return [
        {
            "data": {"image": prefix + frame.image, "video": frame.video, "frame_index": frame.frame_index,
                     "time_s": frame.time_s},
            "predictions": [{"model_version": version, "result": _results(frame)}],
        }
        for frame in frames
    ]  # fmt: skip


def from_label_studio(values: Any, task: Task, where: Path | str) -> tuple[list[MarkedFrame], int]:
    """A Label Studio export (JSON) -> frames with their corrected marks, and how many tasks nobody has annotated.

    The newest annotation of a task that was not cancelled counts; predictions never do.

    Raises:
        BadDataset: naming the task and the value that is wrong.
    """
    if not isinstance(values, list):
        raise BadDataset(where, "not a Label Studio export: wanted a list of tasks (format JSON, not JSON-MIN)")
    known = ImagesByName(task, where)
    found, skipped = [], 0
    for number, one in enumerate(values):
        name = f"task {one.get('id', number) if isinstance(one, dict) else number}"
        try:
            frame = known(image_path(str(one["data"]["image"])), name)
            done = [entry for entry in one.get("annotations") or [] if not entry.get("was_cancelled")]
            if not done:
                skipped += 1
                continue
            results = max(done, key=lambda entry: str(entry.get("updated_at") or ""))["result"]
            found.append(with_marks(frame, _marks(results, frame, where, name)))
        except (KeyError, TypeError, AttributeError) as error:
            raise BadDataset(where, f"{name}: wrong or missing field ({error})") from None
    return found, skipped


def image_path(address: str) -> str:
    """The path inside an address of Label Studio.

    >>> image_path("/data/local-files/?d=a/frames/v__000012.jpg"), image_path("/data/upload/3/v__000012.jpg")
    ('a/frames/v__000012.jpg', '/data/upload/3/v__000012.jpg')
    """
    query = parse_qs(urlsplit(address).query).get("d")
    return query[0] if query else address


def _results(frame: MarkedFrame) -> list[dict[str, Any]]:
    results = []
    for number, mark in enumerate(frame.marks):
        x1, y1, x2, y2 = mark.box_xyxy
        place = {"x": 100 * x1 / frame.width, "y": 100 * y1 / frame.height, "rotation": 0,
                 "width": 100 * (x2 - x1) / frame.width, "height": 100 * (y2 - y1) / frame.height}  # fmt: skip
        common = {"id": f"g{number}", "to_name": "image", "original_width": frame.width,
                  "original_height": frame.height, "image_rotation": 0}  # fmt: skip
        label = IGNORE if mark.label is None else ANY_CLASS if mark.label == UNLABELLED else COARSE_CLASSES[mark.label]
        results.append({**common, "type": "rectanglelabels", "from_name": "garment",
                        "value": {**place, "rectanglelabels": [label]}})  # fmt: skip
        for key in QUALITIES:
            if (index := getattr(mark, key)) >= 0:
                value = {**place, "choices": [CHOICES[key][index]]}
                results.append({**common, "type": "choices", "from_name": key, "value": value})
        texts = {"instance": str(mark.instance) if mark.instance >= 0 else "", "item": mark.item_id or ""}
        for key, text in texts.items():
            if text:
                value = {**place, "text": [text]}
                results.append({**common, "type": "textarea", "from_name": key, "value": value})
    return results


def _marks(results: list[dict[str, Any]], frame: MarkedFrame, where: Path | str, name: str) -> list[Any]:
    boxes: dict[str, dict[str, Any]] = {}
    attributes: dict[str, dict[str, Any]] = {}
    for one in results:
        value = one["value"]
        if one["type"] == "rectanglelabels":
            if value.get("rotation"):
                raise BadDataset(where, f"{name}: region {one['id']} is rotated; draw it upright")
            boxes[one["id"]] = value
        elif one["type"] == "choices" and one["from_name"] in QUALITIES:
            attributes.setdefault(one["id"], {})[one["from_name"]] = value["choices"][0]
        elif one["type"] == "textarea" and one["from_name"] in TEXTS:
            attributes.setdefault(one["id"], {})[TEXTS[one["from_name"]]] = value["text"][0]
    marks = []
    for key, value in boxes.items():
        what = f"{name}, region {key}"
        labels = value.get("rectanglelabels") or [""]
        label = None if labels[0] == IGNORE else class_of(labels[0], where, what)
        x, y = value["x"] / 100 * frame.width, value["y"] / 100 * frame.height
        width, height = value["width"] / 100 * frame.width, value["height"] / 100 * frame.height
        box = inside_box((x, y, x + width, y + height), frame, where, what)
        marks.append(mark_of(box, label, attributes.get(key, {}), where, what))
    return marks
