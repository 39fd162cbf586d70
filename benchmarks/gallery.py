"""Gallery construction: photos a second against cores / (reading + embedding), the limit where nothing stalls.

Reading is to pixels, embedding from pixels, as anybody would do it who has both. The import saves a copy between the
two; so the last row sets it against its own steps: reading to the square that the network looks at, and the network.

    python benchmarks/gallery.py [PHOTOS] [--count 200] [--rounds 3] [--out FILE.csv]

Without PHOTOS, those of the catalogue in DPRNET_DATA. Reading is measured against simplejpeg with scaled decoding, the
fastest peer; a missing peer fails the run.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from pathlib import Path

import simplejpeg
from _measure import Table, interleaved, options

from dprnet.core import graphs
from dprnet.core.bundle import Bundle
from dprnet.core.images import read_image, read_picture
from dprnet.core.records import Image
from dprnet.embed.config import prepare
from dprnet.embed.embedder import Embedder
from dprnet.pipeline import index
from dprnet.pipeline.photos import PHOTO_SIDE


def catalogue(photos: list[Path], folder: Path) -> Path:
    path = folder / "catalogue.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item_id", "image"))
        writer.writerows((f"item{number}", photo.resolve()) for number, photo in enumerate(photos))
    return path


def scaled(photo: Path) -> None:
    data = photo.read_bytes()
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    factor = PHOTO_SIDE / min(height, width)
    simplejpeg.decode_jpeg(data, min_height=int(height * factor), min_width=int(width * factor))


def main() -> None:
    parser = options(__doc__, rounds=3)
    data = os.environ.get("DPRNET_DATA")
    parser.add_argument("photos", type=Path, nargs="?", default=Path(data, "luma") if data else None)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--bundle", default="tiny")
    given = parser.parse_args()
    if given.photos is None:
        parser.error("name a folder of photos, or set DPRNET_DATA")
    table = Table("gallery", given.out)
    found = sorted(path for path in given.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        parser.error(f"{given.photos}: no JPEG photos")
    photos = (found * -(-given.count // len(found)))[: given.count]
    embedder = Embedder.from_bundle(Bundle.from_pretrained(given.bundle))
    images = [read_image(path, short_side=PHOTO_SIDE).image for path in photos]

    def squares() -> list[Image]:
        return [prepare(read_picture(path, short_side=PHOTO_SIDE), embedder.config) for path in photos]

    ready = squares()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table_path = catalogue(photos, folder)

        def build() -> None:
            shutil.rmtree(folder / "gallery", ignore_errors=True)
            index(table_path, folder / "gallery", embedder)

        jobs = {
            "read": lambda: [read_image(path, short_side=PHOTO_SIDE) for path in photos],
            "peer": lambda: [scaled(path) for path in photos],
            "embed": lambda: embedder(images),
            "build": build,
            "squares": squares,
            "network": lambda: embedder(ready),
            "read again": lambda: [read_image(path, short_side=PHOTO_SIDE) for path in photos],
        }
        spent = interleaved(jobs, given.rounds)
    each = {name: 1000 * one.cpu_s / len(photos) for name, one in spent.items()}
    cores = graphs.lanes()
    limit = 1000 * cores / (each["read"] + each["embed"])
    rate = len(photos) / spent["build"].wall_s
    table.row("read a photo", each["read"], "ms", "simplejpeg, scaled", each["read"] / each["peer"])
    table.row("noise: read again", each["read again"], "ms", "read", each["read again"] / each["read"])
    table.row("embed a photo, prepared", each["embed"], "ms")
    table.row("build, processor", each["build"], "ms", "read + embed", each["build"] / (each["read"] + each["embed"]))
    table.row("build", rate, "photos/s", "cores / (read + embed)", rate / limit, spent["build"].share, aim=">= 0.9")
    own = 1000 * cores / (each["squares"] + each["network"])
    table.row("build, its own steps", rate, "photos/s", "cores / (squares + network)", rate / own)


if __name__ == "__main__":
    main()
