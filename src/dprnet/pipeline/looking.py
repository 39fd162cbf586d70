"""The first half of the flow: decode -> detect, one video after the other. No pixel is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dprnet.core.errors import DprnetError
from dprnet.core.lanes import Idle
from dprnet.core.progress import Progress, Stopwatch
from dprnet.core.records import Detections, Source
from dprnet.decode import DecodeLimits, Every, open_video
from dprnet.decode.spool import Spool
from dprnet.detect import Detector
from dprnet.pipeline.gathering import Gathering
from dprnet.pipeline.joining import none_read


@dataclass(frozen=True, slots=True)
class Seen:
    """One video after detection."""

    source: Source
    file: Path
    """Where it can be read again: a pipe's copy."""
    detections: Detections


@dataclass(frozen=True, slots=True)
class Looking:
    """How videos are looked at, and who is told of it."""

    detector: Detector
    every: Every
    limits: DecodeLimits
    watch: Stopwatch
    progress: Progress

    def at(self, paths: Sequence[Path], spool: Spool) -> list[Seen]:
        """Each video in turn; one that cannot be read does not stop the others, and is a source of status ``failed``.

        Raises:
            DprnetError: none of them could be read.
        """
        seen: list[Seen] = []
        errors: list[DprnetError] = []
        for number, path in enumerate(paths):
            try:
                seen.append(self._one(path, spool(path), number))
            except DprnetError as error:
                errors.append(error)
                seen.append(Seen(Source(str(path), "", 0, 0, 0.0, "failed", str(error)), path, Detections.empty()))
        if errors and len(errors) == len(paths):
            raise none_read(errors)
        return seen

    def _one(self, path: Path, file: Path, number: int) -> Seen:
        found, idle, watch = Gathering(), Idle(), self.watch
        with watch("decode"):  # its process starts
            short, long = self.detector.short_side, self.detector.long_side  # nothing scales frames again
            opened = open_video(file, self.every, limits=self.limits, short_side=short, long_side=long, source=number)
        with opened as video:
            with watch("detect"):
                looked = self.detector(video, idle=idle)
                for detections in self.progress.track(looked, f"Looking at {path.name}"):
                    found.add(detections)
                whole = found.whole()
            watch.of_these(idle.seconds, "decode", within="detect")
            with watch("decode"):  # the file is read once more, for its hash
                record = video.record()
            return Seen(replace(record, path=str(path)), file, whole)
