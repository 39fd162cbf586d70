"""Where the pieces of pasted scenes come from: decks of photos, dealt for ever, and the shop's photos of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dprnet.core.errors import BadDataset
from dprnet.core.records import Image
from dprnet.data import ccp, clothing, luma
from dprnet.data.cutouts import Cutout, bag_from_ccp, from_ccp, from_clothing, from_luma
from dprnet.data.labelled import Photo

if TYPE_CHECKING:
    from dprnet.data.pasting import PastingSettings


@dataclass(slots=True)
class Deck:
    """Photos in random order, dealt one after another for ever; those that give no clean cut-out are dropped."""

    deal: list[Callable[[], Cutout | None]]
    rng: np.random.Generator
    at: int = 0

    def next(self) -> Cutout:
        """The cut-out of the next photo that gives one.

        Raises:
            BadDataset: no photo of the deck gives a clean cut-out.
        """
        while self.deal:
            if self.at == len(self.deal):
                self.rng.shuffle(self.deal)
                self.at = 0
            cutout = self.deal[self.at]()
            if cutout is not None:
                self.at += 1
                return cutout
            del self.deal[self.at]
        raise BadDataset("pasted scenes", "no photo gave a clean cut-out; check the data with check_ccp and the like")


@dataclass(slots=True)
class Sources:
    """All that scenes of one set are pasted from."""

    decks: tuple[Deck, ...]
    bags: Deck
    streets: list[Path]
    shop: dict[str, list[Photo]] = field(default_factory=dict)
    """Photos of each identity that a shop would show."""
    shown: dict[str, Image] = field(default_factory=dict)
    """Garments of street photos before white: the shop photos of those that have no other."""


def open_sources(root: Path, settings: PastingSettings) -> Sources:
    """Shuffle the photos of the wanted split into decks; no photo is read yet.

    Raises:
        MissingFile, BadDataset: as the readers of the three data sets.
    """
    rng = np.random.default_rng(settings.seed)
    names = ccp.label_names(ccp.folder_of(root))
    streets = ccp.photo_paths(root, settings.split)
    models = luma.photos(root, settings.split)
    garments = clothing.photos(root, settings.split, only_garments=True)

    def some(count: int, size: int) -> Iterator[int]:
        return (int(number) for number in rng.permutation(size)[:count])

    people = [lambda i=i: from_ccp(streets[i], names) for i in some(settings.people, len(streets))]
    worn = [lambda i=i: from_luma(models[i]) for i in some(settings.models, len(models))]
    laid = [lambda i=i: from_clothing(garments[i]) for i in some(settings.garments, len(garments))]
    bags = [lambda i=i: bag_from_ccp(streets[i], names) for i in some(settings.people, len(streets))]
    shop: dict[str, list[Photo]] = {}
    for photo in [*models, *garments]:
        shop.setdefault(photo.instance, []).append(photo)
    decks = tuple(Deck(list(deal), rng) for deal in (people, worn, laid))
    return Sources(decks, Deck(list(bags), rng), streets, shop)
