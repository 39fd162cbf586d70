"""Between items and the rows of a store: one row a photo."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dprnet.core.addresses import is_address
from dprnet.core.errors import BadCatalogue, BadVector, printable
from dprnet.core.records import FloatArray, Match
from dprnet.gallery.items import Item
from dprnet.gallery.store import DETAILS, TEXTS, details_schema, schema

if TYPE_CHECKING:
    import pyarrow as pa

SHORTEST = 1e-12  # ours: a vector shorter than this has no direction left in float32


def unit_vectors(vectors: FloatArray, owners: Sequence[str], size: int, thing: str) -> FloatArray:
    """(N, size) vectors at length 1; ``owners`` name them, ``thing`` the gallery.

    Raises:
        BadVector: NaN, infinite, zero, or of another size; naming the first.
    """
    array = np.asarray(vectors, np.float32)
    if array.ndim != 2 or (len(array) and array.shape[1] != size):
        shape = f"shape {array.shape}"
        raise BadVector(owners[0] if owners else thing, f"{shape}, this gallery takes (n, {size})")
    if not len(array):
        return array.reshape(0, size)
    lengths = np.linalg.norm(array.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1) | ~(lengths > SHORTEST))
    if wrong.size:
        row = int(wrong[0])
        what = "is zero" if np.isfinite(array[row]).all() else "holds NaN or infinity"
        raise BadVector(owners[row], f"its vector {what}; nothing was written")
    unit: FloatArray = (array / lengths[:, None]).astype(np.float32)
    return unit


def photo_rows(
    items: Sequence[Item], vectors: FloatArray, thumbnails: Sequence[bytes], contents: Sequence[str]
) -> pa.Table:
    """Rows of :func:`dprnet.gallery.store.schema`, for every photo of every item in order."""
    import pyarrow as pa

    pairs = [(item, str(photo)) for item in items for photo in item.images]
    columns: dict[str, Any] = {name: [getattr(item, name, "") for item, _ in pairs] for name in TEXTS}
    columns["photo"] = [photo for _, photo in pairs]
    columns["metadata"] = [metadata_json(item) for item, _ in pairs]
    columns["content"] = list(contents)
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1])
    columns["thumbnail"] = list(thumbnails)
    _check_texts(columns)
    return pa.table(columns, schema=schema(vectors.shape[1]))


def detail_rows(items: Sequence[Item]) -> pa.Table:
    """Rows of :func:`dprnet.gallery.store.details_schema`, one an item."""
    import pyarrow as pa

    columns = {name: [getattr(item, name) for item in items] for name in ("item_id", *DETAILS) if name != "metadata"}
    columns["metadata"] = [metadata_json(item) for item in items]
    _check_texts(columns)
    return pa.table(columns, schema=details_schema())


def metadata_json(item: Item) -> str:
    """An item's other columns as a store keeps them."""
    return json.dumps(dict(item.metadata), ensure_ascii=False, sort_keys=True)


def row_items(rows: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
    """Items of rows that are sorted by ``item_id``, each with its photos."""
    start = 0
    for stop in range(1, len(rows) + 1):
        if stop == len(rows) or rows[stop]["item_id"] != rows[start]["item_id"]:
            first = rows[start]
            photos = tuple(_place(row["photo"]) for row in rows[start:stop])
            texts = (first["category"], first["title"], first["url"], first["price"])
            yield Item(first["item_id"], photos, *texts, metadata=json.loads(first["metadata"] or "{}"))
            start = stop


def _place(photo: str) -> Path | str:
    return photo if is_address(photo) else Path(photo)


def row_match(row: Mapping[str, Any], similarity: float) -> Match:
    """A row of the store as a match."""
    texts = {name: row[name] for name in ("item_id", "photo", "category", "title", "url", "price")}
    return Match(similarity=similarity, metadata=json.loads(row["metadata"] or "{}"), **texts)


def _check_texts(columns: Mapping[str, Sequence[Any]]) -> None:
    """PostgreSQL keeps no NUL character, and no catalogue means one."""
    for name, cells in columns.items():
        for number, cell in enumerate(cells if name in TEXTS else ()):
            if "\0" in cell:
                item = printable(str(columns["item_id"][number]), 60)
                raise BadCatalogue(f"item '{item}'", f"column '{name}' holds a NUL character; nothing was written")
