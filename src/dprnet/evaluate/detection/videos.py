"""Average precision and the scoring branches on the frames of a set's videos."""

from __future__ import annotations

from collections.abc import Iterator

from dprnet.core.errors import BadDataset
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Detections, Frame, Truth
from dprnet.data.shopset import ShopSet
from dprnet.detect.detector import Detector
from dprnet.evaluate.detection.figures import LOWEST_SCORE, DetectionFigures, detection_figures

EVERY = "1s"  # ours: neighbouring frames tell the same twice


def evaluate_videos(
    detector: Detector, shopset: ShopSet, *, every: str = EVERY, progress: Progress = SILENT
) -> DetectionFigures:
    """Run a detector over the annotated frames of a set's videos, one in ``every``, and measure it.

    Frames without a row in the set's tables are left out: nobody may have looked at them. Intervals are over frames,
    and so too narrow: frames of one video are alike.

    Raises:
        BadDataset: no annotated frame.
        MissingFile, BadVideo: a video is not there, or cannot be decoded.
        MissingExtra: faster-coco-eval is not installed.
    """
    found: list[Detections] = []
    truths: list[Truth] = []
    for name in progress.track(shopset.videos, "detecting", len(shopset.videos)):
        known = shopset.truth(name)
        seen = _frames(shopset, name, every, known, detector, truths)
        found += detector(seen, score_threshold=LOWEST_SCORE)
    if not truths:
        raise BadDataset(shopset.folder, f"none of the frames at every {every} of its videos is annotated")
    return detection_figures(found, truths)


def _frames(
    shopset: ShopSet, name: str, every: str, known: dict[int, Truth], detector: Detector, truths: list[Truth]
) -> Iterator[Frame]:
    """The annotated frames of a video; notes the truth of each."""
    from dprnet.decode import Every, open_video

    short, long = detector.short_side, detector.long_side  # as the pipeline asks for frames
    with open_video(shopset.video_path(name), Every.parse(every), short_side=short, long_side=long) as video:
        for frame in video:
            if frame.index in known:
                truths.append(known[frame.index])
                yield frame
