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
from dprnet.core.images import jpeg_bytes, read_image, shrink
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
    photos: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    """Small JPEG files of items by ``(item_id, photo)`` of the match."""


def read_photos(matches: Matches, known: Mapping[tuple[str, str], bytes] | None = None) -> dict[tuple[str, str], bytes]:
    """The photos of all matches, small: those ``known`` and those that are files; addresses are never fetched."""
    photos = dict(known or {})
    for item_id, photo in sorted({(match.item_id, match.photo) for items in matches.items for match in items}):
        if (item_id, photo) in photos or not photo or "://" in photo:
            continue
        try:
            photos[item_id, photo] = jpeg_bytes(shrink(read_image(Path(photo)).image, PHOTO_SIDE), JPEG_QUALITY)
        except DprnetError as error:
            _log.warning("the report shows no photo for %s", error)
    return photos


def data_uri(picture: Image | bytes, side: int) -> str:
    """A JPEG (made of an image, or as it is) inside an address."""
    jpeg = picture if isinstance(picture, bytes) else jpeg_bytes(shrink(picture, side), JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
