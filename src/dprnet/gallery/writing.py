"""Changes of a gallery: items and vectors checked whole, then written to the store in one commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dprnet.core.records import FloatArray
from dprnet.gallery.items import Item
from dprnet.gallery.rows import detail_rows, photo_rows, unit_vectors
from dprnet.gallery.store import VectorStore


def write_items(
    store: VectorStore,
    items: Sequence[Item],
    vectors: FloatArray,
    thumbnails: Sequence[bytes],
    contents: Sequence[str],
    thing: str,
) -> bool:
    """Write items with all their photos; whether there was anything to write. ``thing`` names the gallery.

    Raises:
        BadVector, BadCatalogue: something cannot be kept; nothing is written.
    """
    owners = [item.item_id for item in items for _ in item.images]
    if len({item.item_id for item in items}) != len(items):
        raise ValueError("upsert: every item_id may appear once")
    if len(vectors) != len(owners) or any(given and len(given) != len(owners) for given in (thumbnails, contents)):
        counts = f"{len(vectors)} vectors, {len(thumbnails)} thumbnails, {len(contents)} contents"
        raise ValueError(f"upsert: {len(owners)} photos, {counts}")
    unit = unit_vectors(vectors, owners, store.card.size, thing)
    if owners:
        nothing = [b""] * len(owners)
        store.upsert(photo_rows(items, unit, thumbnails or nothing, contents or [""] * len(owners)))
    return bool(owners)


def write_details(store: VectorStore, items: Sequence[Item]) -> tuple[bool, tuple[str, ...]]:
    """Write the texts of items that are there; whether any was, and the ids that were not."""
    known = _known(store, [item.item_id for item in items])
    there = [item for item in items if item.item_id in known]
    if there:
        store.update(detail_rows(there))
    return bool(there), tuple(item.item_id for item in items if item.item_id not in known)


def remove_items(store: VectorStore, item_ids: Iterable[str]) -> tuple[str, ...]:
    """Remove items with all their photos; the ids that were not there come back."""
    wanted = list(dict.fromkeys(item_ids))
    known = _known(store, wanted)
    store.remove([item_id for item_id in wanted if item_id in known])
    return tuple(item_id for item_id in wanted if item_id not in known)


def _known(store: VectorStore, item_ids: Sequence[str]) -> set[str]:
    return set(store.read(["item_id"], item_ids)[1]["item_id"].to_pylist()) if item_ids else set()
