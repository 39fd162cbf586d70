"""Everything that is odd in a copy of DeepFashion consumer-to-shop, as sentences with file, line and value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dprnet.core.errors import DprnetError
from dprnet.data.deepfashion_c2s import (
    BOXES,
    LANDMARKS,
    PAIRS,
    PARTITION,
    PUBLISHED,
    SPLITS,
    ConsumerToShop,
)
from dprnet.data.deepfashion_lists import box_of, quality_of, read_list
from dprnet.data.protocols import Problems


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
    split_of: dict[str, tuple[str, int]] = {}
    images: dict[str, int] = {}
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
    for image, line in images.items():
        if not made.path(image).is_file():
            found.say("missing images", f"{PARTITION} line {line}: Img/{image} does not exist")
    boxed = _each(made.root / BOXES, ("image_name",), box_of, found)
    _each(made.root / LANDMARKS, ("image_name",), quality_of, found)
    for image in images if boxed else ():
        if image not in boxed:
            found.say("boxes", f"{BOXES}: {image} of the partition has no box")
    told = f"{len(rows)} of {PAIRS} pairs, {len(split_of)} items, {len(images)} photos"
    if len(rows) == PAIRS:
        told += _counts(made, found)
    return told, found.listed()


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


def _each(path: Path, columns: tuple[str, ...], read: Callable[..., Any], found: Problems) -> set[str]:
    """Names of the images of a list, every row of it tried."""
    names = set()
    try:
        for line, fields in read_list(path, columns):
            try:
                read(path, line, fields)
                names.add(fields[0])
            except DprnetError as error:
                found.say(f"rows of {path.name}", str(error))
    except DprnetError as error:
        found.say(path.name, str(error))
    return names
