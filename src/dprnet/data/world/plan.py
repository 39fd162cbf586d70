"""What a world holds, before anything is drawn: its settings, its shelves, who wears what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dprnet.core.config import Settings
from dprnet.data.world.cast import Cast, draw_cast
from dprnet.data.world.garments import Garment, draw_garment, look_alike
from dprnet.data.world.screenplay import FRAMES_OF_A_SOURCE
from dprnet.data.world.seeds import rng_of, seed_of

Weight = Annotated[float, Field(ge=0)]


VERSION = "1"
"""Raise it with every change that changes a pixel or a table: a set's id depends on it."""


TEXTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class WorldSettings(Settings):
    """What to make; the same settings make the same set, byte for byte, however many processes work."""

    split: Literal["train", "validation", "test", "demo"] = "train"
    """Part of every garment's seed: splits share no garment."""
    seed: int = 0
    videos: int = Field(default=0, ge=0)
    seconds: float = Field(default=15.0, gt=0)
    """Mean length of a video; lengths lie between 2/3 and 4/3 of it (ours: 10 to 20 s)."""
    fps: int = Field(default=12, ge=1, le=60)  # ours: half of what cameras do; the flow looks at two frames a second
    stills: int = Field(default=0, ge=0)
    """Single frames, six of each source, for training."""
    items: int = Field(default=0, ge=0)
    """Items of the catalogue at least; those worn and their look-alikes are always in it."""
    worn_photos: bool = True
    """Each item also in a photo on a model."""
    lookalike_every: int = Field(default=5, ge=0)  # the issue: one garment in five
    no_item_every: int = Field(default=10, ge=0)  # the issue: one garment in ten
    crowd: tuple[Weight, Weight, Weight] | None = None
    """Weights of one, two and three people in a source; a person wears 2.1 garments on average. None: 6, 3, 1 in
    videos and 5, 3.5, 1.5 in single frames (ours)."""
    texture_folder: str = ""
    """Photos whose patches serve as backdrops; empty: all backdrops are drawn."""

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.crowd is not None and not sum(self.crowd) > 0:
            raise ValueError(f"crowd is {self.crowd}; one of the three weights must be above 0")
        return self


@dataclass(frozen=True)
class Shelf:
    """An item of the shop and the garment it shows."""

    item_id: str
    garment: Garment
    kinds: tuple[str, ...]
    """Which photos: ``flat``, ``back``, ``worn``."""


@dataclass(frozen=True)
class Role:
    """A garment of the set: who it is and what the shop has of it."""

    instance: int
    garment: Garment
    item_id: str | None
    lookalike: bool


@dataclass(frozen=True)
class Plan:
    """All that will be made, before a pixel is drawn."""

    casts: tuple[Cast, ...]
    roles: tuple[Role, ...]
    """By instance: role k has instance k."""
    shelves: tuple[Shelf, ...]


def plan_world(settings: WorldSettings) -> Plan:
    """Decide all garments, items and look-alikes of a world."""
    sources = settings.videos or math.ceil(settings.stills / FRAMES_OF_A_SOURCE)
    crowd = settings.crowd or ((6.0, 3.0, 1.0) if settings.videos else (5.0, 3.5, 1.5))
    casts: list[Cast] = []
    roles: list[Role] = []
    shelves: list[Shelf] = []

    def shelve(garment: Garment) -> str:
        item_id = f"{settings.split[:2].upper()}{settings.seed % 100:02d}-{len(shelves):05d}"
        kinds = ["flat", "worn"] if settings.worn_photos else ["flat"]
        if rng_of("photos", item_id).random() < 0.3:
            kinds.append("back")
        shelves.append(Shelf(item_id, garment, tuple(kinds)))
        return item_id

    for number in range(sources):
        cast = draw_cast(
            settings.split, settings.seed, f"v{number:05d}", len(roles), crowd, 0.0 if settings.videos else 0.3
        )
        casts.append(cast)
        for garment in cast.garments:
            k = len(roles)
            # Which of ten or five has no item or a look-alike is drawn, how many have is exact.
            nothing = _one_of(k, settings.no_item_every, settings, "none")
            twin = _one_of(k, settings.lookalike_every, settings, "twin")
            item_id = None if nothing else shelve(garment)
            if twin:
                shelve(look_alike(garment, settings.split, settings.seed, k))
            roles.append(Role(k, garment, item_id, twin))
    while len(shelves) < settings.items:
        shelve(draw_garment(settings.split, settings.seed, "only in the shop", len(shelves)))
    return Plan(tuple(casts), tuple(roles), _shuffled(shelves, settings))


def _one_of(k: int, every: int, settings: WorldSettings, what: str) -> bool:
    return every > 0 and k % every == seed_of(what, settings.split, settings.seed, k // every) % every


def _shuffled(shelves: list[Shelf], settings: WorldSettings) -> tuple[Shelf, ...]:
    """Garments in an order that says nothing about which of them are worn."""
    order = rng_of("shelves", settings.split, settings.seed).permutation(len(shelves))
    return tuple(shelves[k] for k in order)
