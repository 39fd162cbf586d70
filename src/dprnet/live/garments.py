"""Who was seen so far, in bounded memory: `PickStream` over what is recent, and numbers that outlive it.

    N  detections that are kept      I  garments that are kept

A stream has no end, so what it showed long ago must go. Now and then all but a garment's best and latest views are
let go, and garments that were not seen for long altogether; the rest is clustered anew, and every garment keeps the
number under which it was told of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.images import cut_out, jpeg_bytes, shrink
from dprnet.core.records import Detections, Frame, IntArray, Picks
from dprnet.live.config import WatchConfig
from dprnet.pick import PickConfig, PickEvent, PickStream

KEPT_BEST, KEPT_LATEST = 12, 6  # ours: views of a garment that outlive its others
VIEW_SIDE = 480  # ours: pixels of the longer side of a view that is kept; the embedder looks at fewer
NEARLY = 0.8  # ours: a view so much as good as the best one may become the best when garments merge

Place = tuple[int, float, float]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a garment."""

    kind: Literal["seen", "merged", "left"]
    """seen: for the first time, or better, or otherwise; left: it was not seen for long, and is forgotten."""
    garment: int
    into: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A garment as it stands."""

    garment: int
    place: Place
    """Frame and corner of its best view: what tells one view from another."""
    label: str
    picked: bool
    time_s: float
    first_seen_s: float
    last_seen_s: float
    quality: dict[str, float]
    views: int
    jpeg: bytes | None
    """Its best view, cut out; None where it was no longer at hand when it became the best."""


@dataclass(slots=True)
class _Past:
    """Of a garment, what was let go."""

    views: int = 0
    first_s: float = np.inf


class Garments:
    """The garments of a stream."""

    def __init__(self, picking: PickConfig, config: WatchConfig) -> None:
        self._picking, self._config = picking, config
        self._stream = PickStream(picking)
        self._garment_of: dict[int, int] = {}  # of each number of the stream
        self._past: dict[int, _Past] = {}
        self._views: dict[int, bytes] = {}  # by row
        self._next = 0

    @property
    def picks(self) -> Picks:
        """Of what is kept."""
        return self._stream.picks

    def update(self, frame: Frame, found: Detections) -> list[Change]:
        """Take in the detections of one frame."""
        before = len(self.picks.detections)
        changes = self._told(self._stream.update(found))
        self._keep_views(frame, found, before)
        if len(self.picks.detections) > self._config.max_detections:
            changes += self._compact(frame.time_s)
        return changes

    def finish(self) -> list[Change]:
        """The stream has ended: cluster all that is kept; then `picks` is what `pick` says of it."""
        return self._told(self._stream.finish())

    def view(self, garment: int) -> View | None:
        """A garment as it stands; None where it has merged or left."""
        picks = self.picks
        number = next((number for number, own in self._garment_of.items() if own == garment), None)
        if number is None or number not in self._stream.numbers:
            return None
        place = self._stream.numbers.index(number)
        best, past = int(picks.best[place]), self._past.get(garment, _Past())
        first_s, last_s = picks.seen_s(place)
        corner = picks.detections.boxes_xyxy[best]
        return View(
            garment=garment,
            place=(int(picks.detections.frame_index[best]), float(corner[0]), float(corner[1])),
            label=COARSE_CLASSES[int(picks.detections.labels[best])],
            picked=bool(picks.picked[place]),
            time_s=float(picks.detections.time_s[best]),
            first_seen_s=min(first_s, past.first_s),
            last_seen_s=last_s,
            quality={name: float(value) for name, value in zip(QUALITIES, picks.detections.quality[best], strict=True)},
            views=int((picks.instance == place).sum()) + past.views,
            jpeg=self._views.get(best),
        )

    def alive(self, *, doubtful: bool = False) -> list[int]:
        """The garments that are kept; those that are most likely none only if asked for."""
        shown = np.flatnonzero(np.ones(len(self.picks), bool) if doubtful else ~self.picks.doubtful)
        return [self._garment_of[self._stream.numbers[place]] for place in shown.tolist()]

    def _told(self, events: Iterable[PickEvent]) -> list[Change]:
        changes = []
        for event in events:
            if event.kind == "merged":
                assert event.into is not None, "a merged garment says into which"
                own, into = self._garment_of.pop(event.garment), self._garment_of[event.into]
                self._inherit(own, into)
                changes.append(Change("merged", own, into))
            else:
                changes.append(Change("seen", self._number(event.garment)))
        return changes

    def _number(self, of_stream: int) -> int:
        if of_stream not in self._garment_of:
            self._garment_of[of_stream], self._next = self._next, self._next + 1
        return self._garment_of[of_stream]

    def _inherit(self, own: int, into: int) -> None:
        past = self._past.pop(own, None)
        if past is not None:
            heir = self._past.setdefault(into, _Past())
            heir.views, heir.first_s = heir.views + past.views, min(heir.first_s, past.first_s)

    def _keep_views(self, frame: Frame, found: Detections, before: int) -> None:
        picks = self.picks
        best = picks.best[picks.instance[before:]]
        overall = picks.detections.overall
        for place, box in enumerate(found.boxes_xyxy * frame.scale):
            row = before + place
            if row == best[place] or overall[row] > NEARLY * overall[best[place]]:
                self._views[row] = jpeg_bytes(shrink(cut_out(frame.image, box), VIEW_SIDE), 90)
        if len(self._views) > self._config.max_views:
            wanted = [row for row in picks.best.tolist() if row in self._views][-self._config.max_views // 2 :]
            newest = sorted(self._views)[-self._config.max_views // 4 :]
            self._views = {row: self._views[row] for row in sorted({*wanted, *newest})}

    def _compact(self, now_s: float) -> list[Change]:
        """Let go of what is not needed, and cluster the rest anew."""
        picks = self.picks
        owners = np.array([self._garment_of[number] for number in self._stream.numbers], np.int64)
        rows, left = self._kept(now_s)
        kept_owner = owners[picks.instance[rows]]
        self._remember(rows, owners)
        fresh = PickStream(self._picking)
        fresh.update(picks.detections[rows])
        fresh.finish()
        changes = [Change("left", garment) for garment in sorted(owners[left].tolist())]
        for garment in owners[left].tolist():
            self._past.pop(garment, None)
        self._stream, self._garment_of = fresh, {}
        place_of = {int(row): place for place, row in enumerate(rows)}
        self._views = {place_of[row]: jpeg for row, jpeg in self._views.items() if row in place_of}
        return changes + self._renumber(kept_owner)

    def _renumber(self, owner: IntArray) -> list[Change]:
        """Give each garment of the new clusters the number that most of its views had."""
        instance, claims = self.picks.instance, []
        for place, number in enumerate(self._stream.numbers):
            for garment, votes in Counter(owner[instance == place].tolist()).items():
                claims.append((-votes, garment, number))
        heirs, taken = set(), set()
        for _, garment, number in sorted(claims):
            if garment not in taken and number not in heirs:
                self._garment_of[number] = garment
                heirs.add(number)
                taken.add(garment)
        changes = [Change("seen", self._number(number)) for number in self._stream.numbers if number not in heirs]
        for garment in sorted(set(owner.tolist()) - taken):
            most = Counter(instance[owner == garment].tolist()).most_common(1)[0][0]
            into = self._garment_of[self._stream.numbers[most]]
            self._inherit(garment, into)
            changes.append(Change("merged", garment, into))
        return changes

    def _kept(self, now_s: float) -> tuple[IntArray, list[int]]:
        """(N,) rows that stay, ascending, and the places of the garments none of whose rows do."""
        picks = self.picks
        found = picks.detections
        last_s = np.array([picks.seen_s(place)[1] for place in range(len(picks))])
        order = np.argsort(-last_s, kind="stable")
        most = self._config.max_detections // 2
        recent = int((now_s - last_s <= self._config.forget_s).sum())
        share = max(1, most // max(1, recent))  # of each garment
        best, latest = min(KEPT_BEST, share - share // 3), min(KEPT_LATEST, share // 3)
        kept: list[int] = []
        left = []
        for place in order.tolist():
            rows = np.flatnonzero(picks.instance == place)
            by_quality = rows[np.argsort(-found.overall[rows], kind="stable")][: best - 1]
            wanted = {int(picks.best[place]), *by_quality.tolist(), *rows[len(rows) - latest :].tolist()}
            if now_s - last_s[place] > self._config.forget_s or len(kept) + len(wanted) > most:
                left.append(place)
            else:
                kept.extend(wanted)
        return np.array(sorted(kept), np.int64), left

    def _remember(self, rows: IntArray, owners: IntArray) -> None:
        picks = self.picks
        whole = np.bincount(picks.instance, minlength=len(picks))
        stay = np.bincount(picks.instance[rows], minlength=len(picks))
        for place, garment in enumerate(owners.tolist()):
            past = self._past.setdefault(garment, _Past())
            past.views += int(whole[place] - stay[place])
            past.first_s = min(past.first_s, picks.seen_s(place)[0])
