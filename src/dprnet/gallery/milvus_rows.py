"""Rows of a gallery in Milvus: which of them count, and how they are kept."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dprnet.core.errors import BadGallery, printable
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.conditions import compared
from dprnet.gallery.milvus_cells import CELLS, kept_cells
from dprnet.gallery.milvus_commits import Commits

MAX_TEXT_BYTES = 65_535  # Milvus's limit


def latest(rows: Iterable[dict[str, Any]], commits: Commits) -> dict[str, dict[str, Any]]:
    """Rows by key that belong to the latest of these commits that touched their item."""
    found = [(row, at) for row in rows if (at := commits.order(row["batch"])) is not None]
    newest: dict[str, int] = {}
    for row, at in found:
        newest[row["item_key"]] = max(newest.get(row["item_key"], 0), at)
    return {row["key"]: row for row, at in found if at == newest[row["item_key"]]}


def key_of(item_id: str) -> str:
    """What stands for an id in expressions: letters and digits alone, so that an id is never code."""
    return hashlib.sha256(item_id.encode()).hexdigest()


def among(keys: Sequence[str | None] | None) -> str:
    """An expression: rows of these items' keys, or all."""
    return "" if keys is None else f"item_key in {json.dumps(list(keys))}"


def kept_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """A store's row as Milvus keeps it."""
    thumbnail = base64.b64encode(values["thumbnail"]).decode("ascii")
    cells = kept_cells(compared(values))
    return {**values, "item_key": key_of(values["item_id"]), "gone": False, "thumbnail": thumbnail, CELLS: cells}


def read_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of Milvus's with what the store's rows have."""
    return {**row, "thumbnail": base64.b64decode(row["thumbnail"])} if "thumbnail" in row else dict(row)


def size_of(row: Mapping[str, Any], name: str, where: ServerAddress) -> int:
    """Bytes of a field, which may not be more than Milvus keeps."""
    value = json.dumps(row[name], ensure_ascii=False) if name == CELLS else row[name]
    size = 4 * len(value) if name == "vector" else len(value.encode()) if isinstance(value, str) else 8
    if isinstance(value, str) and size > MAX_TEXT_BYTES:
        item = printable(str(row.get("item_id", "")), 60)
        raise BadGallery(where, f"item '{item}': '{name}' has {size} bytes, Milvus keeps at most {MAX_TEXT_BYTES}")
    return size
