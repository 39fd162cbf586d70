"""Where a gallery's store comes from: made new, opened, looked for, or restored from a snapshot."""

from __future__ import annotations

import datetime
from pathlib import Path

from dprnet.core.errors import BadGallery, MissingFile, printable
from dprnet.gallery import live, snapshot
from dprnet.gallery.address import is_server, shown
from dprnet.gallery.card import CARD, MAX_SIZE, SCHEMA, GalleryCard, read_card
from dprnet.gallery.store import VectorStore, store_class


def created(address: str, embedder: str, size: int, preparation: str) -> VectorStore:
    """A new, empty store for vectors of ``size`` numbers.

    Raises:
        BadGallery: a gallery is there already, or the place cannot be used.
        NoSpace: the disk is full.
    """
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"size must lie in [1, {MAX_SIZE}], got {size}")
    now = datetime.datetime.now(datetime.UTC).isoformat("T", "microseconds")
    return store_class(address).create(address, GalleryCard(SCHEMA, embedder, size, "cosine", now, preparation))


def opened(address: str, embedder: str | None) -> VectorStore:
    """The store at an address.

    Raises:
        MissingFile: nothing there.
        BadGallery: it was built by another embedder than the one named, or cannot be used.
    """
    store = store_class(address).open(address)
    if embedder is not None and embedder != store.card.embedder:
        store.close()
        raise BadGallery(
            shown(address),
            f"built by the embedder {printable(store.card.embedder, 80)}, loaded is {printable(embedder, 80)}; "
            f"load that bundle, or rebuild with `dprnet index CATALOGUE` into another folder",
            reason="other_embedder",
        )
    return store


def card_at(address: str) -> GalleryCard:
    """What the gallery at an address says of itself, read now.

    Raises:
        MissingFile: nothing there.
        BadGallery: it cannot be used.
    """
    if not is_server(address):
        return read_card(Path(address))
    store = store_class(address).open(address)
    store.close()
    return store.card


def exists(address: Path | str) -> bool:
    """Whether a gallery is at an address or behind a live name.

    Raises:
        BadGallery: a server is out of reach.
    """
    place = live.followed(address)
    if not is_server(place):
        return (Path(place) / CARD).is_file()
    try:
        store_class(place).open(place).close()
    except MissingFile:
        return False
    return True


def restored(folder: Path, address: str) -> VectorStore:
    """A new store from a snapshot, every byte of which is checked first.

    Raises:
        MissingFile: no snapshot in the folder.
        BadGallery: it is damaged, or the address is taken.
    """
    card, told = snapshot.read_manifest(folder)
    store = store_class(address).create(address, snapshot.restored_card(card))
    snapshot.restore_rows(folder, store)
    if store.count() != told["photos"]:
        store.close()
        raise BadGallery(shown(address), f"{told['photos']} photos in the snapshot, not as many were restored")
    return store
