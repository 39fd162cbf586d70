"""Arrays kept on disk under a hash of what they were computed from, written whole or not at all.

A folder is named by its key; a changed key is another folder, and a damaged file is computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


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


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name as npz, in one step."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take every keyword for allow_pickle
    partial.replace(path)


def load_arrays(path: Path) -> Arrays | None:
    """Arrays by name, or None where there is no file or a damaged one (which is said)."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s); it is computed again", path, type(error).__name__)
        return None
