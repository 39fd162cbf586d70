"""A catalogue becomes a gallery: read photos, embed them, store them; a chunk of items at a time."""

from __future__ import annotations

import csv
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.classes import COARSE_CLASSES, SOURCES
from dprnet.core.errors import DprnetError
from dprnet.core.images import cut_out, jpeg_bytes, read_image, shrink
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Frame, Image
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Gallery, Item, Problem, is_server, read_catalogue
from dprnet.report import safe_cell

CHUNK = 64  # ours: items a commit; enough to fill the embedder's batches, few enough to lose little
SURE = 0.5  # ours: a photo is cut only where the detector is more sure than not
PHOTO_SIDE = 448  # ours: short side in pixels; twice what the embedder looks at, so that shrinking stays smooth
THUMBNAIL_SIDE = 220  # ours: what a page shows beside a garment, some 8 kB
PROBLEMS = "problems.csv"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing did."""

    gallery: str
    """Its address."""
    items: int
    """Items in the gallery now."""
    photos: int
    """Photos embedded by this call."""
    problems: tuple[Problem, ...]
    problems_path: Path
    """Where the problems are listed; not written where there are none."""

    @property
    def folder(self) -> Path:
        """The folder of an embedded gallery."""
        return Path(self.gallery)


def index_catalogue(
    catalogue: Path | str,
    gallery: Path | str,
    *,
    bundle: str | Path | Bundle = "tiny",
    device: str = "cpu",
    crop_photos: bool = False,
    progress: Progress = SILENT,
) -> Indexed:
    """:func:`index` with the networks of a bundle.

    Args:
        crop_photos: cut each photo to the garment of the item's category, where the detector finds one; for shops
            whose photos show whole models. Off by default (ours): most photos show one garment.
    """
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.from_pretrained(bundle)
    embedder = Embedder.from_bundle(loaded, device=device)
    detector = Detector.from_bundle(loaded, device=device) if crop_photos else None
    return index(catalogue, gallery, embedder, detector=detector, progress=progress)


def index(
    catalogue: Path | str,
    gallery: Path | str,
    embedder: Embedder,
    *,
    detector: Detector | None = None,
    progress: Progress = SILENT,
) -> Indexed:
    """Put the items of a catalogue into a gallery, which is made if it is not there; items in it are replaced.

    Bad rows and photos are left out and listed in ``problems.csv`` in the gallery's folder.

    Raises:
        BadCatalogue: bad as a whole.
        BadGallery: the folder holds something else, or the gallery of another embedder.
    """
    read = read_catalogue(Path(catalogue))
    problems = list(read.problems)
    with _open_or_create(gallery, embedder) as store:
        done = _stored(read.items, store, embedder, detector, problems)
        photos = sum(progress.track(done, "Indexing", len(read.items)))
        path = Path(PROBLEMS) if is_server(store.address) else store.folder / PROBLEMS
        _write_problems(problems, path)
        return Indexed(store.address, len(store), photos, tuple(problems), path)


def _stored(
    items: Sequence[Item], store: Gallery, embedder: Embedder, detector: Detector | None, problems: list[Problem]
) -> Iterator[int]:
    """Read, embed and store the items, a chunk at a time; then, for each of the chunk, its number of photos."""
    source = iter(items)
    while chunk := list(itertools.islice(source, CHUNK)):
        loaded = list(_load(chunk, problems, detector.short_side if detector else PHOTO_SIDE))
        readable = [item for item, _ in loaded]
        images = [image for _, found in loaded for image in found]
        cut = images if detector is None else _cut_to_category(readable, images, detector)
        thumbnails = [jpeg_bytes(shrink(image, THUMBNAIL_SIDE), 80) for image in images]
        store.upsert(readable, embedder(cut), thumbnails)
        counts = {item.item_id: len(item.images) for item in readable}
        yield from (counts.get(item.item_id, 0) for item in chunk)


def _open_or_create(address: Path | str, embedder: Embedder) -> Gallery:
    if Gallery.exists(address):
        return Gallery.open(address, embedder=embedder.identity)
    return Gallery.create(address, embedder=embedder.identity, size=embedder.size)


def _load(items: Sequence[Item], problems: list[Problem], short_side: int) -> Iterator[tuple[Item, list[Image]]]:
    """Items with their photos; a photo that cannot be read is a problem, an item without any is left out.

    No photo is kept larger than it is wanted: a chunk of phone photos at full size would take gigabytes.
    """
    for item in items:
        images: dict[Path, Image] = {}
        for path in item.images:
            try:
                images[path] = read_image(path, short_side=short_side).image
            except DprnetError as error:
                problems.append(Problem(str(path), error.sentence))
        if images:
            yield replace(item, images=tuple(images)), list(images.values())
        else:
            problems.append(Problem(item.item_id, "left out: none of its photos could be read"))


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


def _cut_to_category(items: Sequence[Item], images: list[Image], detector: Detector) -> list[Image]:
    labels = [coarse_label(item.category) for item in items for _ in item.images]
    frames = (Frame(image, number, 0.0) for number, image in enumerate(images))
    cut: list[Image] = []
    for image, label, found in zip(images, labels, detector(frames), strict=True):
        of_its_class = found[(found.labels == label) & (found.scores >= SURE)] if label is not None else found[:0]
        if len(of_its_class):
            cut.append(cut_out(image, of_its_class.boxes_xyxy[int(np.argmax(of_its_class.scores))]))
        else:
            cut.append(image)
    return cut


def _write_problems(problems: Sequence[Problem], path: Path) -> None:
    path.unlink(missing_ok=True)
    if problems:
        with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("where", "problem"))
            writer.writerows((safe_cell(problem.where), safe_cell(problem.sentence)) for problem in problems)
