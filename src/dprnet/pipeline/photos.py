"""Photos of a catalogue, read ahead of the networks: what is known by its content is not even decoded."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.errors import DprnetError, MissingFile
from dprnet.core.fetching import FetchLimits, fetch_bytes
from dprnet.core.images import read_image
from dprnet.core.records import Image
from dprnet.gallery import Item, Problem

CHUNK = 64  # ours: items a commit; enough to fill the embedder's batches, few enough to lose little
AHEAD = 2  # ours: chunks that are read while one is embedded
FETCHERS = 16  # ours: a server's answer is waited for, not computed
READERS = 4  # ours: decoding lets go of Python's lock, so threads use what the networks leave free
CONTENT_CHARS = 32  # ours: 128 bits of a SHA-256


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of an item."""

    path: Path | str
    content: str
    """Hash of the file and of what is done to it before embedding."""
    image: Image | None
    """(H, W, 3) uint8 RGB; None where the content was known already."""


def read_ahead(
    items: Sequence[Item],
    known: Mapping[str, Collection[str]],
    problems: list[Problem],
    *,
    preparation: str,
    short_side: int,
    fetch: FetchLimits | None = None,
) -> Iterator[list[tuple[Item, list[Photo]]]]:
    """Chunks of items with the photos that could be read, in order; those that could not be are problems.

    No photo is kept larger than it is wanted: a chunk of phone photos at full size would take gigabytes.

    Args:
        known: by item, the contents that need no decoding.
        fetch: what the photos that are addresses may cost.
    """
    source = iter(items)
    waiting: deque[list[tuple[Item, list[Future[Photo]]]]] = deque()
    remote = any(isinstance(photo, str) for item in items for photo in item.images)
    with ThreadPoolExecutor(FETCHERS if remote else READERS, thread_name_prefix="photos") as pool:
        try:
            while True:
                while len(waiting) <= AHEAD and (chunk := list(itertools.islice(source, CHUNK))):
                    waiting.append(
                        [
                            (item, [pool.submit(_read, p, known.get(item.item_id, ()), preparation, short_side, fetch)
                                    for p in item.images])
                            for item in chunk
                        ]
                    )  # fmt: skip
                if not waiting:
                    return
                yield [(item, _done(item, photos, problems)) for item, photos in waiting.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _done(item: Item, photos: Sequence[Future[Photo]], problems: list[Problem]) -> list[Photo]:
    read = []
    for path, photo in zip(item.images, photos, strict=True):
        try:
            read.append(photo.result())
        except DprnetError as error:
            problems.append(Problem(str(path), error.sentence))
    if not read:
        problems.append(Problem(item.item_id, "left out: none of its photos could be read"))
    return read


def _read(
    path: Path | str, known: Collection[str], preparation: str, short_side: int, fetch: FetchLimits | None
) -> Photo:
    if isinstance(path, str):
        data = fetch_bytes(path, fetch)
        content = hashlib.sha256(data + preparation.encode()).hexdigest()[:CONTENT_CHARS]
        return Photo(
            path, content, None if content in known else read_image(data, short_side=short_side, name=path).image
        )
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise MissingFile(path, f"cannot be opened ({error.strerror or error})") from None
    digest.update(preparation.encode())
    content = digest.hexdigest()[:CONTENT_CHARS]
    return Photo(path, content, None if content in known else read_image(path, short_side=short_side).image)
