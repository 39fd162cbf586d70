"""Everything that is odd in a copy of Street2Shop, as sentences with file, entry and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image as Pil

from dprnet.core.errors import DprnetError
from dprnet.data.protocols import Problems
from dprnet.data.street2shop import CATEGORIES, Entry, Street2Shop, corners

KINDS = ("train_pairs", "test_pairs", "retrieval")
ADDRESSES = "photos/photos.txt"
EDGE = 2.0  # ours: pixels by which a box may leave its image


def check_street2shop(root: Path | str) -> tuple[str, list[str]]:
    """What is there in a few words, and all that is wrong (of each kind the first five and a count).

    Raises:
        MissingFile: there is no ``meta/json``.
    """
    made, found, counts = Street2Shop(root), Problems(), {"queries": 0, "shop photos": 0}
    asked: set[int] = set()
    for category in CATEGORIES:
        try:
            pairs = {kind: made.entries(kind, category) for kind in KINDS}
        except DprnetError as error:
            found.say("lists", str(error))
            continue
        _products(category, pairs, found)
        for kind in KINDS[:2]:
            _boxes(made, f"{kind}_{category}.json", pairs[kind], found)
        asked |= {entry["photo"] for entries in pairs.values() for entry in entries}
        counts["queries"] += len(pairs["test_pairs"])
        counts["shop photos"] += len(pairs["retrieval"])
    missing = sorted(asked - made.files.keys())
    addresses = _addresses(made.root / ADDRESSES, found) if missing else {}
    for photo in missing:
        told = f"; {ADDRESSES} line {addresses[photo]} has its address" if photo in addresses else ""
        found.say("missing images", f"photos/{photo:09d}.jpg does not exist{told}")
    return ", ".join(f"{count} {name}" for name, count in counts.items()), found.listed()


def _products(category: str, pairs: Mapping[str, Sequence[Entry]], found: Problems) -> None:
    train, test, sold = ({entry["product"] for entry in pairs[kind]} for kind in KINDS)
    for product in sorted(test - sold):
        found.say("products", f"test_pairs_{category}.json: product {product} has no photo in the shop")
    for product in sorted(train & test):
        found.say("leaks", f"train_pairs_{category}.json: product {product} is in the test pairs too")
    owner: dict[int, int] = {}
    for row, entry in enumerate(pairs["retrieval"]):
        if owner.setdefault(entry["photo"], entry["product"]) != entry["product"]:
            told = f"photo {entry['photo']} shows product {entry['product']} and product {owner[entry['photo']]}"
            found.say("one photo of two products", f"retrieval_{category}.json: entry {row}: {told}")


def _boxes(made: Street2Shop, name: str, entries: Sequence[Entry], found: Problems) -> None:
    """Boxes that leave their image: corners that were written as width and height."""
    for row, entry in enumerate(entries):
        place = made.files.get(entry["photo"])
        if place is None:
            continue
        try:
            with Pil.open(place) as opened:
                width, height = opened.size
        except Exception as error:  # Pillow raises nearly every type there is on broken files
            found.say("damaged images", f"photos/{place.name}: no image, or a damaged one ({type(error).__name__})")
            continue
        x1, y1, x2, y2 = corners(Path(name), row, entry)
        if min(x1, y1) < -EDGE or x2 > width + EDGE or y2 > height + EDGE:
            told = f"left {x1:g}, top {y1:g}, width {x2 - x1:g}, height {y2 - y1:g} leaves photo {entry['photo']}"
            sentence = f"{name}: entry {row}: the box {told} of {width} x {height} pixels; are these corners?"
            found.say("boxes outside their image", sentence)


def _addresses(path: Path, found: Problems) -> dict[int, int]:
    """Photo -> line of ``photos.txt`` (id,address) that says where it comes from."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        found.say(ADDRESSES, f"{ADDRESSES}: cannot be read as UTF-8 text ({type(error).__name__})")
        return {}
    known = {}
    for number, line in enumerate(lines, 1):
        photo, comma, _ = line.partition(",")
        if photo.isdigit() and len(photo) == 9 and comma:
            known[int(photo)] = number
        elif line.strip():
            found.say(
                ADDRESSES, f"{ADDRESSES} line {number}: wanted nine digits, a comma and an address: '{line[:40]}'"
            )
    return known
