"""Who is in a source of frames, and what they wear."""

from __future__ import annotations

from dataclasses import dataclass

from dprnet.data.world.figure import Body
from dprnet.data.world.garments import Garment, draw_garment
from dprnet.data.world.seeds import Rng, chance, choose, rng_of


@dataclass(frozen=True)
class Cast:
    """The people of one source (a video, or a handful of single frames) and what they wear."""

    name: str
    bodies: tuple[Body, ...]
    outfits: tuple[tuple[Garment, ...], ...]
    tucked: tuple[bool, ...]
    first: int
    """Number of the first garment within the set; the others follow."""
    hung: Garment | None = None
    """A garment on show that nobody wears."""

    @property
    def garments(self) -> tuple[Garment, ...]:
        """All garments, in the order of their numbers."""
        shown = () if self.hung is None else (self.hung,)
        return tuple(garment for outfit in self.outfits for garment in outfit) + shown


def draw_cast(
    split: str, seed: int, name: str, first: int, crowd: tuple[float, float, float], shown: float = 0.0
) -> Cast:
    """The people of a source; ``crowd`` weighs one, two and three of them, ``shown`` is how often a garment hangs."""
    rng = rng_of(split, seed, name, "cast")
    people = int(choose(rng, dict(zip(("1", "2", "3"), crowd, strict=True))))
    bodies = tuple(Body.draw(rng) for _ in range(people))
    outfits = tuple(_outfit(rng, split, seed, name, k) for k in range(people))
    tucked = tuple(chance(rng, 0.35) for _ in range(people))
    hung = draw_garment(split, seed, name, "hung") if chance(rng, shown) else None
    return Cast(name, bodies, outfits, tucked, first, hung)


def _outfit(rng: Rng, split: str, seed: int, name: str, person: int) -> tuple[Garment, ...]:
    def draw(coarse: str) -> Garment:
        return draw_garment(split, seed, name, person, coarse, coarse=coarse)

    if chance(rng, 0.24):
        outfit = [draw("dress")]
    else:
        outfit = [draw(choose(rng, {"trousers": 5.0, "shorts": 2.5, "skirt": 2.8})), draw("top")]
    if chance(rng, 0.36):
        outfit.append(draw("outerwear"))
    return tuple(outfit)
