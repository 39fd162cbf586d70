"""Random numbers that depend on names alone: the same name gives the same numbers in every process and order."""

from __future__ import annotations

import hashlib

import numpy as np

Rng = np.random.Generator


def seed_of(*names: object) -> int:
    """A 64-bit seed of a path of names.

    >>> seed_of("train", 3) == seed_of("train", 3) != seed_of("test", 3)
    True
    """
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def rng_of(*names: object) -> Rng:
    """A generator of a path of names."""
    return np.random.default_rng(seed_of(*names))


def choose(rng: Rng, weights: dict[str, float]) -> str:
    """One key, with probability proportional to its weight."""
    names = list(weights)
    total = sum(weights.values())
    return names[int(rng.choice(len(names), p=[weights[name] / total for name in names]))]


def between(rng: Rng, low: float, high: float) -> float:
    """A uniform number in [low, high)."""
    return float(rng.uniform(low, high))


def chance(rng: Rng, probability: float) -> bool:
    """True with a probability."""
    return bool(rng.random() < probability)
