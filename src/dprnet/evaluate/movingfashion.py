"""MovingFashion as a set in our layout, so that everything that measures sets measures it too.

MovingFashion tells no classes, so its garments have class -1: a pick of any class may show them. Nobody labelled
quality, so R_optimal says nothing on it; R_pick and Recall@K do.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.classes import UNLABELLED
from dprnet.core.errors import BadDataset, DprnetError
from dprnet.core.progress import SILENT, Progress
from dprnet.data.movingfashion import MovingFashion, Query
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.evaluate.looks import CLOCK_SIDE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a split."""

    shopset: ShopSet
    queries: int
    left_out: tuple[str, ...]
    """Videos and photos that are missing or cannot be read, each with the reason."""


def as_shop_set(read: MovingFashion, out: Path, *, progress: Progress = SILENT) -> Converted:
    """Write a split as a video-to-shop set; videos are linked to, not copied.

    Args:
        read: as :func:`dprnet.data.movingfashion.read_movingfashion` gives it.
        out: empty or absent folder.
        progress: shows the videos done.

    Raises:
        BadDataset: the folder holds a set, or the split has no tracklets (the training split has none).
    """
    if not any(one.tracklets for one in read.products):
        raise BadDataset(
            read.folder, f"the split '{read.split}' has no tracklets, so nobody knows which garment is meant"
        )
    writer = ShopSetWriter(out, {"name": f"movingfashion-{read.split}", "split": read.split})
    left_out = [f"{name}: missing" for name in read.missing]
    for number, (product, image) in enumerate(sorted(read.gallery.items())):
        relative = f"gallery/{number:06d}{Path(image).suffix.lower()}"
        shutil.copyfile(read.folder / image, out / relative)
        writer.add_item(product, [relative])
    done = 0
    for number, query in enumerate(progress.track(read.queries, "reading videos", len(read.queries))):
        try:
            _add(writer, read.folder, query, number)
            done += 1
        except DprnetError as error:
            left_out.append(str(error))
            log.warning("left out: %s", error)
    return Converted(writer.finish(), done, tuple(left_out))


def _add(writer: ShopSetWriter, folder: Path, query: Query, number: int) -> None:
    from dprnet.decode import Every, open_video

    source, name = folder / query.video, f"{number:05d}_{query.source}"
    with open_video(source, Every(frames=1), short_side=CLOCK_SIDE) as video:
        times = {frame.index: frame.time_s for frame in video}
        record = video.record()
    beyond = [frame for frame in query.tracklet if frame not in times]
    if beyond:
        raise BadDataset(source, f"its tracklet names frame {beyond[0]}, the video has {len(times)} frames")
    writer.add_video(name).symlink_to(source.resolve())
    attributes = {"also": list(query.products[1:]), "source": query.source}
    writer.add_instance(name, number, UNLABELLED, query.products[0], attributes=attributes)
    for frame, (x1, y1, x2, y2) in query.tracklet.items():
        box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(record.width)), min(y2, float(record.height)))
        if box[2] > box[0] and box[3] > box[1]:
            writer.add_view(name, frame, number, box, time_s=times[frame])
