"""What is wrong with a catalogue, as far as the gallery itself shows it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dprnet.core.records import Match
from dprnet.gallery import Gallery, Item
from dprnet.report.page import safe_link

EXAMPLES = 12  # ours: enough to see what they have in common
PICTURES = 5000  # ours: items whose pictures are compared, some 40 MB read
BATCH = 500

SENTENCES = {
    "no_picture": "no small picture was kept, so pages show none",
    "same_picture": "the same photo under several ids: of such items a search finds one by chance",
    "no_title": "no title, so pages show the id",
    "no_category": "no category, so filters by category do not find them",
    "no_link": "no link that a page may show (http or https), so nobody can buy them",
    "no_price": "no price",
    "same_title": "the same title and price under several ids: perhaps one item twice",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault."""

    code: str
    sentence: str
    count: int
    """Items that have it."""
    item_ids: tuple[str, ...]
    """Some of them; of doubles, one after the other."""


def examine(gallery: Gallery, items: Sequence[Item]) -> list[Finding]:
    """All kinds of faults that are there, the gravest first."""
    faulty: dict[str, list[str]] = {code: [] for code in SENTENCES}
    by_title: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in items:
        for code, has in (
            ("no_title", bool(item.title.strip())),
            ("no_category", bool(item.category.strip())),
            ("no_link", bool(safe_link(item.url))),
            ("no_price", bool(item.price.strip())),
        ):
            if not has:
                faulty[code].append(item.item_id)
        if item.title.strip():
            by_title[item.title.strip().casefold(), item.price].append(item.item_id)
    by_picture: dict[bytes, list[str]] = defaultdict(list)
    for item_id, digest in _pictures(gallery, items[:PICTURES]):
        if digest is None:
            faulty["no_picture"].append(item_id)
        else:
            by_picture[digest].append(item_id)
    faulty["same_title"] = [item_id for same in by_title.values() if len(same) > 1 for item_id in same]
    faulty["same_picture"] = [item_id for same in by_picture.values() if len(same) > 1 for item_id in same]
    return [
        Finding(code, SENTENCES[code], len(item_ids), tuple(item_ids[:EXAMPLES]))
        for code, item_ids in faulty.items()
        if item_ids
    ]


def _pictures(gallery: Gallery, items: Sequence[Item]) -> Iterator[tuple[str, bytes | None]]:
    """Of each item the digest of its first picture, or None where none was kept."""
    for start in range(0, len(items), BATCH):
        some = items[start : start + BATCH]
        kept = gallery.thumbnails([Match(item.item_id, 0.0, photo=str(item.images[0])) for item in some if item.images])
        for item in some:
            jpeg = kept.get((item.item_id, str(item.images[0]))) if item.images else None
            yield item.item_id, hashlib.sha256(jpeg).digest() if jpeg else None
