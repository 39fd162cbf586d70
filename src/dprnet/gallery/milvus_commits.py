"""The commits of a gallery in Milvus: which batches of rows count, in which order, and which version that is.

A batch is named by when it was written, and counts once a row of that name stands among the commits. Commits of long
ago are not listed for ever: once nothing is left of what they replaced or removed, and no batch of before them waits
to be committed, they all count without being listed. The horizon says up to which name, and how many they were.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dprnet.core.errors import BadGallery
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.card import LISTED_NO_LONGER, GalleryCard
from dprnet.gallery.milvus_client import CALL_IDS, CALL_S, stored_cards

CARD_KEY = "card"
MOST = 16_384  # Milvus's limit: rows that one call without pages answers
PAGE_ROWS = 1_000
HORIZON = "horizon-"
CARD_AT, HORIZON_AT = 0, -1
"""Where commits have their time."""


@dataclass(frozen=True, slots=True)
class Commits:
    """The commits that a reader knows of, and so one version of the gallery."""

    at: Mapping[str, int] = field(default_factory=dict)
    """Those that are listed: by batch, their time in nanoseconds, which orders them."""
    horizon: str = ""
    """Every batch named before it counts too, earlier than all that are listed."""
    before: int = 0
    """Commits that are no longer listed."""
    left: tuple[str, ...] = ()
    """Keys of rows that say nothing any more: whoever moved the horizon did not get to deleting them."""

    @property
    def version(self) -> int:
        """1 and the number of commits that there ever were."""
        return 1 + self.before + len(self.at)

    def order(self, batch: str) -> int | None:
        """When a batch was committed, for comparison; None where it does not count."""
        return 0 if batch < self.horizon else self.at.get(batch)

    def until(self, moment: int) -> Commits:
        """Those of before a moment, in nanoseconds."""
        return replace(self, at={batch: at for batch, at in self.at.items() if at < moment})


class CommitList:
    """The collection of them."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name
        self._horizon = ""

    def read(self) -> Commits:
        """All of them at one moment."""
        while True:
            rows = self._client.query(
                self._name, filter="at != 0", output_fields=["key", "at", "note"], limit=MOST, timeout=CALL_S
            )
            if len(rows) < MOST:
                return self._known(parsed(rows))
            before, rows = self._horizons(), self._pages()
            if before == self._horizons():  # otherwise some pages may be of before it moved
                return self._known(parsed(rows))

    def batch(self) -> str:
        """A name for a new batch, after the horizon also where this machine's clock is behind."""
        now = max(time.time_ns(), 1 + born(self._horizon) if self._horizon else 0)
        return f"{now:020d}-{uuid.uuid4().hex[:12]}"

    def add(self, batch: str, known: Commits) -> None:
        """Let a batch count, after all that are known."""
        at = max(time.time_ns(), 1 + max(known.at.values(), default=0))  # clocks may run behind
        self._insert({"key": batch, "at": at, "note": ""})

    def add_card(self, card: GalleryCard) -> None:
        """The card of a new gallery."""
        self._insert({"key": CARD_KEY, "at": CARD_AT, "note": card.to_json()})

    def move(self, horizon: str, known: Commits, where: ServerAddress) -> None:
        """Count the commits of before a horizon without listing them.

        Whoever calls it knows: of their rows only those are there that count, and no other row is named before it. A
        kill in between leaves the list as it was, or rows that say nothing (`Commits.left`).
        """
        gone = [batch for batch in known.at if batch < horizon]
        if not gone:
            return
        self._raise_card(where)
        told = json.dumps({"horizon": horizon, "commits": known.before + len(gone)})
        self._insert({"key": f"{HORIZON}{horizon}", "at": HORIZON_AT, "note": told})
        self.clear(self.read())

    def clear(self, known: Commits) -> None:
        """Delete what says nothing any more."""
        for start in range(0, len(known.left), CALL_IDS):
            some = list(known.left[start : start + CALL_IDS])
            self._client.delete(self._name, ids=some, timeout=CALL_S)

    def _raise_card(self, where: ServerAddress) -> None:
        """Say that older versions of dprnet must not read it: to them, what is not listed does not count.

        The new card is there before the old one goes; of two the newer holds.
        """
        cards = stored_cards(self._client, self._name, where)
        newest = max(cards.values(), key=lambda card: card.schema)
        if newest.schema < LISTED_NO_LONGER:
            newest = newest.of_schema(LISTED_NO_LONGER)
            self._insert({"key": f"{CARD_KEY}-{newest.schema}", "at": CARD_AT, "note": newest.to_json()})
        old = [key for key, card in cards.items() if card.schema < newest.schema]
        if old:
            self._client.delete(self._name, ids=old, timeout=CALL_S)

    def _known(self, commits: Commits) -> Commits:
        self._horizon = max(self._horizon, commits.horizon)
        return commits

    def _horizons(self) -> set[str]:
        rows = self._client.query(self._name, filter="at < 0", output_fields=["key"], limit=MOST, timeout=CALL_S)
        return {row["key"] for row in rows}

    def _pages(self) -> list[dict[str, Any]]:
        pages = self._client.query_iterator(
            self._name, batch_size=PAGE_ROWS, filter="at != 0", output_fields=["key", "at", "note"], timeout=CALL_S
        )
        rows: list[dict[str, Any]] = []
        try:
            while page := pages.next():
                rows += page
        finally:
            pages.close()
        return rows

    def _insert(self, row: Mapping[str, Any]) -> None:
        self._client.insert(self._name, [{**row, "vector": [0.0, 0.0]}], timeout=CALL_S)


def parsed(rows: Iterable[Mapping[str, Any]]) -> Commits:
    """The commits of the rows of one moment."""
    rows = list(rows)
    try:
        told = [json.loads(row["note"]) for row in rows if row["at"] == HORIZON_AT]
        horizon, before = max(((str(one["horizon"]), int(one["commits"])) for one in told), default=("", 0))
    except (ValueError, KeyError, TypeError) as error:
        sentence = f"the list of its commits is damaged ({type(error).__name__}); restore a snapshot"
        raise BadGallery("the gallery", sentence) from None
    at = {row["key"]: int(row["at"]) for row in rows if row["at"] > 0 and row["key"] >= horizon}
    left = [row["key"] for row in rows if row["key"] not in at and row["key"] != f"{HORIZON}{horizon}"]
    return Commits(at, horizon, before, tuple(sorted(left)))


def born(batch: str) -> int:
    """When a batch was written, in nanoseconds, by the clock of who wrote it."""
    return int(batch.partition("-")[0])
