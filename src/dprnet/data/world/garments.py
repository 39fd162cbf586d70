"""What a garment is: class, cut, print and colours, drawn from a generator; lengths in body heights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dprnet.core.classes import DEEPFASHION2, class_index
from dprnet.data.world.colours import CLOTH, Colour, luminance, pick_name, shade_of
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
NECKLINES = {
    "short sleeve top": {"crew": 6.0, "v": 3.0, "scoop": 2.0, "polo": 2.0, "shirt": 2.0, "boat": 1.0},
    "long sleeve top": {"crew": 5.0, "v": 2.0, "turtle": 2.0, "shirt": 5.0, "hood": 4.0, "boat": 1.0, "scoop": 1.0},
    "vest": {"crew": 2.0, "scoop": 4.0, "v": 2.0},
    "sling": {"square": 2.0, "v": 2.0, "heart": 1.0},
    "outwear": {"lapel": 5.0, "hood": 3.0, "stand": 3.0, "v": 2.0, "shirt": 3.0},
    "dress": {"crew": 3.0, "v": 4.0, "scoop": 3.0, "boat": 1.0, "shirt": 2.0, "turtle": 1.0, "square": 2.0},
    "sling dress": {"square": 2.0, "v": 2.0, "heart": 2.0},
}


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
    cut = _CUTS[DEEPFASHION2[name]](rng, name)
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


def _details(rng: Rng, chances: dict[str, float]) -> frozenset[str]:
    return frozenset(name for name, probability in chances.items() if chance(rng, probability))


def _sleeve(rng: Rng, name: str) -> float:
    if "long sleeve" in name:
        return between(rng, 0.88, 1.0) if chance(rng, 0.8) else between(rng, 0.66, 0.8)
    return between(rng, 0.2, 0.48) if "short sleeve" in name else 0.0


def _top(rng: Rng, name: str) -> dict[str, Any]:
    neckline = choose(rng, NECKLINES[name])
    front = "buttons" if neckline == "shirt" else "zip" if neckline == "hood" and chance(rng, 0.4) else "closed"
    details = _details(rng, {"pocket": 0.2, "ribs": 0.35, "cuffs": 0.4, "raglan": 0.12, "stripe": 0.06})
    if neckline == "hood" and front == "closed":
        details |= {"kangaroo"}
    low = 0.55 if chance(rng, 0.2) else 0.46
    cut = {"sleeve": _sleeve(rng, name), "length": between(rng, low, low + 0.06), "ease": between(rng, 0.006, 0.03)}
    return {**cut, "flare": between(rng, 0.94, 1.12), "neckline": neckline, "front": front, "details": details}


def _outerwear(rng: Rng, name: str) -> dict[str, Any]:
    neckline = choose(rng, NECKLINES["outwear"])
    front = choose(rng, {"open": 5.0, "buttons": 2.0, "zip": 2.0})
    if neckline in {"stand", "hood"} and front == "buttons":
        front = "zip"
    if neckline == "lapel" and front == "zip":
        front = "buttons"
    details = _details(rng, {"pocket": 0.7, "ribs": 0.3, "cuffs": 0.4, "belt": 0.12, "seams": 0.3})
    length = between(rng, 0.42, 0.54) if chance(rng, 0.65) else between(rng, 0.2, 0.42)
    cut = {"sleeve": _sleeve(rng, name), "length": length, "ease": between(rng, 0.018, 0.036)}
    return {**cut, "flare": between(rng, 1.0, 1.2), "neckline": neckline, "front": front, "details": details}


def _legs(rng: Rng, name: str) -> dict[str, Any]:
    short = name == "shorts"
    length = between(rng, 0.29, 0.43) if short else between(rng, 0.035, 0.10)
    if not short and chance(rng, 0.15):
        length = between(rng, 0.10, 0.18)
    details = _details(rng, {"pocket": 0.6, "cuffs": 0.2, "seams": 0.5, "stripe": 0.1, "belt": 0.3})
    ease = between(rng, 0.008, 0.03) if short else between(rng, 0.002, 0.024)
    flare = between(rng, 0.95, 1.25) if short else between(rng, 0.7, 1.35)
    cut = {"sleeve": 0.0, "length": length, "ease": ease, "flare": flare}
    return {**cut, "neckline": "", "front": "closed", "details": details}


def _skirt(rng: Rng, name: str) -> dict[str, Any]:
    details = _details(rng, {"pleats": 0.35, "belt": 0.25, "pocket": 0.15, "seams": 0.3})
    cut = {"sleeve": 0.0, "length": between(rng, 0.09, 0.41), "ease": between(rng, 0.004, 0.012)}
    flare = between(rng, 0.92, 1.1) if chance(rng, 0.35) else between(rng, 1.15, 2.1)
    return {**cut, "flare": flare, "neckline": "", "front": "closed", "details": details}


def _dress(rng: Rng, name: str) -> dict[str, Any]:
    neckline = choose(rng, NECKLINES["sling dress" if "sling" in name else "dress"])
    front = "buttons" if neckline == "shirt" else "closed"
    details = _details(rng, {"belt": 0.35, "pleats": 0.3, "seams": 0.4, "cuffs": 0.2})
    cut = {"sleeve": _sleeve(rng, name), "length": between(rng, 0.08, 0.40), "ease": between(rng, 0.004, 0.016)}
    flare = between(rng, 0.95, 1.1) if chance(rng, 0.3) else between(rng, 1.15, 2.2)
    return {**cut, "flare": flare, "neckline": neckline, "front": front, "details": details}


_CUTS = {
    "top": _top,
    "outerwear": _outerwear,
    "trousers": _legs,
    "shorts": _legs,
    "skirt": _skirt,
    "dress": _dress,
}
