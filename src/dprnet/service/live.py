"""What a page can show of a job while it runs: its stage, and the garments found so far."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.images import cut_out, jpeg_bytes, shrink
from dprnet.core.records import Detections, Frame
from dprnet.detect import Detector
from dprnet.pick import PickConfig, PickStream

T = TypeVar("T")

VIEW_SIDE = 240  # ours: pixels of the longer side of a view that may still be replaced by a better one
KEPT_VIEWS = 400  # ours: some 4 MB; a view that becomes the best only after so many others shows no picture


class Given(Exception):
    """The job was taken away: cancelled, deleted, or given to another worker."""


class Live:
    """Follows one job: told of every frame and every step, asked by whoever reports. Safe between threads.

    Args:
        picking: settings of the bundle.
        folder: where pictures of the garments so far go.
    """

    def __init__(self, picking: PickConfig, folder: Path) -> None:
        self._stream = PickStream(picking)
        self._folder = folder
        self._views: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._told: dict[str, Any] = {"stage": "look", "done": 0, "total": None, "time_s": 0.0, "garments": []}
        self.given = threading.Event()
        """Set where the job is to be given up."""

    def told(self) -> dict[str, Any]:
        """All of it, as plain values."""
        with self._lock:
            return dict(self._told)

    def track(self, items: Iterable[T], name: str, total: float | None = None) -> Iterator[T]:
        """Hand the items of a stage on (the protocol of ``core.progress``).

        Raises:
            Given: the job is to be given up.
        """
        stage = "cut" if name.startswith("Cutting") else "look"
        for done, item in enumerate(items):
            self._tell(stage=stage, done=done, total=total)
            yield item
        self._tell(stage="match" if stage == "cut" else "cut", done=0, total=None)

    def saw(self, frame: Frame, found: Detections) -> None:
        """Take in the detections of one frame."""
        before = len(self._stream.picks.detections)
        events = self._stream.update(found)
        for row, box in enumerate(found.boxes_xyxy * frame.scale, start=before):
            self._views[row] = jpeg_bytes(shrink(cut_out(frame.image, box), VIEW_SIDE), 75)
        if len(self._views) > KEPT_VIEWS:
            best = set(self._stream.picks.best.tolist())
            newest = sorted(self._views)[-KEPT_VIEWS // 2 :]
            self._views = {row: self._views[row] for row in sorted(best.union(newest)) if row in self._views}
        for event in events:
            if event.kind != "merged" and event.best in self._views:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / f"{event.garment}-{event.best}.jpg").write_bytes(self._views[event.best])
        self._tell(time_s=round(frame.time_s, 3), **({"garments": self._garments()} if len(found) else {}))

    def _tell(self, **values: Any) -> None:
        if self.given.is_set():
            raise Given
        with self._lock:
            self._told.update(values)

    def _garments(self) -> list[dict[str, Any]]:
        picks, shown = self._stream.picks, []
        views = np.bincount(picks.instance, minlength=len(picks))
        for garment in np.flatnonzero(~picks.doubtful).tolist():
            best, number = int(picks.best[garment]), self._stream.numbers[garment]
            picture = self._folder / f"{number}-{best}.jpg"
            shown.append(
                {
                    "garment": number,
                    "label": COARSE_CLASSES[int(picks.detections.labels[best])],
                    "picked": bool(picks.picked[garment]),
                    "time_s": round(float(picks.detections.time_s[best]), 3),
                    "quality": {
                        name: round(float(value), 4)
                        for name, value in zip(QUALITIES, picks.detections.quality[best], strict=True)
                    },
                    "views": int(views[garment]),
                    "picture": picture.name if picture.is_file() else None,
                }
            )
        return shown


class Watched:
    """A detector that tells somebody of every frame it looked at; in everything else the detector it stands for."""

    def __init__(self, detector: Detector, live: Live) -> None:
        self._detector, self._live = detector, live

    def __call__(self, frames: Iterable[Frame], *more: Any, **settings: Any) -> Iterator[Detections]:
        """As the detector."""
        waiting: deque[Frame] = deque()

        def passing() -> Iterator[Frame]:
            for frame in frames:
                waiting.append(frame)
                yield frame

        for found in self._detector(passing(), *more, **settings):
            self._live.saw(waiting.popleft(), found)
            yield found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)


def watched(detector: Detector, live: Live) -> Detector:
    """A detector whose every frame somebody is told of."""
    return cast(Detector, Watched(detector, live))
