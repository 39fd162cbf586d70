"""A gallery as a folder of plain files, for keeping and for moving to another kind of store.

photos.arrow     every row of one version (Arrow IPC)        gallery.json    its card
snapshot.json    schema, what it was made of, and the SHA-256 of both; written last
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dprnet.core.errors import BadGallery, MissingFile, NoSpace
from dprnet.gallery.card import CARD, SCHEMA, GalleryCard, parse_card
from dprnet.gallery.store import VectorStore, schema

SNAPSHOT_SCHEMA = 1
MANIFEST = "snapshot.json"
PHOTOS = "photos.arrow"
RESTORED_ITEMS = 2_000  # ours: items a commit


def write_snapshot(store: VectorStore, folder: Path, identity: str) -> int:
    """Write one version of a store into a new folder, whole or not at all; its version comes back.

    Raises:
        BadGallery: the folder is there already.
        NoSpace: the disk is full; nothing is left behind.
    """
    import pyarrow as pa

    if folder.exists():
        raise BadGallery(folder, "is there already; choose another folder for the snapshot")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    form = schema(store.card.size)
    try:
        partial.mkdir(parents=True)
        version, parts = store.scan(form.names)
        with pa.OSFile(str(partial / PHOTOS), "wb") as file, pa.ipc.new_file(file, form) as writer:
            photos = 0
            for batch in parts:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=form))
                photos += batch.num_rows
        card = store.card.of_schema(min(store.card.schema, SCHEMA))  # not of the form in which a server keeps it
        (partial / CARD).write_text(card.to_json(), encoding="utf-8")
        hashes = {name: _sha256(partial / name) for name in (PHOTOS, CARD)}
        told = {"schema": SNAPSHOT_SCHEMA, "gallery": identity, "version": version, "photos": photos, "sha256": hashes}
        (partial / MANIFEST).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        for path in partial.iterdir():
            with path.open("rb") as written:
                os.fsync(written.fileno())
        partial.rename(folder)
    except OSError as error:
        kind = NoSpace if error.errno == 28 or "No space left" in str(error) else BadGallery
        raise kind(folder, f"the snapshot cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return version


def read_manifest(folder: Path) -> tuple[GalleryCard, dict[str, Any]]:
    """The card and manifest of a snapshot, every byte of it checked.

    Raises:
        MissingFile: no snapshot there.
        BadGallery: damaged, or of a newer version.
    """
    try:
        told: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if told["schema"] > SNAPSHOT_SCHEMA:
            sentence = (
                f"snapshot of schema {told['schema']}, this version reads up to {SNAPSHOT_SCHEMA}; upgrade dprnet"
            )
            raise BadGallery(folder, sentence, reason="newer_schema")
        for name in (PHOTOS, CARD):
            if _sha256(folder / name) != told["sha256"][name]:
                raise BadGallery(folder / name, "not as it was written (SHA-256 differs); take another snapshot")
        return parse_card((folder / CARD).read_text(encoding="utf-8"), folder / CARD), told
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFile(folder, f"no snapshot here (no {MANIFEST}); `dprnet gallery snapshot` makes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadGallery(folder / MANIFEST, f"damaged ({type(error).__name__}); take another snapshot") from None


def restore_rows(folder: Path, store: VectorStore) -> None:
    """Write the rows of a checked snapshot into an empty store, whole items at a time."""
    import numpy as np
    import pyarrow as pa

    with pa.memory_map(str(folder / PHOTOS)) as file:
        rows = pa.ipc.open_file(file).read_all()
        ids = np.asarray(rows["item_id"].to_pylist(), object)
        order = np.argsort(ids, kind="stable")
        for part in _whole_items(ids[order].tolist()):
            store.upsert(rows.take(order[part].tolist()).combine_chunks())


def restored_card(card: GalleryCard) -> GalleryCard:
    """The card of a gallery restored from one of any schema: its rows are of today's."""
    return card.of_schema(SCHEMA)


def _whole_items(ids: list[str]) -> Iterator[slice]:
    start, items = 0, 0
    for stop in range(1, len(ids) + 1):
        if stop == len(ids) or ids[stop] != ids[stop - 1]:
            items += 1
            if items == RESTORED_ITEMS or stop == len(ids):
                yield slice(start, stop)
                start, items = stop, 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
