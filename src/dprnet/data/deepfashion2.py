"""DeepFashion2: street and shop photos with boxes, quality labels and the identity of each garment.

    train/image/000001.jpg      train/annos/000001.json      (likewise validation; the test set has no annotations)

Annotations are read once, a file at a time, into columns of numbers: about 25 bytes a garment, some 10 MB for the
191,961 training images. Images are read when asked for, so nothing else is held.

    viewpoint, occlusion   as labelled
    crop      (paper, section 4.1: "based on whether their key landmarks are labeled") 1 where a landmark of the garment
              is not labelled (visibility 0), 0 where all are, -1 where none is: nobody labelled it
    instance  pair_id, style and category; -1 for style 0, which has no partner and may equal another garment

What may be wrong with the files is listed by :func:`dprnet.data.deepfashion2_check.check_deepfashion2`.
"""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np

from dprnet.core.classes import UNLABELLED
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.records import FloatArray, IntArray, Truth
from dprnet.data.deepfashion2_files import COARSE, OCCLUSION, SOURCES, VIEWPOINT, read_annotation
from dprnet.data.labelled import LabelledImage, Photo

log = logging.getLogger(__name__)

Classes = Literal["coarse", "own"]


def split_folder(root: Path | str, split: str) -> Path:
    """The folder with ``image`` and ``annos`` of a split; ``root`` may be that folder itself.

    Raises:
        MissingFile: neither is there.
    """
    root = Path(root)
    for folder in (root / split, root):
        if (folder / "annos").is_dir() and (folder / "image").is_dir():
            return folder
    raise MissingFile(root / split, "holds no folders 'image' and 'annos' (DeepFashion2: train or validation)")


class DeepFashion2(Sequence[LabelledImage]):
    """The labelled images of a split; each is put together when it is asked for.

    Args:
        root: the folder that holds ``train`` and ``validation``.
        split: ``train`` or ``validation``.
        classes: labels as index into COARSE_CLASSES, or into the data set's own CATEGORIES.

    Raises:
        MissingFile: no such folder; an image of an annotation is not there.
        BadDataset: a file cannot be used (the first one is named; ``dprnet check`` lists all).
    """

    def __init__(self, root: Path | str, split: str = "train", *, classes: Classes = "coarse") -> None:
        self.folder = split_folder(root, split)
        self.split = split
        self.classes = classes
        stems = annotation_stems(self.folder)
        images = {entry.name for entry in os.scandir(self.folder / "image")}
        ends, boxes = array("q", [0]), array("f")
        columns = {name: array("i") for name in ("category", "style", "viewpoint", "occlusion", "crop", "instance")}
        pairs, sources = array("i"), array("b")
        known: dict[tuple[int, int, int], int] = {}
        for stem in stems:
            if f"{stem}.jpg" not in images:
                raise MissingFile(self.folder / "image" / f"{stem}.jpg", "is annotated, but there is no such image")
            read = read_annotation(self.folder / "annos" / f"{stem}.json")
            pairs.append(read.pair_id)
            sources.append(SOURCES.index(read.source))
            for item in read.items:
                boxes.extend(item.box_xyxy)
                identity = (read.pair_id, item.style, item.category_id)
                number = known.setdefault(identity, len(known)) if item.style else UNLABELLED
                row = (item.category_id - 1, item.style, VIEWPOINT[item.viewpoint], OCCLUSION[item.occlusion])
                for column, value in zip(columns.values(), (*row, item.crop, number), strict=True):
                    column.append(value)
            ends.append(len(columns["category"]))
        self.stems = np.array(stems)
        """(images,) names of the files without their ending, in order."""
        self.pair_id: IntArray = np.array(pairs, np.int64)
        """(images,)"""
        self.from_shop = np.array(sources, bool)
        """(images,) True for shop photos, False for those of users."""
        self.instances = len(known)
        """Identities: ``Truth.instance`` lies below."""
        self._ends = np.array(ends)
        self._boxes: FloatArray = np.array(boxes, np.float32).reshape(-1, 4)
        self._columns = {name: np.array(column, np.int32) for name, column in columns.items()}
        log.info("deepfashion2 %s: %d images, %d garments, %d identities", split, len(self), self.garments, len(known))

    @property
    def garments(self) -> int:
        """Boxes of all images."""
        return len(self._boxes)

    def column(self, name: str, row: int) -> IntArray:
        """``category`` (index into CATEGORIES), ``style``, ... of the garments of image ``row``, (N,)."""
        return self._columns[name][self._ends[row] : self._ends[row + 1]].astype(np.int64)

    def path(self, row: int) -> Path:
        """The file of image ``row``."""
        return self.folder / "image" / f"{self.stems[row]}.jpg"

    def __len__(self) -> int:
        return len(self.stems)

    @overload
    def __getitem__(self, row: int) -> LabelledImage: ...
    @overload
    def __getitem__(self, row: slice) -> list[LabelledImage]: ...
    def __getitem__(self, row: int | slice) -> LabelledImage | list[LabelledImage]:
        """Image ``row`` with its truth; a slice gives a list."""
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        category = self.column("category", row)
        truth = Truth(
            boxes_xyxy=self._boxes[self._ends[row] : self._ends[row + 1]],
            labels=category if self.classes == "own" else np.array(COARSE, np.int64)[category],
            viewpoint=self.column("viewpoint", row),
            occlusion=self.column("occlusion", row),
            crop=self.column("crop", row),
            instance=self.column("instance", row),
            ignore_xyxy=np.zeros((0, 4), np.float32),
        )
        return LabelledImage(path=self.path(row), truth=truth, source="deepfashion2")

    def photos(self) -> Iterator[Photo]:
        """The garments that have an identity, for metric learning; photos of users stand for the video's side."""
        for row in range(len(self)):
            styles, categories = self.column("style", row), self.column("category", row)
            for place in np.flatnonzero(styles):
                box = self._boxes[self._ends[row] + place].tolist()
                category = int(categories[place])
                yield Photo(
                    path=self.path(row),
                    box_xyxy=(box[0], box[1], box[2], box[3]),
                    instance=f"deepfashion2/{self.pair_id[row]}-{styles[place]}-{category + 1}",
                    label=COARSE[category],
                    domain="shop" if self.from_shop[row] else "video",
                    viewpoint=int(self.column("viewpoint", row)[place]),
                    item=f"deepfashion2/{self.pair_id[row]}",
                )


def annotation_stems(folder: Path) -> list[str]:
    """Names of the annotation files of a split without their ending, in order.

    Raises:
        BadDataset: there is none.
    """
    stems = sorted(entry.name[:-5] for entry in os.scandir(folder / "annos") if entry.name.endswith(".json"))
    if not stems:
        raise BadDataset(folder / "annos", "holds no annotation file (000001.json ...)")
    return stems
