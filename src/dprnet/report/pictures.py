"""The pictures a page shows: crops of views and photos of items, small, as ``data:`` URIs.

A page must work on a machine without a network and without the catalogue's folder, so every picture is inside it.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dprnet.core.errors import DprnetError
from dprnet.core.images import jpeg_bytes, read_image, resize
from dprnet.core.records import Image, Matches

PICK_SIDE = 360  # ours: pixels of the longer side; sharp at the size the page shows, also on dense screens
LOST_SIDE = 150
PHOTO_SIDE = 260
JPEG_QUALITY = 80

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What can be shown; whatever is missing gets a placeholder."""

    views: Mapping[int, Image] = field(default_factory=dict)
    """Crops by detection (row of ``picks.detections``): best views and some of those that lost."""
    photos: Mapping[str, Image] = field(default_factory=dict)
    """Photos of items by ``Match.photo``."""


def shrink(image: Image, side: int) -> Image:
    """The image with its longer side at most ``side`` pixels; never enlarged."""
    height, width = image.shape[:2]
    factor = min(1.0, side / max(height, width))
    if factor == 1.0:
        return image
    return resize(image, max(1, round(width * factor)), max(1, round(height * factor)))


def read_photos(matches: Matches) -> dict[str, Image]:
    """The photos of all matches that are files at hand, made small; addresses are never fetched."""
    photos: dict[str, Image] = {}
    for name in sorted({match.photo for items in matches.items for match in items if match.photo}):
        if "://" in name:
            continue
        try:
            photos[name] = shrink(read_image(Path(name)).image, PHOTO_SIDE)
        except DprnetError as error:
            _log.warning("the report shows no photo for %s", error)
    return photos


def data_uri(image: Image, side: int) -> str:
    """A JPEG inside an address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(shrink(image, side), JPEG_QUALITY)).decode("ascii")
