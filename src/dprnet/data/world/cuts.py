"""How garments are cut, by coarse class: sleeve, length, ease, flare, neckline, front and details at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dprnet.data.world.seeds import Rng, between, chance, choose

NECKLINES = {
    "short sleeve top": {"crew": 6.0, "v": 3.0, "scoop": 2.0, "polo": 2.0, "shirt": 2.0, "boat": 1.0},
    "long sleeve top": {"crew": 5.0, "v": 2.0, "turtle": 2.0, "shirt": 5.0, "hood": 4.0, "boat": 1.0, "scoop": 1.0},
    "vest": {"crew": 2.0, "scoop": 4.0, "v": 2.0},
    "sling": {"square": 2.0, "v": 2.0, "heart": 1.0},
    "outwear": {"lapel": 5.0, "hood": 3.0, "stand": 3.0, "v": 2.0, "shirt": 3.0},
    "dress": {"crew": 3.0, "v": 4.0, "scoop": 3.0, "boat": 1.0, "shirt": 2.0, "turtle": 1.0, "square": 2.0},
    "sling dress": {"square": 2.0, "v": 2.0, "heart": 2.0},
}


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


CUTS: dict[str, Callable[[Rng, str], dict[str, Any]]] = {
    "top": _top,
    "outerwear": _outerwear,
    "trousers": _legs,
    "shorts": _legs,
    "skirt": _skirt,
    "dress": _dress,
}
