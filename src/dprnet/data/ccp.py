"""Clothing Co-Parsing: street photos with a label id a pixel, read as boxes, classes and what the masks prove.

One box a label and photo, as the label's extent; labels under 0.5 % of the photo, suits and rompers become ignore
regions; bystanders are not labelled. Crop and occlusion are derived only where the masks prove them
(:mod:`dprnet.data.ccp_masks`), else -1; viewpoint is unlabelled.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from PIL import Image as Pil

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.ccp_masks import Mask, truth_of_mask
from dprnet.data.labelled import LabelledImage
from dprnet.data.splits import check_split, split_of

log = logging.getLogger(__name__)


def labelled_images(root: Path | str, split: str) -> list[LabelledImage]:
    """The photos of a split with boxes, classes, crop and occlusion labels, in order.

    Args:
        root: the folder that holds ``ccp``, or ``ccp`` itself.
        split: ``train`` (640 photos), ``validation`` (60) or ``test`` (100).

    Raises:
        BadDataset: a file is missing or damaged (the first one is named; ``check_ccp`` lists all).
    """
    check_split(split)
    names = label_names(folder_of(root))
    found = [
        LabelledImage(path=photo, truth=truth_of_mask(read_mask(mask_path(photo)), names), source="ccp")
        for photo in photo_paths(root, split)
    ]
    log.info("ccp %s: %d photos, %d boxes", split, len(found), sum(len(image.truth) for image in found))
    return found


def photo_paths(root: Path | str, split: str) -> list[Path]:
    """The photos of a split, in order; nothing is read."""
    folder, wanted = folder_of(root), check_split(split)
    return [folder / "photos" / f"{key}.jpg" for key, its_split in split_of("ccp").items() if its_split == wanted]


def mask_path(photo: Path) -> Path:
    """The mask of a photo.

    >>> mask_path(Path("ccp/photos/0007.jpg")).as_posix()
    'ccp/masks/0007.png'
    """
    return photo.parent.parent / "masks" / f"{photo.stem}.png"


def folder_of(root: Path | str) -> Path:
    """The folder of the data set: ``root/ccp``, or ``root`` where that holds labels.txt."""
    root = Path(root)
    return root if (root / "labels.txt").is_file() else root / "ccp"


def label_names(folder: Path) -> tuple[str, ...]:
    """Names of the labels; the position is the id in the masks.

    Raises:
        BadDataset: labels.txt is missing or does not begin with ``null``.
    """
    path = folder / "labels.txt"
    try:
        names = tuple(path.read_text(encoding="utf-8").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(path, f"cannot be read ({type(error).__name__}); is this the folder of ccp?") from None
    names = tuple(name.strip() for name in names)
    names = names[:-1] if names and not names[-1] else names
    if not names or names[0] != "null":
        raise BadDataset(path, f"line 1 must be 'null', got '{names[0] if names else ''}'")
    return names


def read_mask(path: Path) -> Mask:
    """A mask, uint8 (H, W), one label id a pixel.

    Raises:
        BadDataset: missing, damaged, or not one id a pixel.
    """
    try:
        with Pil.open(path, formats=("PNG",)) as opened:
            mode, mask = opened.mode, np.asarray(opened)
    except FileNotFoundError:
        raise MissingFile(path, "no such mask; check the data set with check_ccp") from None
    except Exception as error:  # Pillow raises nearly every type there is on broken files
        raise BadDataset(path, f"no PNG, or a damaged one ({type(error).__name__})") from None
    if mode not in {"L", "P"}:
        raise BadDataset(path, f"a mask has one id a pixel (mode L or P), got mode {mode}")
    return mask


def check_ccp(root: Path | str) -> list[str]:
    """All that is wrong with the files of ccp, as sentences with file, line and value; empty when all is well."""
    folder = folder_of(root)
    try:
        names = label_names(folder)
    except BadDataset as error:
        return [str(error)]
    problems = []
    for key in split_of("ccp"):
        photo, path = folder / "photos" / f"{key}.jpg", folder / "masks" / f"{key}.png"
        if not photo.is_file():
            problems.append(f"photos/{key}.jpg: no such file")
            continue
        try:
            mask = read_mask(path)
            with Pil.open(photo, formats=("JPEG",)) as opened:
                width, height = opened.size
        except (BadDataset, MissingFile) as error:
            problems.append(f"masks/{key}.png: {error.sentence}")
            continue
        except Exception as error:
            problems.append(f"photos/{key}.jpg: no JPEG, or a damaged one ({type(error).__name__})")
            continue
        if mask.shape != (height, width):
            problems.append(
                f"masks/{key}.png: {mask.shape[1]} x {mask.shape[0]} pixels, the photo has {width} x {height}"
            )
        if int(mask.max()) >= len(names):
            problems.append(f"masks/{key}.png: label {int(mask.max())}, but labels.txt ends with {len(names) - 1}")
    return problems


__all__ = [
    "Mask",
    "check_ccp",
    "folder_of",
    "label_names",
    "labelled_images",
    "mask_path",
    "photo_paths",
    "read_mask",
    "truth_of_mask",
]
