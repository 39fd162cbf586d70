"""What a garment is: class, cut, print and colours, drawn from a generator; lengths in body heights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dprnet.core.classes import DEEPFASHION2, class_index
from dprnet.data.world.colours import CLOTH, Colour, luminance, pick_name, shade_of
from dprnet.data.world.cuts import CUTS
from dprnet.data.world.seeds import Rng, between, chance, choose, rng_of

# DeepFashion2's classes and how often each is drawn (ours: all six coarse classes often enough to be learned).
CLASSES = {
    "short sleeve top": 18.0,
    "long sleeve top": 20.0,
    "vest": 5.0,
    "sling": 4.0,
    "short sleeve outwear": 2.0,
    "long sleeve outwear": 18.0,
    "shorts": 12.0,
    "trousers": 20.0,
    "skirt": 13.0,
    "short sleeve dress": 6.0,
    "long sleeve dress": 5.0,
    "vest dress": 5.0,
    "sling dress": 4.0,
}
PRINTS = {
    "plain": 34.0,
    "stripes": 9.0,
    "checks": 9.0,
    "dots": 6.0,
    "floral": 9.0,
    "logo": 8.0,
    "text": 7.0,
    "knit": 7.0,
    "blocks": 5.0,
    "abstract": 5.0,
    "graphic": 6.0,
}
WORDS = ("STUDIO", "NORTH", "1987", "OCEAN", "RIDE", "bloom", "Paris", "COAST", "sunday", "TEAM", "wild", "Nova", "87")


@dataclass(frozen=True)
class Print:
    """How the cloth is coloured."""

    kind: str
    names: tuple[str, str, str]
    """Names of base, second and third colour."""
    colours: tuple[Colour, Colour, Colour]
    scale: float
    """Size of the pattern's repeat, relative to its usual size."""
    turned: float
    """Variant in [0, 1): direction of stripes, kind of check, shape of flowers."""
    seed: int
    """Places of flowers and patches, and the word."""


@dataclass(frozen=True)
class Garment:
    """One garment, the same on a body, on a hanger and in a shop photo."""

    name: str
    """DeepFashion2's class name."""
    print: Print
    sleeve: float
    """Share of the arm that is covered, 0 to 1."""
    length: float
    """Height above the floor at which it ends, in body heights (0.53 is the hip)."""
    ease: float
    """Room between cloth and body, in body heights."""
    flare: float
    """How much wider the hem is than the hip, as a factor (trousers: than the knee)."""
    neckline: str
    front: str
    """``closed``, ``buttons``, ``zip`` or ``open``."""
    details: frozenset[str]
    """``pocket``, ``kangaroo``, ``cuffs``, ``ribs``, ``belt``, ``pleats``, ``seams``, ``raglan``, ``stripe``."""
    seed: int

    @property
    def coarse(self) -> str:
        """Coarse class, one of COARSE_CLASSES."""
        return DEEPFASHION2[self.name]

    @property
    def label(self) -> int:
        """Index into COARSE_CLASSES."""
        return class_index(self.coarse)

    @property
    def upper(self) -> bool:
        """Worn on the shoulders."""
        return self.coarse in {"top", "outerwear", "dress"}

    @property
    def straps(self) -> bool:
        """Held by thin straps."""
        return self.name.startswith("sling")

    def attributes(self) -> dict[str, Any]:
        """What truth says about the garment, as text and numbers."""
        sleeve = ("none", "short", "elbow", "long")[(self.sleeve > 0) + (self.sleeve > 0.4) + (self.sleeve > 0.65)]
        steps = (0.57, 0.49, 0.38, 0.25, 0.12)
        length = ("crop", "hip", "thigh", "knee", "midi", "ankle")[sum(self.length < step for step in steps)]
        return {
            "class": self.name,
            "print": self.print.kind,
            "colours": list(self.print.names[: 1 if self.print.kind in {"plain", "knit"} else 3]),
            "sleeve": sleeve if self.upper else "",
            "length": length,
            "neckline": self.neckline if self.upper else "",
            "front": self.front,
            "details": sorted(self.details),
        }

    def title(self) -> str:
        """What a shop would call it."""
        pattern = "" if self.print.kind == "plain" else self.print.kind + " "
        return f"{self.print.names[0]} {pattern}{self.name}".capitalize()


