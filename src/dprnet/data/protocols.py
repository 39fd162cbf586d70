"""What every reader of a retrieval data set hands to the evaluation: who is asked for, and among what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dprnet.data.labelled import Photo

MOST_OF_A_KIND = 5  # ours: what is wrong once is often wrong everywhere; five examples and a count say it


@dataclass(frozen=True, slots=True)
class Protocol:
    """Queries and gallery of one published way to measure; the right answers share ``Photo.instance``."""

    name: str
    queries: tuple[Photo, ...]
    gallery: tuple[Photo, ...]


@dataclass(slots=True)
class Problems:
    """Sentences with file, line and value; of each kind the first few, then how many more there are."""

    sentences: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def say(self, kind: str, sentence: str) -> None:
        """Note a problem.

        >>> found = Problems()
        >>> for line in range(7):
        ...     found.say("no image", f"line {line}: no image")
        >>> found.listed()[-1], len(found.listed())
        ('and 2 more: no image', 6)
        """
        self.kinds[kind] += 1
        if self.kinds[kind] <= MOST_OF_A_KIND:
            self.sentences.append(sentence)

    def listed(self) -> list[str]:
        """All sentences, and a line for each kind of which there are more."""
        more = [f"and {count - MOST_OF_A_KIND} more: {kind}" for kind, count in self.kinds.items()
                if count > MOST_OF_A_KIND]  # fmt: skip
        return [*self.sentences, *more]


def unique(photos: Iterable[Photo]) -> tuple[Photo, ...]:
    """Each photo once, in the order they come."""
    return tuple(dict.fromkeys(photos))
