"""A catalogue's photos embedded on Ray: an actor a worker, each with a process of its own that may die.

What is new and what is written is decided in the process that called (:func:`dprnet.pipeline.indexing.index_with`), as
where that process embeds everything itself: it alone writes. A worker gets a portion of items with the contents that
are known, and answers with vectors, thumbnails and problems; photos are read where they are embedded.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.batch.config import CatalogueConfig
from dprnet.batch.pool import OneAtATime
from dprnet.batch.ray_cluster import Cluster, cluster_of
from dprnet.core.addresses import is_address
from dprnet.core.bundle import Bundle
from dprnet.core.errors import DprnetError
from dprnet.core.fetching import FetchLimits
from dprnet.core.progress import SILENT, Progress
from dprnet.gallery import Item, Problem
from dprnet.pipeline import Indexed, index_catalogue, index_with
from dprnet.pipeline.photos import Answer, Asked, Photo, preparation_of

Told = dict[str, Any]
"""An item or an answer as JSON."""


def embed_catalogue(
    catalogue: Path | str,
    gallery: Path | str,
    config: CatalogueConfig,
    *,
    fresh: bool = False,
    retire: float | None = None,
    progress: Progress = SILENT,
) -> Indexed:
    """:func:`dprnet.pipeline.index_catalogue`, in this process or on Ray.

    Args:
        fresh: embed every photo again.
        retire: remove items that the catalogue has no row of, if they are at most this share of the gallery.

    Raises:
        BadCatalogue, BadGallery, MissingFile, BadBundle: as where this process embeds.
        MissingExtra: Ray is not installed.
        BadRecipe: the cluster is too small or cannot be reached, or no worker can be started; nothing was made then.
    """
    fetch = FetchLimits(private=config.private) if config.addresses else None
    kept: dict[str, Any] = {"fresh": fresh, "retire": retire, "fetch": fetch, "progress": progress}
    if config.on == "here":
        return index_catalogue(
            catalogue, gallery, bundle=config.bundle, device=config.device, crop_photos=config.crop_photos, **kept
        )
    bundle = Bundle.from_pretrained(config.bundle)
    with cluster_of(config) as cluster:
        return index_with(PhotosOnRay(cluster, config, bundle, fetch), catalogue, gallery, **kept)


@dataclass(frozen=True, slots=True)
class EmbedJob:
    """Embeds portions of a catalogue in a worker's process, by what embeds a whole one in a single process."""

    config: CatalogueConfig
    fetch: FetchLimits | None

    def load(self, threads: int) -> Callable[[list[Told]], list[Told]]:
        """See :class:`dprnet.batch.worker.Job`."""
        from dprnet.detect import Detector
        from dprnet.embed.embedder import Embedder
        from dprnet.pipeline.photos import PhotosHere

        os.environ["OMP_NUM_THREADS"] = str(threads)  # what both runtimes go by; torch itself may not be needed
        bundle, device = Bundle.from_pretrained(self.config.bundle), self.config.device
        detector = Detector.from_bundle(bundle, device=device) if self.config.crop_photos else None
        maker = PhotosHere(Embedder.from_bundle(bundle, device=device), detector, self.fetch)
        return lambda asked: [_told(answer) for answer in maker([_asked(one) for one in asked])]


@dataclass(slots=True)
class _Portion:
    """Some items; see :class:`dprnet.batch.pool.Task`."""

    items: list[Told]
    attempts: int = 0

    @property
    def message(self) -> tuple[list[Told]]:
        """What its worker is told."""
        return (self.items,)

    def __str__(self) -> str:
        return f"item {self.items[0]['item_id']} and {len(self.items) - 1} more"


