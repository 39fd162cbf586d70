"""``gallery.json``: which embedder made a gallery, and in which form it is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.errors import BadGallery, MissingFile

SCHEMA = 1
CARD = "gallery.json"
MAX_CARD_BYTES = 1_000_000
MAX_SIZE = 65_536


@dataclass(frozen=True, slots=True)
class GalleryCard:
    """What a gallery says of itself (``gallery.json``)."""

    schema: int
    embedder: str
    """Identity of the embedder: name and hash of its settings and weights."""
    size: int
    """Numbers in a vector."""
    metric: str
    created: str
    """UTC, ISO 8601."""


def write_card(folder: Path, card: GalleryCard) -> None:
    """Write ``gallery.json`` whole or not at all; the last step of making a gallery."""
    values = {name: getattr(card, name) for name in GalleryCard.__slots__}
    partial = folder / f"{CARD}.partial"
    partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / CARD)


def read_card(folder: Path) -> GalleryCard:
    """What the gallery in a folder says of itself.

    Raises:
        MissingFile: no such folder.
        BadGallery: not a gallery, damaged, or of a newer version.
    """
    path = folder / CARD
    try:
        if not folder.is_dir():
            raise MissingFile(folder, "no gallery here; make one with `dprnet index CATALOGUE`")
        if path.stat().st_size > MAX_CARD_BYTES:
            raise BadGallery(path, f"larger than {MAX_CARD_BYTES} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadGallery(folder, f"is no gallery (it has no {CARD}); make one with `dprnet index CATALOGUE`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadGallery(path, f"damaged ({type(error).__name__}); rebuild with `dprnet index CATALOGUE`") from None
    kinds = {"schema": int, "embedder": str, "size": int, "metric": str, "created": str}
    if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
        raise BadGallery(path, "damaged: no schema; rebuild with `dprnet index CATALOGUE`")
    if values["schema"] > SCHEMA:
        sentence = f"written in schema {values['schema']}, this version reads up to {SCHEMA}; upgrade dprnet"
        raise BadGallery(path, sentence, reason="newer_schema")
    wrong = [name for name, kind in kinds.items() if not isinstance(values.get(name), kind)]
    if wrong or not 1 <= values["size"] <= MAX_SIZE or values["metric"] != "cosine":
        raise BadGallery(path, f"damaged: '{(wrong or ['size or metric'])[0]}' is not as written by dprnet")
    return GalleryCard(**{name: values[name] for name in kinds})
