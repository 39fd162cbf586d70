"""A stream watched: each garment told of as soon as it is seen well, and again when a better view comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.graphs import Runtime
from dprnet.core.images import read_image
from dprnet.core.records import Frame, Match
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Gallery, IndexConfig
from dprnet.live.config import WatchConfig
from dprnet.live.connection import Back, Connection, Lost
from dprnet.live.garments import Change, Garments, Place, View
from dprnet.live.source import LiveSource
from dprnet.pick import PickConfig

Kind = Literal["start", "new", "better", "merged", "left", "lost", "back", "end"]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Something to tell."""

    kind: Kind
    time_s: float
    """Of the stream, when it is told."""
    told: Mapping[str, Any]
    """The rest, as plain values; see docs/live.md."""
    jpeg: bytes | None = None
    """Of a garment, its best view so far."""

    def to_json(self) -> dict[str, Any]:
        """As one line of the output: plain values, the picture apart."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"event": self.kind, "at": at, "stream_s": round(self.time_s, 3), **self.told}


class Watcher:
    """Watches streams; loads its networks once."""

    def __init__(
        self,
        bundle: Bundle | str | Path = "tiny",
        *,
        gallery: Gallery | Path | str | None = None,
        config: WatchConfig | None = None,
        device: str = "cpu",
        runtime: Runtime | str = "auto",
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.from_pretrained(bundle)
        self.config = config or WatchConfig()
        self.detector = Detector.from_bundle(self.bundle, device=device, runtime=runtime)
        self.embedder = Embedder.from_bundle(self.bundle, device=device, runtime=runtime)
        self.picking = parse_settings(dict(self.bundle.settings("picking")), PickConfig, f"{self.bundle.name}.picking")
        if isinstance(gallery, (str, Path)):
            searched = IndexConfig(kind=self.config.kind)
            gallery = Gallery.open(gallery, embedder=self.embedder.identity, config=searched)
        self.gallery = gallery

    def watch(self, source: LiveSource | str) -> Watch:
        """A stream, to be iterated once.

        Raises:
            MissingFile, BadVideo: it is none that can be watched.
        """
        return Watch(self, source if isinstance(source, LiveSource) else LiveSource.parse(source))


class Watch:
    """One stream being watched; iterate it for its events."""

    def __init__(self, watcher: Watcher, source: LiveSource) -> None:
        self._watcher, self.source = watcher, source
        self.garments = Garments(watcher.picking, watcher.config)
        self._connection = Connection(source, watcher.config)
        self._told: dict[int, tuple[Place, float]] = {}  # by garment: the view that was told, and when
        self._changed: set[int] = set()
        self._now_s = 0.0
        self._numbers: dict[int, int] = {}  # under which garments are told of: from 1, in this order
        self._ever = 0

    def stop(self) -> None:
        """End it; what is known is still told. May be called from another thread."""
        self._connection.close()

    def __iter__(self) -> Iterator[WatchEvent]:
        """Events as they happen; the last is ``end``.

        Raises:
            BadVideo: the stream cannot be read, or was lost for too long; what was found until then has been told.
        """
        gallery = self._watcher.gallery
        yield self._event(
            "start",
            schema=SCHEMA,
            source=self.source.shown,
            bundle=self._watcher.bundle.identity,
            gallery=gallery.identity if gallery is not None else None,
        )
        for came in self._connection:
            if isinstance(came, Lost):
                yield self._event("lost", why=came.why, retry_s=came.retry_s)
            elif isinstance(came, Back):
                yield self._event("back", after_s=came.after_s)
            else:
                yield from self._look(came)
        yield from self._changes(self.garments.finish())
        yield from self._flush(everything=True)
        shown = [view for view in map(self.garments.view, self.garments.alive()) if view is not None]
        yield self._event(
            "end",
            frames=self._connection.frames,
            skipped=self._connection.skipped,
            breaks=self._connection.breaks,
            garments=self._ever,
            never_seen_well=sum(not view.picked for view in shown),
        )

    def _look(self, frame: Frame) -> Iterator[WatchEvent]:
        self._now_s = frame.time_s
        found = next(iter(self._watcher.detector([frame])))  # at once: nobody knows when the next one comes
        yield from self._changes(self.garments.update(frame, found))
        yield from self._flush()

    def _changes(self, changes: list[Change]) -> Iterator[WatchEvent]:
        for change in changes:
            if change.kind == "seen":
                self._changed.add(change.garment)
                continue
            self._changed.discard(change.garment)
            was_told = self._told.pop(change.garment, None) is not None
            if change.kind == "left" and was_told:
                yield self._event("left", garment=self._number(change.garment))
            elif change.kind == "merged":
                assert change.into is not None, "a merged garment says into which"
                self._changed.add(change.into)
                if was_told:
                    if change.into not in self._told:
                        self._ever -= 1  # what it merged into will count for both
                    number, into = self._number(change.garment), self._number(change.into)
                    yield self._event("merged", garment=number, into=into)

    def _flush(self, *, everything: bool = False) -> Iterator[WatchEvent]:
        """Tell of the garments that changed, of each no more often than ``settle_s``."""
        for garment in sorted(self._changed):
            told = self._told.get(garment)
            if told is not None and not everything and self._now_s - told[1] < self._watcher.config.settle_s:
                continue
            self._changed.discard(garment)
            view = self.garments.view(garment)
            if view is None or not self._worth_telling(view) or (told is not None and told[0] == view.place):
                continue
            self._told[garment] = (view.place, self._now_s)
            self._ever += told is None
            yield self._tell("new" if told is None else "better", view)

    def _worth_telling(self, view: View) -> bool:
        if view.picked:
            return True
        return self._watcher.config.fallback == "best" and view.garment in self.garments.alive()

    def _tell(self, kind: Kind, view: View) -> WatchEvent:
        event = self._event(
            kind,
            garment=self._number(view.garment),
            label=view.label,
            picked=view.picked,
            time_s=round(view.time_s, 3),
            first_seen_s=round(view.first_seen_s, 3),
            last_seen_s=round(view.last_seen_s, 3),
            views=view.views,
            quality={name: round(value, 4) for name, value in view.quality.items()},
            matches=[_told(match) for match in self._matches(view)],
        )
        return WatchEvent(event.kind, event.time_s, event.told, view.jpeg)

    def _number(self, garment: int) -> int:
        return self._numbers.setdefault(garment, len(self._numbers) + 1)

    def _matches(self, view: View) -> list[Match]:
        gallery = self._watcher.gallery
        if gallery is None or view.jpeg is None:
            return []
        vectors = self._watcher.embedder.views([read_image(view.jpeg, name="view").image])
        gallery.refresh()
        return list(gallery.search(vectors, self._watcher.config.items)[0])

    def _event(self, kind: Kind, **told: Any) -> WatchEvent:
        return WatchEvent(kind, self._now_s, told)


def _told(match: Match) -> dict[str, Any]:
    return {
        "item_id": match.item_id,
        "similarity": round(match.similarity, 4),
        "title": match.title,
        "category": match.category,
        "price": match.price,
        "url": match.url,
    }
