"""The card of a gallery: which embedder made it, from what, and in which form it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from dprnet.core.errors import BadGallery, MissingFile

SCHEMA = 2
"""1: no content hash of photos, no preparation. Galleries of all are read; writing to one of 1 makes it one of 2."""
LISTED_NO_LONGER = NEWEST = 3
"""Of a gallery in Milvus whose old commits are no longer listed: to earlier versions of dprnet their rows would not
count. The largest that is read."""
CARD = "gallery.json"
MAX_CARD_BYTES = 1_000_000
MAX_SIZE = 65_536


@dataclass(frozen=True, slots=True)
class GalleryCard:
    """What a gallery says of itself: ``gallery.json`` of a folder, a row or a description on a server."""

    schema: int
    embedder: str
    """Identity of the embedder: name and hash of its settings (preprocessing among them) and weights."""
    size: int
    """Numbers in a vector."""
    metric: str
    created: str
    """UTC, ISO 8601."""
    preparation: str = ""
    """What was done to photos before embedding (``whole``, ``cut``); empty where nobody said."""

    def to_json(self) -> str:
        """As :func:`parse_card` reads it."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def of_schema(self, schema: int) -> GalleryCard:
        """The same, kept in another form."""
        return replace(self, schema=schema)


def write_card(folder: Path, card: GalleryCard) -> None:
    """Write ``gallery.json`` whole or not at all; the last step of making a gallery."""
    partial = folder / f"{CARD}.partial"
    partial.write_text(card.to_json(), encoding="utf-8")
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
        return parse_card(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise BadGallery(folder, f"is no gallery (it has no {CARD}); make one with `dprnet index CATALOGUE`") from None
    except (OSError, ValueError) as error:
        raise BadGallery(path, f"damaged ({type(error).__name__}); rebuild with `dprnet index CATALOGUE`") from None


def parse_card(text: str, where: object) -> GalleryCard:
    """A card from its JSON.

    Raises:
        BadGallery: damaged, or of a newer version; ``where`` is named.
    """
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadGallery(where, f"damaged ({type(error).__name__}); rebuild with `dprnet index CATALOGUE`") from None
    if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
        raise BadGallery(where, "damaged: no schema; rebuild with `dprnet index CATALOGUE`")
    if values["schema"] > NEWEST:
        sentence = f"written in schema {values['schema']}, this version reads up to {NEWEST}; upgrade dprnet"
        raise BadGallery(where, sentence, reason="newer_schema")
    values = {"preparation": "", **values}
    kinds = {"schema": int, "embedder": str, "size": int, "metric": str, "created": str, "preparation": str}
    wrong = [name for name, kind in kinds.items() if not isinstance(values.get(name), kind)]
    if wrong or not 1 <= values["size"] <= MAX_SIZE or values["metric"] != "cosine":
        raise BadGallery(where, f"damaged: '{(wrong or ['size or metric'])[0]}' is not as written by dprnet")
    return GalleryCard(**{field.name: values[field.name] for field in fields(GalleryCard)})
