"""Which frames of a video are looked at, and every longer interval as a part of one fine pass.

Detecting is the dear part of figure 6: each video is looked at once at the shortest interval, and the key frames of a
longer T are those that a decoder would have chosen of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dprnet.core.progress import Progress, Silent
from dprnet.core.records import FloatArray, IntArray
from dprnet.data.shopset import ShopSet
from dprnet.decode.sampling import Every, Wanted
from dprnet.evaluate.kept import keyed_folder, load_arrays, save_arrays
from dprnet.evaluate.seen import Seen

CLOCK_SIDE = 32  # ours: pixels of the frames that are decoded only for their times


@dataclass(frozen=True, eq=False)
class Looks:
    """The frames of one video at one interval."""

    frame_index: IntArray
    """(F,) ascending."""
    time_s: FloatArray
    """(F,) seconds since the first frame."""

    def at(self, every: str) -> Looks:
        """Those of them that a longer interval looks at.

        >>> looks = Looks(np.arange(6), np.arange(6, dtype=np.float32) / 4)
        >>> looks.at("0.5s").frame_index
        array([0, 2, 4])
        """
        targets = Wanted(Every.parse(every)).targets()
        kept = [targets.take(int(i), float(t)) for i, t in zip(self.frame_index, self.time_s, strict=True)]
        return Looks(self.frame_index[kept], self.time_s[kept])


def looks_of(
    shopset: ShopSet, every: str, *, cache: Path | None = None, progress: Progress | None = None
) -> dict[str, Looks]:
    """Index and time of the frames that an interval looks at, by video; also of frames that show no garment.

    Raises:
        BadVideo: a video cannot be decoded.
    """
    from dprnet.decode import open_video

    folder = keyed_folder(cache, "looks", {"set": shopset.id, "every": every}) if cache is not None else None
    found = {}
    for name in (progress or Silent()).track(shopset.videos, "reading times", len(shopset.videos)):
        path = folder / f"{name}.npz" if folder else None
        source = shopset.video_path(name)
        arrays = load_arrays(path, of=source) if path else None
        if arrays is None:
            with open_video(source, Every.parse(every), short_side=CLOCK_SIDE) as video:
                pairs = [(frame.index, frame.time_s) for frame in video]
            arrays = {
                "frame_index": np.array([index for index, _ in pairs], np.int64),
                "time_s": np.array([time for _, time in pairs], np.float64),
            }
            if path:
                save_arrays(path, arrays, of=source)
        found[name] = Looks(arrays["frame_index"], arrays["time_s"])
    return found


def seen_at(seen: Sequence[Seen], looks: Mapping[str, Looks], every: str) -> tuple[list[Seen], dict[str, IntArray]]:
    """What would have been seen at a longer interval, and the frames that would have been looked at, by video.

    Args:
        seen: at the shortest interval.
        looks: the frames of that interval, as :func:`looks_of` gives them.
        every: the longer interval.
    """
    frames = {video.truth.name: looks[video.truth.name].at(every).frame_index for video in seen}
    parts = []
    for video in seen:
        kept = np.flatnonzero(np.isin(video.detections.frame_index, frames[video.truth.name]))
        parts.append(Seen(video.detections[kept], video.truth, video.views[kept], video.ignored[kept]))
    return parts, frames
