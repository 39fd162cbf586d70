"""A catalogue becomes a gallery: what is new in it is read and embedded, and stored a chunk of items at a time.

What is in the gallery already is known by its content, so that a catalogue indexed again costs only what changed in
it, and one whose indexing was stopped goes on where it was.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadCatalogue, BadGallery
from dprnet.core.fetching import FetchLimits
from dprnet.core.progress import SILENT, Progress
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Catalogue, Gallery, Problem, is_server, shown
from dprnet.gallery.remote import read_anywhere
from dprnet.pipeline.photos import Maker, PhotosHere
from dprnet.pipeline.storing import Storing
from dprnet.report import safe_cell

PROBLEMS = "problems.csv"


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
    unchanged: int = 0
    """Items that were there already, to the last letter and pixel."""
    updated: int = 0
    """Items of which only texts changed."""
    retired: tuple[str, ...] = ()
    """Items that were removed because the catalogue no longer has them."""

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
    fresh: bool = False,
    retire: float | None = None,
    fetch: FetchLimits | None = None,
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
    return index(
        catalogue, gallery, embedder, detector=detector, fresh=fresh, retire=retire, fetch=fetch, progress=progress
    )


def index(
    catalogue: Path | str,
    gallery: Path | str,
    embedder: Embedder,
    *,
    detector: Detector | None = None,
    fresh: bool = False,
    retire: float | None = None,
    fetch: FetchLimits | None = None,
    progress: Progress = SILENT,
) -> Indexed:
    """:func:`index_with`, photos made in this process by an embedder and, to cut them, a detector."""
    maker = PhotosHere(embedder, detector, fetch)
    return index_with(maker, catalogue, gallery, fresh=fresh, retire=retire, fetch=fetch, progress=progress)


def index_with(
    maker: Maker,
    catalogue: Path | str,
    gallery: Path | str,
    *,
    fresh: bool = False,
    retire: float | None = None,
    fetch: FetchLimits | None = None,
    progress: Progress = SILENT,
) -> Indexed:
    """Put the items of a catalogue into a gallery, which is made if it is not there; items in it are replaced.

    Only photos whose content the gallery does not hold for their item are embedded; where only texts of an item
    changed, only those are written. Bad rows and photos are left out and listed in ``problems.csv``, in the gallery's
    folder or, where it is on a server, in the folder of work.

    Args:
        maker: reads and embeds the photos, here or on other machines; all writing is done in this process.
        fresh: embed every photo again.
        retire: remove items that the catalogue has no row of, if they are at most this share of the gallery.
        fetch: what addresses of photos (http, https, s3), and of the catalogue itself, may cost; without it none is
            fetched, and a row that has one is a problem.

    Raises:
        BadCatalogue: bad as a whole, or more would be retired than allowed (nothing is then removed).
        BadGallery: the folder holds something else, or a gallery of another embedder or of photos cut otherwise.
    """
    read = read_anywhere(catalogue, fetch)
    with _open_or_create(gallery, maker) as store:
        held = _held(store)
        gone = _to_retire(read, held, retire, store.address)
        work = Storing(store, maker, {} if fresh else held, list(read.problems))
        for _ in progress.track(work.items(read.items), "Indexing", len(read.items)):
            pass
        store.remove(gone)
        path = Path(PROBLEMS) if is_server(store.address) else store.folder / PROBLEMS
        _write_problems(work.problems, path)
        return Indexed(
            store.address, len(store), work.photos, tuple(work.problems), path, work.unchanged, work.updated, gone
        )


def _open_or_create(address: Path | str, maker: Maker) -> Gallery:
    preparation = maker.preparation
    if not Gallery.exists(address):
        return Gallery.create(address, embedder=maker.identity, size=maker.size, preparation=preparation)
    store = Gallery.open(address, embedder=maker.identity)
    if store.card.preparation not in {"", preparation}:
        store.close()
        told = {"whole": "whole photos", "cut": "photos cut to the garment (--crop-photos)"}
        raise BadGallery(
            shown(str(address)),
            f"made of {told.get(store.card.preparation, 'other photos')}, now given {told[preparation]}; "
            "index as before, or into another gallery",
        )
    return store


def _held(store: Gallery) -> dict[str, list[dict[str, str]]]:
    held: dict[str, list[dict[str, str]]] = {}
    for row in store.texts():
        held.setdefault(row["item_id"], []).append(row)
    return held


def _to_retire(read: Catalogue, held: Mapping[str, object], retire: float | None, address: str) -> tuple[str, ...]:
    if retire is None:
        return ()
    gone = sorted(held.keys() - {item.item_id for item in read.items} - read.left_out)
    if len(gone) > retire * len(held):
        raise BadCatalogue(
            read.path,
            f"lacks {len(gone)} of the {len(held)} items of {shown(address)}, more than {retire:.0%} of them; "
            "if that is meant, allow a larger share with --retire-at-most",
            reason="limit:retire",
        )
    return tuple(gone)


def _write_problems(problems: Sequence[Problem], path: Path) -> None:
    path.unlink(missing_ok=True)
    if problems:
        with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("where", "problem"))
            writer.writerows((safe_cell(problem.where), safe_cell(problem.sentence)) for problem in problems)
