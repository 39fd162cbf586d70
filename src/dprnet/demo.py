"""The demonstration: the main job on samples that need no download, and on real data where there is some."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.bundle import Bundle
from dprnet.core.errors import MissingFile
from dprnet.core.progress import SILENT, Counted, Progress
from dprnet.core.records import Report
from dprnet.data.shopset import META, ShopSet
from dprnet.pipeline import VideoToShop, index
from dprnet.report import write_folder

SAMPLES = {"split": "demo", "seed": 1, "videos": 3, "seconds": 10.0, "items": 45}  # about 100 photos
REAL_CLIP = "videos/one-by-one-person-detection.mp4"
REAL_EVERY = "2s"  # ours: the clip is 139 s long, and the demonstration is to end within a minute


@dataclass(frozen=True, slots=True)
class Shown:
    """One page of the demonstration."""

    name: str
    garments: int
    picked: int
    matches: int
    page: Path
    json: Path


def run_demo(
    out: Path,
    *,
    bundle: str | Path = "tiny",
    device: str = "cpu",
    data: Path | None = None,
    progress: Progress = SILENT,
) -> Iterator[Shown]:
    """Make samples (once), index them, search them, write the pages; one result a page.

    Args:
        out: folder for everything; ``samples`` in it is kept for the next time.
        data: folder of real data; its clip is searched in its catalogue too.
    """
    shop = VideoToShop.from_pretrained(Bundle.from_pretrained(bundle), device=device)
    samples = _samples(out / "samples", progress)
    videos = [samples.video_path(name) for name in samples.videos]
    yield _show(shop, "sample videos", samples.catalogue_path, videos, "0.5s", out, progress)
    if data is not None:
        if not (data / REAL_CLIP).is_file():
            raise MissingFile(data / REAL_CLIP, "not there; point DPRNET_DATA at the folder of real data, or unset it")
        catalogue = _luma_catalogue(data / "luma", out / "real" / "catalogue.csv")
        yield _show(shop, "real video", catalogue, [data / REAL_CLIP], REAL_EVERY, out / "real", progress)


def _show(
    shop: VideoToShop, name: str, catalogue: Path, videos: list[Path], every: str, out: Path, progress: Progress
) -> Shown:
    folder = out / f"gallery-{shop.embedder.identity.rpartition('@')[2]}"
    indexed = index(catalogue, folder, shop.embedder, progress=progress)
    report, pictures = shop.in_gallery(indexed.folder).search_shown(videos, every=every, progress=progress)
    page, values, _ = write_folder(report, pictures, out, title=name.capitalize())
    return Shown(
        name, int((~report.picks.doubtful).sum()), int(report.picks.picked.sum()), _count(report), page, values
    )


def _count(report: Report) -> int:
    return sum(len(items) for items in report.matches.items)


def _samples(folder: Path, progress: Progress) -> ShopSet:
    """The sample set: rendered at the first call (a call that was stopped starts again), opened afterwards."""
    if not (folder / META).is_file():
        from dprnet.data.world.make import WorldSettings, make_world  # skia is wanted only to render

        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        rendering = Counted(progress, "Rendering samples")
        make_world(unfinished, WorldSettings.model_validate(SAMPLES), rendering, processes=os.cpu_count() or 1)
        unfinished.rename(folder)
    return ShopSet.open(folder)


def _luma_catalogue(luma: Path, path: Path) -> Path:
    """The shop catalogue of the real data in the form of ours: an item is a product in a colour."""
    with (luma / "index.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item_id", "image", "category", "title", "view"))
        for row in rows:
            item = f"{row['product']}-{row['colour']}"
            title = f"{row['category'].capitalize()}, {row['colour']} ({row['product']})"
            writer.writerow((item, (luma / row["file"]).resolve(), row["category"], title, row["view"]))
    return path
