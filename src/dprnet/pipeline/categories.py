"""A shop's words for what it sells, and photos of whole models cut to the garment that is meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dprnet.core.classes import COARSE_CLASSES, SOURCES
from dprnet.core.images import cut_out
from dprnet.core.records import Frame, Image
from dprnet.detect import Detector
from dprnet.gallery import Item

SURE = 0.5  # ours: a photo is cut only where the detector is more sure than not


def coarse_label(category: str) -> int | None:
    """The coarse class of a shop's own word for a category, or None where we know no such word.

    >>> coarse_label("Dress"), coarse_label("skirts"), coarse_label("jeans"), coarse_label("garden gnome")
    (5, 4, 2, None)
    """
    word = category.strip().lower()
    tables = {name.lower(): coarse for table in SOURCES.values() for name, coarse in table.items()}
    for name in (word, word.removesuffix("s"), word.removesuffix("es")):
        coarse = name if name in COARSE_CLASSES else tables.get(name)
        if coarse in COARSE_CLASSES:
            return COARSE_CLASSES.index(coarse)
    return None


def cut_to_category(items: Sequence[Item], images: list[Image], detector: Detector) -> list[Image]:
    """Each image cut to the garment of its item's category, where the detector is sure of one."""
    labels = [coarse_label(item.category) for item in items]
    frames = (Frame(image, number, 0.0) for number, image in enumerate(images))
    cut: list[Image] = []
    for image, label, found in zip(images, labels, detector(frames), strict=True):
        of_its_class = found[(found.labels == label) & (found.scores >= SURE)] if label is not None else found[:0]
        if len(of_its_class):
            cut.append(cut_out(image, of_its_class.boxes_xyxy[int(np.argmax(of_its_class.scores))]))
        else:
            cut.append(image)
    return cut
