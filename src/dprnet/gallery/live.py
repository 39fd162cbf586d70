"""A live name: a small file that says which gallery serves, switched from one to the next in one step.

A new catalogue, or the same one embedded by a new bundle, is made beside the gallery that serves; then the name is
switched. Who has the old one open goes on with it until it looks again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dprnet.core.errors import BadGallery, NoSpace
from dprnet.gallery.address import is_server

MAX_BYTES = 10_000


def is_name(address: Path | str) -> bool:
    """Whether an address is a live name rather than a gallery."""
    return not is_server(address) and Path(address).is_file()


def followed(address: Path | str) -> str:
    """The gallery that a live name means now; any other address is its own.

    Raises:
        BadGallery: the file is no live name.
    """
    if not is_name(address):
        return str(address)
    path = Path(address)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        target = values["gallery"]
        if not isinstance(target, str) or not target:
            raise ValueError("no address")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadGallery(
            path, f"neither a gallery nor a live name ({error}); `dprnet gallery switch` makes one"
        ) from None
    return target if is_server(target) else str(path.parent / target)


def switch(name: Path | str, gallery: Path | str) -> str | None:
    """Let a live name mean another gallery from now on; what it meant before comes back.

    The name holds the old gallery or the new one at every moment, also after a crash. A gallery in a folder is named
    relative to the file, so that both can be moved together.

    Raises:
        BadGallery: the name is a gallery's folder, or the file holds something else.
    """
    path = Path(name)
    if is_server(name) or path.is_dir():
        raise BadGallery(path, "is a gallery itself; a live name is a file, such as shop.live")
    before = followed(path) if path.exists() else None
    target = str(gallery) if is_server(gallery) else os.path.relpath(Path(gallery).resolve(), path.resolve().parent)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"gallery": target}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        kind = NoSpace if error.errno == 28 else BadGallery
        raise kind(path, f"cannot be switched ({error.strerror})") from None
    return before