class RayPhotos:
    """The networks in a process of this actor; called with one portion at a time."""

    def __init__(self, config: CatalogueConfig, fetch: FetchLimits | None, threads: int) -> None:
        self._attempts = config.attempts
        self._embed: OneAtATime[_Portion] = OneAtATime(config, EmbedJob(config, fetch), threads)

    def __call__(self, entry: Mapping[str, str]) -> dict[str, str]:
        """Answers as JSON, one for each item; or why nothing can be embedded at all."""
        try:
            return {"answers": json.dumps(self._answers(json.loads(entry["items"]))), "refused": ""}
        except DprnetError as error:  # of the bundle, as this machine sees it
            return {"answers": "[]", "refused": str(error)}

    def _answers(self, items: list[Told]) -> list[Told]:
        """A portion whose process was lost is tried again in halves, until what is at fault stands alone."""
        found, (_, sentence) = self._embed(_Portion(items, attempts=self._attempts - 1 if len(items) > 1 else 0))
        if found is not None:
            answers: list[Told] = found
            return answers
        if len(items) > 1:
            middle = len(items) // 2
            return [answer for part in (items[:middle], items[middle:]) for answer in self._answers(part)]
        name = items[0]["item_id"]
        return [{"item_id": name, "photos": [], "problems": [(name, f"left out: {sentence}")]}]

    def dismiss(self) -> None:
        """Kill the process."""
        self._embed.dismiss()


class PhotosOnRay:
    """Makes photos in actors of Ray; see :class:`dprnet.pipeline.photos.Maker`."""

    def __init__(self, cluster: Cluster, config: CatalogueConfig, bundle: Bundle, fetch: FetchLimits | None) -> None:
        self._cluster, self._config, self._bundle, self._fetch = cluster, config, bundle, fetch
        self.identity = bundle.embedder_identity
        self.preparation = preparation_of(config.crop_photos)

    @cached_property
    def size(self) -> int:
        """See :class:`dprnet.pipeline.photos.Maker`; the network itself says it."""
        from dprnet.embed.embedder import Embedder

        return Embedder.from_bundle(self._bundle).size

    def __call__(self, asked: Sequence[Asked]) -> Iterator[Answer]:
        """See :class:`dprnet.pipeline.photos.Maker`."""
        arguments = {"config": self._config, "fetch": self._fetch, "threads": self._cluster.threads}
        for wave in self._cluster.waves(_portions(asked, self._config.portion)):
            waiting = {one.item.item_id: one.item for portion in wave for one in portion}
            entries = [{"items": json.dumps([_entry(one) for one in portion])} for portion in wave]
            for answer in self._cluster.answers(entries, RayPhotos, arguments):
                for told in json.loads(answer["answers"]):
                    item = waiting.pop(told["item_id"], None)
                    if item is not None:  # Ray may do a portion again whose machine was lost
                        yield _answer(told, item)
            assert not waiting, f"Ray gave no answer for {len(waiting)} items"


def _portions(asked: Iterable[Asked], size: int) -> Iterator[list[Asked]]:
    left = iter(asked)
    while portion := list(itertools.islice(left, size)):
        yield portion


def _entry(asked: Asked) -> Told:
    places = [str(photo.absolute()) if isinstance(photo, Path) else photo for photo in asked.item.images]
    return {"item_id": asked.item.item_id, "images": places, "category": asked.item.category, "known": [*asked.known]}


def _asked(told: Told) -> Asked:
    images = tuple(place if is_address(place) else Path(place) for place in told["images"])
    return Asked(Item(told["item_id"], images, told["category"]), frozenset(told["known"]))


def _told(answer: Answer) -> Told:
    """An answer to travel; photos by their place in the item."""
    places = {photo: place for place, photo in enumerate(answer.item.images)}
    photos = [
        {
            "place": places[photo.path],
            "content": photo.content,
            "vector": "" if photo.vector is None else _text(photo.vector.astype(np.float32).tobytes()),
            "thumbnail": _text(photo.thumbnail),
        }
        for photo in answer.photos
    ]
    problems = [(problem.where, problem.sentence) for problem in answer.problems]
    return {"item_id": answer.item.item_id, "photos": photos, "problems": problems}


def _answer(told: Told, item: Item) -> Answer:
    """An answer that has travelled; its photos are called as the catalogue calls them."""
    names = {str(photo.absolute()): str(photo) for photo in item.files}
    photos = tuple(
        Photo(
            item.images[one["place"]],
            one["content"],
            np.frombuffer(base64.b64decode(one["vector"]), np.float32) if one["vector"] else None,
            base64.b64decode(one["thumbnail"]),
        )
        for one in told["photos"]
    )
    problems = tuple(Problem(names.get(where, where), sentence) for where, sentence in told["problems"])
    return Answer(item, photos, problems)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
