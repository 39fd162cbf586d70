"""Colours of cloth, skin and hair; RGB triples in [0, 1]."""

from __future__ import annotations

import colorsys

from dprnet.data.world.seeds import Rng, between, choose

Colour = tuple[float, float, float]

# Name -> (RGB of a typical cloth, how often a shop sells it). Ours, by eye from street photos.
CLOTH: dict[str, tuple[Colour, float]] = {
    "black": ((0.09, 0.09, 0.10), 10),
    "white": ((0.93, 0.93, 0.92), 9),
    "grey": ((0.52, 0.53, 0.55), 6),
    "charcoal": ((0.24, 0.25, 0.27), 5),
    "navy": ((0.11, 0.15, 0.30), 8),
    "blue": ((0.15, 0.33, 0.68), 6),
    "sky": ((0.58, 0.74, 0.90), 4),
    "denim": ((0.27, 0.38, 0.55), 4),
    "teal": ((0.08, 0.43, 0.46), 3),
    "green": ((0.16, 0.45, 0.25), 4),
    "olive": ((0.36, 0.37, 0.20), 4),
    "mint": ((0.66, 0.85, 0.75), 2),
    "beige": ((0.83, 0.76, 0.64), 6),
    "camel": ((0.70, 0.52, 0.33), 4),
    "brown": ((0.36, 0.24, 0.16), 4),
    "yellow": ((0.93, 0.79, 0.22), 3),
    "mustard": ((0.78, 0.58, 0.14), 3),
    "orange": ((0.88, 0.45, 0.15), 3),
    "coral": ((0.92, 0.48, 0.42), 3),
    "red": ((0.74, 0.12, 0.14), 5),
    "burgundy": ((0.42, 0.09, 0.16), 4),
    "pink": ((0.91, 0.66, 0.72), 5),
    "fuchsia": ((0.78, 0.16, 0.48), 2),
    "lilac": ((0.70, 0.62, 0.82), 3),
    "purple": ((0.38, 0.20, 0.48), 3),
}
SKIN: tuple[Colour, ...] = (
    (0.96, 0.82, 0.73),
    (0.91, 0.74, 0.62),
    (0.85, 0.66, 0.52),
    (0.74, 0.54, 0.40),
    (0.58, 0.40, 0.28),
    (0.42, 0.28, 0.20),
    (0.31, 0.21, 0.16),
)
HAIR: tuple[Colour, ...] = (
    (0.07, 0.06, 0.06),
    (0.16, 0.11, 0.08),
    (0.30, 0.20, 0.13),
    (0.48, 0.32, 0.19),
    (0.72, 0.56, 0.34),
    (0.55, 0.24, 0.12),
    (0.62, 0.61, 0.60),
)


def pick_name(rng: Rng, without: tuple[str, ...] = ()) -> str:
    """Name of a cloth colour, as often as shops sell it."""
    return choose(rng, {name: weight for name, (_, weight) in CLOTH.items() if name not in without})


def shade_of(rng: Rng, name: str) -> Colour:
    """A colour of that name, with a little of its own hue, strength and lightness."""
    return jitter(rng, CLOTH[name][0], 0.022, 0.12, 0.07)


def jitter(rng: Rng, colour: Colour, hue: float, saturation: float, value: float) -> Colour:
    """A colour nearby, in hue, saturation and value (all in [0, 1])."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    h = (h + between(rng, -hue, hue)) % 1.0
    s = min(1.0, max(0.0, s * (1 + between(rng, -saturation, saturation))))
    v = min(1.0, max(0.03, v + between(rng, -value, value)))
    return colorsys.hsv_to_rgb(h, s, v)


def scaled(colour: Colour, factor: float) -> Colour:
    """Darker (factor below 1) or lighter.

    >>> scaled((0.5, 0.2, 0.9), 2)
    (1.0, 0.4, 1.0)
    """
    r, g, b = (min(1.0, max(0.0, part * factor)) for part in colour)
    return (r, g, b)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """``share`` of the second colour in the first.

    >>> mixed((0.0, 0.0, 0.0), (1.0, 0.5, 0.0), 0.5)
    (0.5, 0.25, 0.0)
    """
    r, g, b = (x + (y - x) * share for x, y in zip(first, second, strict=True))
    return (r, g, b)


def luminance(colour: Colour) -> float:
    """Perceived lightness in [0, 1] (Rec. 601 weights)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
