"""What may be wrong with a gallery: every row is read, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dprnet.core.addresses import is_address
from dprnet.core.errors import printable
from dprnet.core.records import BoolArray
from dprnet.gallery.gallery import Gallery

COLUMNS = ("item_id", "photo", "category", "title", "url", "price", "metadata", "content", "vector")
LENGTH_OFF = 1e-3  # ours: float32 at length 1 is off by some 1e-7; half precision, which no store uses, by 1e-3
SHOWN = 3  # ours: ids that a finding names


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a gallery."""

    grave: bool
    """Answers are wrong until it is mended; otherwise it is only worth knowing."""
    sentence: str


def examine(gallery: Gallery, exists: Callable[[str], bool] = lambda path: Path(path).is_file()) -> Iterator[Finding]:
    """Read every row of the newest version and tell what is wrong, with the way out.

    Args:
        exists: whether the file of a photo is there; photos at addresses are not asked for.
    """
    seen: set[tuple[str, str]] = set()
    texts: dict[str, tuple[str, ...]] = {}
    bad, twice, unlike, unknown, gone = _Ids(), _Ids(), _Ids(), _Ids(), _Ids()
    for batch in gallery.scan(COLUMNS):
        vectors = batch.column("vector").flatten().to_numpy().reshape(-1, gallery.size)
        for row, wrong in zip(batch.drop_columns(["vector"]).to_pylist(), _bad(vectors).tolist(), strict=True):
            key, told = (row["item_id"], row["photo"]), tuple(row[name] for name in COLUMNS[2:7])
            bad.add(row["item_id"], wrong)
            twice.add(row["item_id"], key in seen)
            unlike.add(row["item_id"], texts.setdefault(row["item_id"], told) != told)
            unknown.add(row["item_id"], not row["content"])
            gone.add(row["item_id"], not is_address(row["photo"]) and not exists(row["photo"]))
            seen.add(key)
    again = "index the catalogue again with `dprnet index CATALOGUE --fresh`"
    yield Finding(False, f"{len(texts)} items, {len(seen)} photos, version {gallery.version}: every row was read")
    if bad:
        yield Finding(True, f"{bad}: vectors that are no direction of length 1; {again}, or remove these items")
    if twice:
        yield Finding(True, f"{twice}: one photo stands there twice; {again}")
    if unlike:
        yield Finding(True, f"{unlike}: photos of one item disagree about its texts; {again}")
    if unknown:
        yield Finding(False, f"{unknown}: nobody knows what they were made of; the next indexing embeds them again")
    if gone:
        yield Finding(False, f"{gone}: the photo's file is gone; searches work, reports show the small picture kept")


def _bad(vectors: object) -> BoolArray:
    array = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(array, axis=1)
    bad: BoolArray = ~np.isfinite(array).all(axis=1) | ~(np.abs(lengths - 1) < LENGTH_OFF)
    return bad


class _Ids:
    """How many photos, and the first few items they are of."""

    def __init__(self) -> None:
        self._count = 0
        self._first: dict[str, None] = {}

    def add(self, item_id: str, there: bool) -> None:
        if there:
            self._count += 1
            if len(self._first) < SHOWN:
                self._first[item_id] = None

    def __bool__(self) -> bool:
        return self._count > 0

    def __str__(self) -> str:
        return f"{self._count} photos (of {', '.join(printable(one, 60) for one in self._first)})"
