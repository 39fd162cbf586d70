"""``dprnet index CATALOGUE``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import BundleOption, DeviceOption, GalleryOption


def index(
    catalogue: Annotated[Path, typer.Argument(help="Folder of photos, or a table: CSV, Parquet, JSON Lines.")],
    gallery: GalleryOption = "gallery",
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
    crop_photos: Annotated[
        bool, typer.Option("--crop-photos", help="Cut worn photos to the garment of the item's category.")
    ] = False,
) -> int:
    """Read a catalogue and put its items into a gallery; photos that cannot be read are listed beside it."""
    from dprnet.core.progress import on_stderr
    from dprnet.pipeline import index_catalogue

    done = index_catalogue(
        catalogue, gallery, bundle=bundle, device=device, crop_photos=crop_photos, progress=on_stderr()
    )
    typer.echo(f"{gallery}: {done.items} items, {done.photos} photos")
    if done.problems:
        typer.echo(f"{len(done.problems)} problems, listed in {done.problems_path}", err=True)
    return 3 if done.problems else 0
