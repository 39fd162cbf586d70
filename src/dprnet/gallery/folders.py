"""A folder of photos as catalogue rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dprnet.core.images import looks_readable
from dprnet.gallery.tables import BadRow, Row

# Files of these names were meant as photos: where their content is none, that is a problem worth telling.
READ_SUFFIXES = {
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".mpo",
    ".png",
    ".apng",
    ".webp",
    ".avif",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
}
PHOTO_SUFFIXES = READ_SUFFIXES | {".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg"}
HEAD_BYTES = 32


def rows(folder: Path) -> Iterator[Row | BadRow]:
    """One row a photo, in the order of names; files that are no photos (by content) are passed over.

    Hidden files and folders are passed over too, and links to folders are not followed.
    """
    faults: list[OSError] = []
    for parent, names, files in os.walk(folder, onerror=faults.append):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent) / name
            if name.startswith(".") or not path.is_file():  # a pipe would block for ever
                continue
            where = path.relative_to(folder).as_posix()
            try:
                with path.open("rb") as file:
                    head = file.read(HEAD_BYTES)
            except OSError as error:
                yield BadRow(where, f"cannot be opened ({error.strerror or error})")
                continue
            if looks_readable(head):
                yield Row(where, {"item_id": path.relative_to(folder).with_suffix("").as_posix(), "image": where})
            elif path.suffix.lower() in PHOTO_SUFFIXES:
                yield BadRow(where, "named like a photo, but its content is none that is read")
    for fault in faults:
        yield BadRow(str(fault.filename), f"cannot be looked into ({fault.strerror})")
