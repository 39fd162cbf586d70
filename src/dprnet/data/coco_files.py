"""The entries of a COCO JSON file, each checked, and where its images lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image as Pil

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.json_file import read_json

MAX_BYTES = 2_000_000_000  # COCO's own training file has 450 MB
PARTS = ("images", "annotations", "categories")


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One of ``images``."""

    id: int
    file_name: str
    """With forward slashes."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """One of ``annotations``."""

    id: int
    image_id: int
    category_id: int
    box_xyxy: tuple[float, float, float, float]
    ignored: bool
    """A crowd, or marked ``ignore``."""
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """A file, read and checked."""

    path: Path
    images: tuple[ImageEntry, ...]
    annotations: tuple[Annotation, ...]
    categories: Mapping[int, str]
    rows: Mapping[int, list[int]] = field(default_factory=dict)
    """Of each image, its rows in ``annotations``."""

    def of_image(self, image_id: int) -> list[Annotation]:
        """The annotations of one image, in the order of the file."""
        return [self.annotations[row] for row in self.rows.get(image_id, ())]


def load_coco(path: Path | str, problems: list[str] | None = None) -> CocoFile:
    """Read a COCO file; a folder stands for the one JSON file that it (or its ``annotations``) holds.

    Label Studio's own export is taken as one too (:mod:`dprnet.data.label_studio_set`).

    Args:
        path: the file or folder.
        problems: where wrong entries are noted and left out; without it the first one is raised.

    Raises:
        MissingFile: no such file.
        BadDataset: not such a file, or (without ``problems``) a wrong entry.
    """
    path = coco_path(Path(path))
    values = read_json(path, MAX_BYTES, "no such COCO file")
    wrong: list[str] = []
    from dprnet.data.label_studio_set import label_studio_file, looks_like_label_studio  # it makes what is defined here

    if looks_like_label_studio(values):
        made = label_studio_file(path, values, wrong)
    elif looks_like_coco(values):
        made = _coco_file(path, values, wrong)
    else:
        wanted = "the lists images, annotations and categories (or Label Studio's export JSON, not JSON-MIN)"
        raise BadDataset(path, f"is no COCO file; wanted {wanted}")
    if wrong and problems is None:
        raise BadDataset(path, wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
    if problems is not None:
        problems += wrong
    return made


def _coco_file(path: Path, values: dict[str, Any], wrong: list[str]) -> CocoFile:
    categories: dict[int, str] = {}
    for row, entry in enumerate(values["categories"]):
        if _fits(entry, id=int, name=str):
            categories[entry["id"]] = entry["name"]
        else:
            wrong.append(f"categories[{row}] {_short(entry)}; wanted id (a whole number) and name")
    images = _images(values["images"], wrong)
    annotations = _annotations(values["annotations"], {image.id for image in images}, categories, wrong)
    rows: dict[int, list[int]] = {}
    for number, annotation in enumerate(annotations):
        rows.setdefault(annotation.image_id, []).append(number)
    return CocoFile(path, images, annotations, categories, rows)


def coco_path(path: Path) -> Path:
    """The JSON file that a path means.

    Raises:
        MissingFile: a folder without any.
        BadDataset: a folder with several.
    """
    if not path.is_dir():
        return path
    for folder in (path, path / "annotations"):
        found = sorted(folder.glob("*.json"))
        if len(found) == 1:
            return found[0]
        if found:
            raise BadDataset(folder, f"holds {len(found)} JSON files; name the one that is meant")
    raise MissingFile(path, "holds no COCO file (annotations/*.json or *.json)")


def looks_like_coco(values: Any) -> bool:
    """Whether parsed JSON has the three lists of a COCO file."""
    return isinstance(values, dict) and all(isinstance(values.get(part), list) for part in PARTS)


def _images(entries: list[Any], wrong: list[str]) -> tuple[ImageEntry, ...]:
    found: dict[int, ImageEntry] = {}
    for row, entry in enumerate(entries):
        if not _fits(entry, id=int, file_name=str, width=int, height=int):
            wrong.append(f"images[{row}] {_short(entry)}; wanted id, file_name, width and height")
        elif entry["id"] in found:
            wrong.append(f"images[{row}]: id {entry['id']} again, first of '{found[entry['id']].file_name}'")
        else:
            name = entry["file_name"].replace("\\", "/")
            found[entry["id"]] = ImageEntry(entry["id"], name, entry["width"], entry["height"])
    return tuple(found.values())


def _annotations(
    entries: list[Any], images: set[int], categories: Mapping[int, str], wrong: list[str]
) -> tuple[Annotation, ...]:
    found = []
    for row, entry in enumerate(entries):
        if not _fits(entry, image_id=int, category_id=int, bbox=list):
            wrong.append(f"annotations[{row}] {_short(entry)}; wanted image_id, category_id and bbox")
            continue
        box, number = entry["bbox"], entry.get("id", row)
        where = f"annotation {number}"
        attributes = entry.get("attributes") or {}
        if not (len(box) == 4 and all(_is_number(value) for value in box)):
            wrong.append(f"{where}: bbox {_short(box)}; wanted four numbers x y width height")
        elif min(box[2:]) <= 0:
            wrong.append(f"{where}: bbox {box} is empty; wanted x y width height")
        elif entry["image_id"] not in images:
            wrong.append(f"{where}: image_id {entry['image_id']} is not in images")
        elif entry["category_id"] not in categories:
            wrong.append(f"{where}: category_id {entry['category_id']} is not in categories")
        elif not isinstance(attributes, dict):
            wrong.append(f"{where}: attributes {_short(attributes)}; wanted an object")
        else:
            x, y, width, height = (float(value) for value in box)
            ignored = bool(entry.get("iscrowd")) or bool(entry.get("ignore"))
            corners = (x, y, x + width, y + height)
            found.append(Annotation(number, entry["image_id"], entry["category_id"], corners, ignored, attributes))
    return tuple(found)


def find_image(file: Path, name: str, images: Path | str | None = None) -> Path | None:
    """Where an image of a COCO file lies, or None.

    Looked for by its name and then by the last part of it, in ``images`` or, without that, beside the file, in
    ``images`` there or one folder up (and the folders in it): as CVAT and Label Studio pack them. A name that leads
    out of these folders is never followed; an absolute one is only as :func:`dprnet.data.coco.write_coco` writes it.
    """
    if images is not None:
        folders = [Path(images)]
    else:
        up = file.parent.parent / "images"
        inner = [folder for folder in up.iterdir() if folder.is_dir()] if up.is_dir() else []
        folders = [file.parent, file.parent / "images", up, *sorted(inner)]
    for folder in folders:
        for part in (name, name.rpartition("/")[2]):
            place = folder / part
            inside = part.startswith("/") or place.resolve().is_relative_to(folder.resolve())
            if part and inside and place.is_file():
                return place
    return None


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is read, upright by EXIF; only the header is read.

    Raises:
        MissingFile: no such image.
        BadDataset: no image.
    """
    try:
        with Pil.open(path) as opened:
            turned = opened.getexif().get(0x0112, 1) in {5, 6, 7, 8}
            return (opened.height, opened.width) if turned else (opened.width, opened.height)
    except FileNotFoundError:
        raise MissingFile(path, "no such image") from None
    except Exception as error:  # Pillow raises nearly every type there is on broken files
        raise BadDataset(path, f"no image, or a damaged one ({type(error).__name__})") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _fits(entry: Any, **kinds: type) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), kind) and not isinstance(entry.get(key), bool) for key, kind in kinds.items()
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
