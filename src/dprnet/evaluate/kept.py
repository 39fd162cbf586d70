"""Arrays kept on disk under a hash of what they were computed from, written whole or not at all.

A folder is named by its key; a changed key is another folder, and a damaged file is computed again. So is one whose
video is no longer the one that was looked at: a name alone says nothing of what is in a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
OF = "computed_from"  # the array that holds the hash of the source


def digest_of(key: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that change with any part of the key.

    >>> digest_of({"b": 1, "a": "x"}) == digest_of({"a": "x", "b": 1}) != digest_of({"a": "x", "b": 2})
    True
    """
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:16]


def keyed_folder(cache: Path, kind: str, key: Mapping[str, Any]) -> Path:
    """The folder of a key inside a cache, made if it is not there; ``key.json`` in it says what it holds."""
    folder = cache / f"{kind}-{digest_of(key)}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.json").write_text(json.dumps(key, sort_keys=True, default=str) + "\n", encoding="utf-8")
    return folder


def file_digest(path: Path) -> str:
    """Hash of the content of a file; read again only where size or time has changed.

    Raises:
        OSError: it cannot be read.
    """
    found = path.stat()
    return _file_digest(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1 << 18)
def _file_digest(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def files_digest(paths: Iterable[Path]) -> str:
    """One hash of the names and contents of some files, in any order; one that cannot be read counts by its name."""
    lines = []
    for path in sorted(set(paths)):
        try:
            lines.append(f"{path.name} {file_digest(path)}")
        except OSError:
            lines.append(f"{path.name} -")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, of: Path | None = None) -> None:
    """Write arrays by name as npz, in one step; ``of`` is the file that they were computed from."""
    partial = path.with_suffix(".partial")
    source = {OF: np.array(file_digest(of))} if of else {}
    with partial.open("wb") as file:
        np.savez(file, **arrays, **source)  # type: ignore[arg-type]  # the stubs take every keyword for allow_pickle
    partial.replace(path)


def load_arrays(path: Path, *, of: Path | None = None) -> Arrays | None:
    """Arrays by name, or None where there is no file, a damaged one (which is said), or one of another source."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s); it is computed again", path, type(error).__name__)
        return None
    source = found.pop(OF, None)
    return found if of is None or (source is not None and str(source) == file_digest(of)) else None
