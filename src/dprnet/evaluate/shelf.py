"""The gallery of a comparison in memory: every photo's vector, and the similarity of anything to every item.

Searching asks for the best few; methods that average or take maxima need the similarity to all items. Vectors are kept
by the content of the photo, so a set and its distractors are embedded once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dprnet.core.errors import BadCatalogue, DprnetError
from dprnet.core.images import read_image
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import FloatArray, Image, IntArray
from dprnet.evaluate.kept import digest_of, keyed_folder, load_arrays, save_arrays
from dprnet.evaluate.views import Embeds
from dprnet.gallery import Item, read_catalogue
from dprnet.pipeline.photos import PHOTO_SIDE

log = logging.getLogger(__name__)

SHARD = 256  # ours: photos that are embedded and kept in one step
DISTRACTOR = "distractor/"  # before the id of an item that only makes the gallery larger


@dataclass(frozen=True, eq=False)
class Shelf:
    """All items of a gallery with their photos' vectors. I items, P photos, D numbers."""

    item_ids: tuple[str, ...]
    """(I,) ascending, as a gallery keeps them."""
    vectors: FloatArray
    """(P, D) each of length 1, photos of an item side by side."""
    starts: IntArray
    """(I,) first photo of each item."""

    def __len__(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def photos(self) -> int:
        """Number of photos."""
        return len(self.vectors)

    def similarity(self, vectors: FloatArray) -> FloatArray:
        """Cosine of each vector to each item, by the item's most similar photo: (N, D) -> (N, I)."""
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        found: FloatArray = np.maximum.reduceat((vectors / lengths).astype(np.float32) @ self.vectors.T, self.starts, 1)
        return found

    def index(self, item_id: str) -> int:
        """Position of an item.

        Raises:
            BadCatalogue: the gallery has no such item.
        """
        place = int(np.searchsorted(np.array(self.item_ids), item_id))
        if place == len(self) or self.item_ids[place] != item_id:
            raise BadCatalogue(item_id, f"is no item of the gallery ({len(self)} items); was its photo readable?")
        return place


def shelve(
    catalogues: Sequence[Path], embedder: Embeds, *, cache: Path | None = None, progress: Progress | None = None
) -> Shelf:
    """Embed the photos of a catalogue and of further ones that only make the gallery larger.

    Args:
        catalogues: the first is the gallery that is asked for; items of the others are distractors.
        embedder: the same for all.
        cache: folder of kept vectors, or None.
        progress: shows the photos done.

    Raises:
        MissingFile: a catalogue is not there.
        BadCatalogue: one cannot be read.
    """
    items: list[Item] = []
    for number, path in enumerate(catalogues):
        prefix = DISTRACTOR if number else ""
        items += [_renamed(item, prefix) for item in read_catalogue(path).items]
    photos = sorted((item.item_id, str(photo)) for item in items for photo in item.images)
    vectors = _vectors([Path(photo) for _, photo in photos], embedder, cache, progress or Silent())
    readable = [(item_id, photo) for (item_id, photo) in photos if photo in vectors]
    if not readable:
        raise BadCatalogue(catalogues[0], "none of its photos could be read")
    owners = [item_id for item_id, _ in readable]
    ids, starts = np.unique(np.array(owners), return_index=True)
    return Shelf(tuple(ids.tolist()), np.stack([vectors[photo] for _, photo in readable]), starts.astype(np.int64))


def _renamed(item: Item, prefix: str) -> Item:
    return Item(prefix + item.item_id, item.images) if prefix else item


def _vectors(paths: Sequence[Path], embedder: Embeds, cache: Path | None, progress: Progress) -> dict[str, FloatArray]:
    """Vector of each readable photo by path."""
    folder = keyed_folder(cache, "photos", {"embedder": embedder.identity, "side": PHOTO_SIDE}) if cache else None
    known = _kept(folder)
    digests = {str(path): _digest(path) for path in paths}
    wanted = {digests[str(path)]: path for path in paths if digests[str(path)] not in known}
    todo = [(digest, path) for digest, path in wanted.items() if digest]
    for start in range(0, len(todo), SHARD):
        part = todo[start : start + SHARD]
        shown = progress.track(part, f"embedding photos {start + 1} to {start + len(part)}", len(part))
        kept: list[str] = []
        vectors = embedder(_images(shown, kept))
        known |= dict(zip(kept, vectors, strict=True))
        if folder and kept:
            save_arrays(folder / f"{digest_of({'photos': kept})}.npz", {"photos": np.array(kept), "vectors": vectors})
    return {path: known[digest] for path, digest in digests.items() if digest in known}


def _kept(folder: Path | None) -> dict[str, FloatArray]:
    known: dict[str, FloatArray] = {}
    for path in sorted(folder.glob("*.npz")) if folder else ():
        if arrays := load_arrays(path):
            known |= dict(zip(arrays["photos"].tolist(), arrays["vectors"], strict=True))
    return known


def _images(photos: Iterator[tuple[str, Path]], kept: list[str]) -> Iterator[Image]:
    for digest, path in photos:
        try:
            image = read_image(path, short_side=PHOTO_SIDE).image
        except DprnetError as error:
            log.warning("left out of the gallery: %s", error)
            continue
        kept.append(digest)
        yield image


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    except OSError as error:
        log.warning("left out of the gallery: %s cannot be read (%s)", path, error.strerror)
        return ""
