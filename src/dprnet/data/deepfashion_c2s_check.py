"""Everything that is odd in a copy of DeepFashion consumer-to-shop, as sentences with file, line and value.

Beside what a reader refuses, the known traps: one garment under several ids (found where two items share a shop photo,
byte for byte), a directory that the lists call otherwise (``Summer_Suit``, ``Summer_Wear``), boxes in another form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image as Pil

from dprnet.core.errors import DprnetError
from dprnet.data.deepfashion_c2s import (
    BOXES,
    ITEM_ATTRIBUTES,
    ITEMS,
    LANDMARKS,
    PAIRS,
    PARTITION,
    PUBLISHED,
    SPLITS,
    ConsumerToShop,
)
from dprnet.data.deepfashion_lists import Fields, attributes_of, box_of, quality_of, read_items, read_list
from dprnet.data.protocols import Problems

EDGE = 2.0  # ours: pixels by which a box may leave its image

Known = Mapping[str, tuple[int, Any]]
"""First field of a row -> its line and what the row says."""


def check_deepfashion_c2s(root: Path | str) -> tuple[str, list[str]]:
    """What is there in a few words, and all that is wrong (of each kind the first five and a count).

    Raises:
        MissingFile: there is no partition.
    """
    made, found = ConsumerToShop(root), Problems()
    try:
        rows = list(read_list(made.root / PARTITION, ("image_pair_name_1", "image_pair_name_2")))
    except DprnetError as error:
        return "partition cannot be read", [str(error)]
    items, images, shops = _partition(rows, found)
    places = _places(made, images, found)
    _twins(shops, places, found)
    boxed = _each(made.root / BOXES, ("image_name",), box_of, found)
    _each(made.root / LANDMARKS, ("image_name",), quality_of, found)
    for image in images if boxed else ():
        if image not in boxed:
            found.say("boxes", f"{BOXES}: {image} of the partition has no box")
    _check_boxes(made, boxed, found)
    _check_items(made, items, found)
    told = f"{len(rows)} of {PAIRS} pairs, {len(items)} items, {len(images)} photos"
    if len(rows) == PAIRS:
        told += _counts(made, found)
    return told, found.listed()


def _partition(rows: list[Fields], found: Problems) -> tuple[dict[str, int], dict[str, int], dict[str, str]]:
    """Of the partition: line of each item and of each image, and the item of each shop photo."""
    split_of: dict[str, tuple[str, int]] = {}
    images: dict[str, int] = {}
    shops: dict[str, str] = {}
    for line, fields in rows:
        where = f"{PARTITION} line {line}"
        if len(fields) != 4 or fields[3] not in SPLITS:
            found.say("rows", f"{where}: wanted consumer, shop, item_id and train|val|test, got {fields}")
            continue
        consumer, shop, item, split = fields
        before = split_of.setdefault(item, (split, line))
        if before[0] != split:
            found.say("splits", f"{where}: item {item} is in '{split}', in line {before[1]} in '{before[0]}'")
        for image in (consumer, shop):
            if f"/{item}/" not in f"/{image}":
                found.say("items", f"{where}: {image} does not lie in the folder of its item {item}")
            images.setdefault(image, line)
        shops.setdefault(shop, item)
    return {item: line for item, (_, line) in split_of.items()}, images, shops


def _places(made: ConsumerToShop, images: Mapping[str, int], found: Problems) -> dict[str, Path]:
    """The files of the images that are there."""
    places = {}
    for image, line in images.items():
        place = made.path(image)
        if not place.is_file():
            found.say("missing images", f"{PARTITION} line {line}: Img/{image} does not exist")
            continue
        places[image] = place
        if not place.as_posix().endswith(f"/{image}"):
            told = f"{image} lies in '{place.parent.parent.name}'; the one is read for the other"
            found.say("directories of another name", f"{PARTITION} line {line}: {told}")
    return places


def _twins(shops: Mapping[str, str], places: Mapping[str, Path], found: Problems) -> None:
    """Items that share a shop photo: one garment under two ids, so a right answer would count as wrong."""
    sizes: dict[int, list[str]] = {}
    for shop in shops:
        if shop in places:
            sizes.setdefault(places[shop].stat().st_size, []).append(shop)
    for alike in sizes.values():
        first: dict[bytes, str] = {}
        for shop in alike if len({shops[shop] for shop in alike}) > 1 else ():
            other = first.setdefault(hashlib.sha256(places[shop].read_bytes()).digest(), shop)
            if shops[other] != shops[shop]:
                told = f"{shop} of item {shops[shop]} is the same file as {other} of item {shops[other]}"
                found.say("one garment under several ids", f"{told}: one garment under two ids")


def _check_boxes(made: ConsumerToShop, boxed: Known, found: Problems) -> None:
    for image, (line, (x1, y1, x2, y2)) in boxed.items():
        place = made.path(image)
        if not place.is_file():
            continue
        try:
            with Pil.open(place) as opened:
                width, height = opened.size
        except Exception as error:  # Pillow raises nearly every type there is on broken files
            found.say("damaged images", f"{image}: no image, or a damaged one ({type(error).__name__})")
            continue
        if min(x1, y1) < -EDGE or x2 > width + EDGE or y2 > height + EDGE:
            told = f"the box {x1:g} {y1:g} {x2:g} {y2:g} leaves {image} of {width} x {height} pixels"
            found.say("boxes outside their image", f"{BOXES} line {line}: {told}; wanted corners x_1 y_1 x_2 y_2")


def _check_items(made: ConsumerToShop, items: Mapping[str, int], found: Problems) -> None:
    """The list of items and their attributes, where they are there."""
    if (made.root / ITEMS).is_file():
        listed: dict[str, int] = {}
        try:
            for line, fields in read_items(made.root / ITEMS):
                before = listed.setdefault(fields[0], line)
                if before != line:
                    found.say("listed items", f"{ITEMS} line {line}: {fields[0]} again, first in line {before}")
        except DprnetError as error:
            found.say(ITEMS, str(error))
        for item, line in items.items() if listed else ():
            if item not in listed:
                found.say("unlisted items", f"{PARTITION} line {line}: item {item} is not in {ITEMS}")
    if (made.root / ITEM_ATTRIBUTES).is_file():
        try:
            count = len(made.attributes)
        except DprnetError as error:
            found.say("attributes", str(error))
            return
        read = partial(attributes_of, count=count)
        _each(made.root / ITEM_ATTRIBUTES, ("item_id", "attribute_labels"), read, found)


def _counts(made: ConsumerToShop, found: Problems) -> str:
    told = ""
    for which in ("test", "val+test"):
        splits = {"test"} if which == "test" else {"validation", "test"}
        rows = [pair for pair in made.pairs if pair.split in splits]
        counts = (len(rows), len({pair.shop for pair in rows}))
        if counts != PUBLISHED[which]:
            found.say("counts", f"{PARTITION}: {which} has (queries, gallery) {counts}, published {PUBLISHED[which]}")
        told += f"; {which}: {counts[0]} query rows ({len({pair.consumer for pair in rows})} photos) in {counts[1]}"
    return told


def _each(
    path: Path, columns: tuple[str, ...], read: Callable[..., Any], found: Problems
) -> dict[str, tuple[int, Any]]:
    """What the rows of a list say, every row of it tried."""
    known = {}
    try:
        for line, fields in read_list(path, columns):
            try:
                known[fields[0]] = (line, read(path, line, fields))
            except DprnetError as error:
                found.say(f"rows of {path.name}", str(error))
    except DprnetError as error:
        found.say(path.name, str(error))
    return known
