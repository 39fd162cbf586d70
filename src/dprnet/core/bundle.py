"""A model bundle: weights (safetensors), settings, thresholds, origin and card, in one folder.

    bundle.json            schema, name, settings of each part, origin, SHA-256 of each weights file
    detector.safetensors   embedder.safetensors
    README.md              the card: what it was trained on, licences, measured figures, good and bad

The bundle knows files and settings, not networks: `detect` and `embed` build theirs from ``settings("detector")``
and ``weights("detector")``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dprnet.core.errors import BadBundle, MissingFile

SCHEMA = 1
MANIFEST = "bundle.json"
CARD = "README.md"
PARTS = ("detector", "embedder")
MAX_MANIFEST_BYTES = 5_000_000
MAX_WEIGHTS_BYTES = 8 << 30
SHIPPED = Path(__file__).parent.parent / "bundles"

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk, its manifest read and checked; weights are read when asked for."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The bundle's short name, such as ``tiny``."""
        return str(self.manifest["name"])

    @property
    def identity(self) -> str:
        """``name@hash``: changes when any setting or weight changes."""
        return f"{self.name}@{_digest(self.manifest)}"

    @property
    def embedder_identity(self) -> str:
        """``name@hash`` of the embedder alone: what a gallery records and insists on."""
        part = {"settings": self.settings("embedder"), "weights": self.manifest["weights"].get("embedder")}
        return f"{self.name}@{_digest(part)}"

    def settings(self, part: str) -> Mapping[str, Any]:
        """Settings of ``detector``, ``embedder``, ``picking`` or ``matching`` (empty where not fitted)."""
        found: Mapping[str, Any] = self.manifest["settings"].get(part) or {}
        return found

    def weights(self, part: str) -> dict[str, NDArray[Any]]:
        """Arrays of one network by name, as stored (float16 or float32).

        Raises:
            BadBundle: the file is missing, damaged, too large, or not the one the manifest names.
        """
        self.check_weights(part)
        path = self.folder / f"{part}.safetensors"
        try:
            return load_file(path)
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            raise BadBundle(path, f"not a safetensors file: {error}") from None

    def check_weights(self, part: str) -> str:
        """Whether the weights of a network are there and those that the manifest names; their SHA-256.

        Raises:
            BadBundle: the file is missing, too large, or another one.
        """
        path = self.folder / f"{part}.safetensors"
        if not path.is_file():
            raise BadBundle(path, f"the bundle has no {part} weights; make them with `dprnet train {part}`")
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise BadBundle(path, f"larger than {MAX_WEIGHTS_BYTES} bytes", reason="limit:weights")
        found = _sha256(path)
        if self.manifest["weights"].get(part) != found:
            raise BadBundle(path, "not the weights that bundle.json names (SHA-256 differs); fetch the bundle again")
        return found

    @property
    def card(self) -> str:
        """The bundle's card (Markdown), or an empty text."""
        path = self.folder / CARD
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Bundle:
        """A bundle by the name of a shipped one (``tiny``), by folder, or by ``hf-hub:owner/name``.

        Raises:
            MissingFile: neither shipped nor a folder.
            BadBundle: the manifest is damaged, hostile or newer than this version reads.
        """
        text = str(name)
        if text.startswith("hf-hub:"):
            return cls._open(_from_hub(text.removeprefix("hf-hub:")))
        shipped = SHIPPED / text
        if text and "/" not in text and "\\" not in text and shipped.is_dir():
            return cls._open(shipped)
        return cls._open(Path(name))

    @classmethod
    def _open(cls, folder: Path) -> Bundle:
        path = folder / MANIFEST
        try:
            if path.stat().st_size > MAX_MANIFEST_BYTES:
                raise BadBundle(path, f"larger than {MAX_MANIFEST_BYTES} bytes")
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFile(folder, f"no bundle here; shipped bundles: {', '.join(shipped_bundles())}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise BadBundle(path, f"not a bundle manifest ({type(error).__name__})") from None
        kinds = {"schema": int, "name": str, "settings": dict, "weights": dict}
        for key, kind in kinds.items():
            if not isinstance(manifest, dict) or not isinstance(manifest.get(key), kind):
                raise BadBundle(path, f"not a bundle manifest: '{key}' is missing or no {kind.__name__}")
        if manifest["schema"] > SCHEMA:
            raise BadBundle(
                path, f"written in schema {manifest['schema']}, this version reads up to {SCHEMA}; upgrade dprnet"
            )
        return cls(folder, manifest)


def save_pretrained(
    folder: Path,
    name: str,
    settings: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, Weights],
    *,
    origin: Mapping[str, Any] | None = None,
    card: str | None = None,
) -> Bundle:
    """Write a bundle; parts not given keep what the folder already holds.

    Args:
        settings: of ``detector``, ``embedder``, ``picking``, ``matching``.
        weights: arrays by name of ``detector`` and ``embedder``; floats are stored as float16.
        origin: what each part came from (recipe, data, seed, date), merged into the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    old = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) if (folder / MANIFEST).is_file() else {}
    digests = dict(old.get("weights", {}))
    for part, arrays in weights.items():
        path = folder / f"{part}.safetensors"
        partial = path.with_suffix(".partial")
        save_file({key: _half(value) for key, value in sorted(arrays.items())}, partial)
        partial.replace(path)
        digests[part] = _sha256(path)
    manifest = {
        "schema": SCHEMA,
        "name": name,
        "settings": {**old.get("settings", {}), **{part: dict(values) for part, values in settings.items()}},
        "weights": digests,
        "origin": {**old.get("origin", {}), **(origin or {})},
    }
    if "int8" in old:  # graphs of other weights are known by what they follow from (core.int8)
        manifest["int8"] = old["int8"]
    partial = folder / (MANIFEST + ".partial")
    partial.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)
    if card is not None:
        (folder / CARD).write_text(card, encoding="utf-8")
    return Bundle.from_pretrained(folder.resolve())


def shipped_bundles() -> list[str]:
    """Names of the bundles inside the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST}"))


def _half(array: NDArray[Any]) -> NDArray[Any]:
    # np.asarray, as np.ascontiguousarray would make a scalar (a counter of batches) an array of one
    return np.asarray(array.astype(np.float16) if array.dtype.kind == "f" else array, order="C")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(repository: str) -> Path:
    from huggingface_hub import snapshot_download  # timm brings it; only wanted when a hub is named
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    wanted = [MANIFEST, CARD, "int8/*", *(f"{part}.safetensors" for part in PARTS)]
    try:
        return Path(snapshot_download(repository, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise MissingFile(f"hf-hub:{repository}", f"cannot be fetched ({type(error).__name__}: {error})") from None
