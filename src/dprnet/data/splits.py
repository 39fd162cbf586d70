"""Which photos train, tune and test: fixed once, kept as files in the package, the same in every piece of work.

ccp       key = number of the photo     train 1-640, validation 641-700, test 701-800
luma      key = product                 test = the 40 products of ``luma_test_rule``; validation by product
clothing  key = sender                  all photos of a sender on one side: they may show one garment twice
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import get_args

from dprnet.data.labelled import Split

SPLITS: tuple[Split, ...] = get_args(Split)


@cache
def split_of(data_set: str) -> Mapping[str, Split]:
    """The split of every key (photo, product, sender) of a data set: ``ccp``, ``luma`` or ``clothing``.

    >>> split_of("ccp")["0640"], split_of("ccp")["0641"], split_of("ccp")["0701"]
    ('train', 'validation', 'test')
    """
    text = files("dprnet.data").joinpath("fixed_splits", f"{data_set}.csv").read_text(encoding="utf-8")
    found: dict[str, Split] = {}
    for row in csv.DictReader(text.splitlines()):
        split = next(name for name in SPLITS if name == row["split"])
        found[row["key"]] = split
    return found


def check_split(split: str) -> Split:
    """The split by its name.

    Raises:
        ValueError: there is no such split.
    """
    for name in SPLITS:
        if name == split:
            return name
    raise ValueError(f"split must be one of {', '.join(SPLITS)}, got '{split}'")


def luma_test_rule(pairs: Iterable[Mapping[str, str]]) -> set[str]:
    """The test products of ``luma``: those with a clean front/back pair and an even CRC-32 of their name.

    >>> pair = {"product": "mh03", "likely_recoloured": "0"}
    >>> luma_test_rule([pair]) == ({"mh03"} if zlib.crc32(b"mh03") % 2 == 0 else set())
    True
    >>> luma_test_rule([pair | {"likely_recoloured": "1"}])
    set()
    """
    clean = {pair["product"] for pair in pairs if pair["likely_recoloured"] == "0"}
    return {product for product in clean if zlib.crc32(product.encode()) % 2 == 0}


def sender_rule(sender: str) -> Split:
    """The split of a sender of ``clothing``, by a hash: of 100 senders about 15 test, 10 validate (ours).

    >>> sender_rule("204") == sender_rule("204")
    True
    """
    bucket = zlib.crc32(f"clothing/{sender}".encode()) % 100
    return "test" if bucket < 15 else "validation" if bucket < 25 else "train"


def luma_rule(product: str, test: set[str]) -> Split:
    """The split of a product of ``luma``: the test products are given, one in six of the rest validates (ours)."""
    if product in test:
        return "test"
    return "validation" if zlib.crc32(f"luma/{product}".encode()) % 6 == 0 else "train"
