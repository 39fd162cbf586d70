"""P x K batches for metric learning (paper 3.3: P instances, K photos of each)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dprnet.core.records import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class PKBatch:
    """What one batch shows; parallel arrays of P x K."""

    photos: IntArray
    """Index of the photo."""
    instances: IntArray
    """Index of the instance, in [0, number of instances)."""
    variants: IntArray
    """0: as photographed; v > 0: the v-th recolouring of the instance, which counts as an instance of its own."""
    classes: IntArray
    """What must be told apart: ``instance * (variants + 1) + variant``."""


class PKSampler:
    """Batch number -> P instances x K photos; the same number gives the same batch, so a run resumes anywhere.

    Corner cases
        - an instance with fewer than K photos: its photos are repeated (augmentation makes them differ);
        - an instance seen in a shop and in a video: both are in its K photos (K >= 2);
        - a group with fewer members than a hard draw wants: as many as it has;
        - fewer instances than P: refused.

    Args:
        instances: (n,) the instance of each photo, numbered 0, 1, ... without gaps.
        p: instances of a batch.
        k: photos of each.
        domains: (n,) domain of each photo, such as 0 = shop and 1 = video; None: all the same.
        weights: (instances,) how often each is drawn, relative; None: all alike.
        groups: (instances,) instances that are easily mistaken for one another share a number >= 0; -1: none.
        hard: fraction of draws that bring further members of the same group (or other variants) into the batch.
        together: most instances that one hard draw brings.
        variants: recolourings of each instance, each an instance of its own (0: none, as in the paper).
        seed: of all draws.
    """

    def __init__(
        self,
        instances: Sequence[int] | IntArray,
        p: int,
        k: int,
        *,
        domains: Sequence[int] | IntArray | None = None,
        weights: Sequence[float] | NDArray[np.float64] | None = None,
        groups: Sequence[int] | IntArray | None = None,
        hard: float = 0.0,
        together: int = 4,
        variants: int = 0,
        seed: int = 0,
    ) -> None:
        owner = np.asarray(instances, np.int64)
        count = int(owner.max()) + 1 if len(owner) else 0
        if p < 1 or k < 1:
            raise ValueError(f"P and K must be at least 1, got {p} and {k}")
        if len(np.unique(owner)) != count or (len(owner) and owner.min() < 0):
            raise ValueError("instances must be numbered 0, 1, ... without gaps")
        weight = np.ones(count) if weights is None else np.asarray(weights, np.float64)
        if weight.shape != (count,) or not np.isfinite(weight).all() or (weight < 0).any():
            raise ValueError(f"weights must be {count} finite numbers that are not negative")
        drawable = int((weight > 0).sum())
        if drawable < p:
            raise ValueError(f"a batch of {p} instances cannot be drawn from {drawable}")
        self.p, self.k, self.hard, self.together, self.variants, self.seed = p, k, hard, together, variants, seed
        self.instances = count
        self.classes = count * (variants + 1)
        self._weight = weight
        self._chance = weight / weight.sum()
        domain = np.zeros(len(owner), np.int64) if domains is None else np.asarray(domains, np.int64)
        self._photos = _by_domain(owner, domain, count)
        self._group = np.full(count, -1) if groups is None else np.asarray(groups, np.int64)
        members: dict[int, list[int]] = {}
        for instance, group in enumerate(self._group):
            if group >= 0 and weight[instance] > 0:
                members.setdefault(int(group), []).append(instance)
        self._members = members

    def __call__(self, step: int) -> PKBatch:
        """The batch of a step, counted from 0; the K photos of an instance stand next to one another."""
        rng = np.random.default_rng((self.seed, step))
        chosen = self._choose(rng)
        photos = [photo for instance, _ in chosen for photo in self._draw(instance, rng)]
        instances = np.repeat([instance for instance, _ in chosen], self.k)
        variants = np.repeat([variant for _, variant in chosen], self.k)
        return PKBatch(np.array(photos, np.int64), instances, variants, instances * (self.variants + 1) + variants)

    def _choose(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        chosen: dict[tuple[int, int], None] = {}  # a dict keeps the order
        # Without variants every draw must bring a new instance; a random order by weight cannot run dry.
        with np.errstate(divide="ignore"):
            keys = np.log(self._chance) + rng.gumbel(size=self.instances)
        order = iter(np.argsort(-keys))
        while len(chosen) < self.p:
            first = int(next(order))
            found = [(first, int(rng.integers(self.variants + 1)))]
            if rng.random() < self.hard:
                found += self._near(first, rng)
            for one in found[: self.p - len(chosen)]:
                chosen.setdefault(one)
        return list(chosen)

    def _near(self, instance: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        group = self._members.get(int(self._group[instance]), []) if self._group[instance] >= 0 else []
        near = [(other, variant) for other in (group or [instance]) for variant in range(self.variants + 1)]
        rng.shuffle(near)
        return near[: self.together - 1]

    def _draw(self, instance: int, rng: np.random.Generator) -> list[int]:
        piles = [list(rng.permutation(pile)) for pile in self._photos[instance]]
        start = int(rng.integers(len(piles)))
        taken: list[int] = []
        for turn in range(self.k):
            # Turn about between the domains, and from the start again when a pile is used up.
            pile = piles[(start + turn) % len(piles)]
            taken.append(int(pile[(turn // len(piles)) % len(pile)]))
        return taken


def _by_domain(owner: IntArray, domain: IntArray, count: int) -> list[list[IntArray]]:
    piles: list[dict[int, list[int]]] = [{} for _ in range(count)]
    for photo, (instance, place) in enumerate(zip(owner, domain, strict=True)):
        piles[instance].setdefault(int(place), []).append(photo)
    return [[np.array(pile) for _, pile in sorted(found.items())] for found in piles]
