"""Rows of a gallery's newest version as others need them: vectors with their owners, thumbnails of matches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dprnet.core.records import FloatArray, Match
from dprnet.gallery.store import VectorStore


def vectors_of(store: VectorStore) -> Iterator[tuple[list[str], FloatArray]]:
    """All photos, a part at a time: whose each is, and its (n, D) vector."""
    for batch in store.scan(["item_id", "vector"])[1]:
        table = batch.column("vector").flatten().to_numpy().reshape(-1, store.card.size)
        yield batch.column("item_id").to_pylist(), table


def thumbnails_of(store: VectorStore, matches: Iterable[Match]) -> dict[tuple[str, str], bytes]:
    """Small JPEGs of matches by ``(item_id, photo)``; those written without one are left out."""
    wanted = {(match.item_id, match.photo) for match in matches}
    if not wanted:
        return {}
    _, rows = store.read(["item_id", "photo", "thumbnail"], {item_id for item_id, _ in wanted})
    keyed = {(row["item_id"], row["photo"]): row["thumbnail"] for row in rows.to_pylist()}
    return {key: keyed[key] for key in wanted if keyed.get(key)}
