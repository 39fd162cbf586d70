"""Graphs of 8-bit integers that a bundle may hold beside its weights: what they follow from, and whether to take them.

    int8/detector-first.graph   int8/embedder-embedder.graph

They are made once by ``dprnet export --int8``, which measures what they lose; ``bundle.json`` says it under ``int8``.
Each is packed (:mod:`dprnet.core.int8_packing`), and unpacked once into the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dprnet.core import graph_cache
from dprnet.core.bundle import MANIFEST, Bundle
from dprnet.core.errors import BadBundle, BadRecipe
from dprnet.core.graph_cache import Stored
from dprnet.core.int8_packing import pack, unpack

log = logging.getLogger(__name__)

FOLDER = "int8"
ENDING = ".graph"


def entry(bundle: Bundle, part: str) -> Mapping[str, Any]:
    """What the manifest says of a network's int8 graphs; empty where its weights or settings are others since."""
    every = bundle.manifest.get("int8")
    found = every.get(part) if isinstance(every, dict) else None
    known = (
        isinstance(found, dict) and isinstance(found.get("files"), dict) and found.get("of") == _followed(bundle, part)
    )
    return found if known and found is not None else {}


def ready(bundle: Bundle, part: str, names: tuple[str, ...], runtime: str) -> dict[str, Path]:
    """The int8 graphs by name that a network is run with under a runtime; those that are not there run in float32.

    ``auto`` takes them where their loss was found small enough, ``int8`` whatever it is.

    Raises:
        BadRecipe: int8 was asked for and the bundle holds none that follow from its weights.
        BadBundle: a file is missing, not the one that the manifest names, or of other weights.
    """
    found = entry(bundle, part)
    if runtime == "int8" and not found:
        if not any(entry(bundle, other) for other in ("detector", "embedder")):
            raise BadRecipe(
                "runtime", f"{bundle.folder} holds no int8 graphs of its weights; make them with:"
                f" dprnet export --int8 DATA --bundle FOLDER, or take runtime 'openvino'",
            )  # fmt: skip
        log.info("%s: no int8 graphs of the %s; it runs in float32", bundle.folder, part)
    if not found or not (runtime == "int8" or (runtime == "auto" and found.get("default") is True)):
        return {}
    files = found["files"]
    every = {name: bundle.folder / FOLDER / f"{part}-{name}{ENDING}" for name in names}
    paths = {name: path for name, path in every.items() if path.name in files}
    for path in paths.values():
        if not path.is_file() or _sha256(path) != files.get(path.name):
            raise BadBundle(path, "missing, or not the file that bundle.json names; take runtime 'openvino' meanwhile")
    identity = {"int8": [files[path.name] for path in paths.values()], "of": found["of"]}
    return graph_cache.kept(identity, tuple(paths), lambda: _unpacked(bundle, part, paths)) if paths else {}


def save(bundle: Bundle, part: str, models: Mapping[str, Any], figures: Mapping[str, Any], *, default: bool) -> Bundle:
    """Put int8 graphs of a network into its bundle.

    Args:
        models: OpenVINO models by name.
        figures: what was measured of them.
        default: whether ``auto`` takes them.
    """
    folder = bundle.folder / FOLDER
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"{part}-*"):
        old.unlink()
    weights = bundle.weights(part)
    for name, model in models.items():
        (folder / f"{part}-{name}{ENDING}").write_bytes(pack(_stored(model), weights))
    files = {path.name: _sha256(path) for path in sorted(folder.glob(f"{part}-*"))}
    made = {"of": _followed(bundle, part), "files": files, "default": default, "figures": dict(figures)}
    manifest = {**bundle.manifest, "int8": {**dict(bundle.manifest.get("int8") or {}), part: made}}
    partial = bundle.folder / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(bundle.folder / MANIFEST)
    return Bundle.from_pretrained(bundle.folder.resolve())


def _stored(model: Any) -> Stored:
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return Stored(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def _unpacked(bundle: Bundle, part: str, paths: Mapping[str, Path]) -> dict[str, Stored]:
    weights, made = bundle.weights(part), {}
    for name, path in paths.items():
        try:
            made[name] = unpack(path.read_bytes(), weights)
        except ValueError as error:
            raise BadBundle(path, f"cannot be unpacked: {error}; take runtime 'openvino' meanwhile") from None
    return made


def _followed(bundle: Bundle, part: str) -> str:
    """A digest of what the graphs of a network follow from: its settings and weights."""
    whole = {"settings": bundle.settings(part), "weights": bundle.manifest["weights"].get(part)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