def draw_garment(*names: object, kind: str | None = None, coarse: str | None = None) -> Garment:
    """The garment of a path of names (set, split, seed, number), of a class where one is wanted."""
    rng = rng_of("garment", *names)
    fitting = {n: w for n, w in CLASSES.items() if coarse in {None, DEEPFASHION2[n]}}
    name = kind or choose(rng, fitting)
    pattern = _print(rng, name)
    cut = CUTS[DEEPFASHION2[name]](rng, name)
    return Garment(name=name, print=pattern, seed=int(rng.integers(2**31)), **cut)


def look_alike(garment: Garment, *names: object) -> Garment:
    """A garment that is easily taken for another: same print in other colours, or same colours in another cut."""
    rng = rng_of("look-alike", *names)
    if chance(rng, 0.5):
        old = garment.print
        first = pick_name(rng, without=old.names)
        others = [n if c < 2 else pick_name(rng, without=(first,)) for n, c in zip(old.names[1:], (1, 2), strict=True)]
        names3 = (first, others[0], others[1])
        second, third = old.colours[1], shade_of(rng, names3[2])
        colours = _apart(rng, (shade_of(rng, first), second, third))
        return replace(garment, print=replace(old, names=names3, colours=colours), seed=int(rng.integers(2**31)))
    for _ in range(20):
        other = draw_garment("cut", *names, int(rng.integers(2**31)), coarse=garment.coarse)
        fresh = (other.name, other.neckline, other.front) != (garment.name, garment.neckline, garment.front)
        if fresh or abs(other.length - garment.length) > 0.06:
            break
    return replace(other, print=garment.print)


def _print(rng: Rng, name: str) -> Print:
    kind = choose(rng, PRINTS)
    if name in {"trousers", "shorts"} and kind in {"logo", "text", "graphic", "knit", "blocks"}:
        kind = "denim" if chance(rng, 0.5) else "plain"
    if name in {"trousers", "shorts", "skirt"} and kind == "plain" and chance(rng, 0.35):
        kind = "denim"
    if "outwear" in name and kind in {"text", "graphic", "dots", "floral"} and chance(rng, 0.75):
        kind = "denim" if chance(rng, 0.25) else "plain"
    base = pick_name(rng)
    if kind == "denim":
        base = choose(rng, {"denim": 6.0, "navy": 3.0, "sky": 2.0, "black": 2.0, "white": 1.0, "charcoal": 1.0})
    second = pick_name(rng, without=(base,))
    third = pick_name(rng, without=(base, second))
    if kind in {"stripes", "checks", "dots"} and chance(rng, 0.5):
        second = choose(rng, {"white": 3.0, "black": 1.0, "navy": 1.0, "beige": 1.0})
        second = second if second != base else "grey"
    colours = (shade_of(rng, base), shade_of(rng, second), shade_of(rng, third))
    scale = float(2 ** between(rng, -0.9, 0.9))
    return Print(
        kind, (base, second, third), _apart(rng, colours), scale, float(rng.random()), int(rng.integers(2**31))
    )


def _apart(rng: Rng, colours: tuple[Colour, Colour, Colour]) -> tuple[Colour, Colour, Colour]:
    """Second and third colour that can be told from the first."""
    base, second, third = colours
    if sum(abs(a - b) for a, b in zip(base, second, strict=True)) < 0.45:
        second = CLOTH["white" if luminance(base) < 0.5 else "navy"][0]
    if sum(abs(a - b) for a, b in zip(base, third, strict=True)) < 0.3:
        third = CLOTH["yellow" if luminance(base) < 0.5 else "burgundy"][0]
    return base, second, third
