"""Where OpenVINO graphs are kept that can be made again: a folder of the user's cache, bounded in number."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

CACHE_VARIABLE = "DPRNET_CACHE"
KEPT = 12  # ours: sets of graphs in the cache; the least recently used goes


@dataclass(frozen=True, slots=True)
class Stored:
    """A graph as its two files hold it."""

    xml: bytes
    constants: bytes
    """Of the .bin."""


def kept(
    identity: Mapping[str, object], names: Sequence[str], make: Callable[[], Mapping[str, Any]]
) -> dict[str, Path]:
    """Files of graphs by name: those of the cache, or made now and put there.

    Args:
        identity: all that the graphs follow from: weights, settings, code. JSON-like.
        names: of the graphs.
        make: gives OpenVINO models by name (see :func:`dprnet.core.graphs.converted`), or what their files hold.
    """
    version = importlib.metadata.version("openvino")
    digest = hashlib.sha256(repr([sorted(identity.items()), version]).encode()).hexdigest()[:24]
    home = cache_folder() / "graphs"
    folder = home / digest
    paths = {name: folder / f"{name}.xml" for name in names}
    if _whole(paths):
        _touch(folder)
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    try:
        home.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
    except OSError as error:
        log.info("%s: graphs cannot be kept (%s); they are made at every start", home, error)
        made = Path(tempfile.mkdtemp(prefix="dprnet-graphs-"))
        _forget_at_exit(made)
        return save(make(), made)
    try:
        save(make(), made)
        made.rename(folder)
    except OSError as error:
        if not _whole(paths):  # else another process was first
            log.info("%s: graphs cannot be kept (%s)", folder, error)
            _forget_at_exit(made)
            return {name: made / f"{name}.xml" for name in names}
        shutil.rmtree(made, ignore_errors=True)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    _tidy(home)
    return paths


def save(models: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Write OpenVINO models, with weights as they are, or what their files hold."""
    import openvino

    paths = {name: folder / f"{name}.xml" for name in models}
    for name, model in models.items():
        if isinstance(model, Stored):
            paths[name].write_bytes(model.xml)
            paths[name].with_suffix(".bin").write_bytes(model.constants)
        else:
            openvino.save_model(model, paths[name], compress_to_fp16=False)
    return paths


def of_sources(*modules: str) -> str:
    """A digest of the code of packages or modules: graphs made by other code are not taken from the cache."""
    found = hashlib.sha256()
    for name in modules:
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"no module {name}"
        assert spec.origin is not None, f"no source of {name}"
        origin = Path(spec.origin)
        for path in sorted(origin.parent.glob("*.py")) if origin.name == "__init__.py" else [origin]:
            found.update(path.read_bytes())
    return found.hexdigest()


def cache_folder() -> Path:
    """Where things are kept that can be made again: ``$DPRNET_CACHE``, else the user's cache folder."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dprnet"


def _whole(paths: Mapping[str, Path]) -> bool:
    return all(path.is_file() and path.with_suffix(".bin").is_file() for path in paths.values())


def _touch(folder: Path) -> None:
    try:
        os.utime(folder)
    except OSError:
        log.debug("%s: its age cannot be set", folder)


def _tidy(home: Path) -> None:
    """Remove what was not used for longest, beyond the number that is kept."""
    folders = [path for path in home.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_at_exit(folder: Path) -> None:
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
