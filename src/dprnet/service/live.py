"""What a page can show of a job while it runs: its stage, and the garments found so far."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.images import cut_out, jpeg_bytes, shrink
from dprnet.core.records import Detections, FloatArray, Frame
from dprnet.detect import Detector
from dprnet.pick import PickConfig, PickStream

T = TypeVar("T")

UPDATE_S = 0.5  # ours: how often garments are told apart while a video runs; a page is told no more often
REST = 50  # ours: an update is followed by so many times its own seconds, so all of them cost 2 % at most
PICTURES = 8  # ours: at most so many are made at an update, sixteen a second; the others are made at the next
VIEW_SIDE = 240  # ours: pixels of the longer side of a view that may still be replaced by a better one
KEPT_FRAMES = 32  # ours: some 20 MB as the detector looks at them; a best view of an older one shows no picture


class Given(Exception):
    """The job was taken away: cancelled, deleted, or given to another worker."""


class Live:
    """Follows one job: told of every frame and every step, asked by whoever reports. Safe between threads.

    Garments are told apart now and then, not at every frame, and a picture is made only of a view that is then shown.

    Args:
        picking: settings of the bundle.
        folder: where pictures of the garments so far go.
        clock: seconds, ever growing.
    """

    def __init__(self, picking: PickConfig, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = PickStream(picking)
        self._folder = folder
        self._clock = clock
        self._due_s = self._spent_s = 0.0
        self._waiting: list[Detections] = []  # seen, and not yet told apart
        self._rows = 0  # detections seen
        self._frames: deque[tuple[int, Frame, FloatArray]] = deque(maxlen=KEPT_FRAMES)  # each with its first row
        self._pictures: set[int] = set()  # rows of which there is one
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
        if stage == "look" and self._spent_s < UPDATE_S:  # of a long video the last state of all is soon told anyhow
            self._update()
        self._tell(stage="match" if stage == "cut" else "cut", done=0, total=None)

    def saw(self, frame: Frame, found: Detections) -> None:
        """Take in the detections of one frame."""
        if len(found):
            self._waiting.append(found)
            self._frames.append((self._rows, frame, found.boxes_xyxy))
            self._rows += len(found)
        if self._clock() >= self._due_s:
            self._update()
        self._tell(time_s=round(frame.time_s, 3))

    def _update(self) -> None:
        """Tell apart what has been seen, and show it."""
        begun_s = self._clock()
        if self._waiting:
            self._stream.update(Detections.concatenate(self._waiting))
            self._waiting.clear()
        if self._rows:
            self._picture()
            self._tell(garments=self._garments())
        ended_s = self._clock()
        self._spent_s = ended_s - begun_s
        self._due_s = ended_s + max(UPDATE_S, REST * self._spent_s)

    def _picture(self) -> None:
        """Make pictures of best views that have none, while their frames are here."""
        picks = self._stream.picks
        wanted = set(picks.best[~picks.doubtful].tolist()) - self._pictures
        made = 0
        for first, frame, boxes in reversed(self._frames):  # the newest first: the others had their turn
            for row in sorted(wanted.intersection(range(first, first + len(boxes)))):
                if made == PICTURES:
                    return
                self._folder.mkdir(parents=True, exist_ok=True)
                view = shrink(cut_out(frame.image, boxes[row - first] * frame.scale), VIEW_SIDE)
                (self._folder / f"{row}.jpg").write_bytes(jpeg_bytes(view, 75))
                self._pictures.add(row)
                made += 1

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
                    "picture": f"{best}.jpg" if best in self._pictures else None,
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
