"""``dprnet index CATALOGUE``."""

from __future__ import annotations

from typing import Annotated

import typer

from dprnet.cli.common import BundleOption, DeviceOption, GalleryOption


def index(
    catalogue: Annotated[
        str, typer.Argument(help="Folder of photos, or a table (CSV, Parquet, JSON Lines); or its address.")
    ],
    gallery: GalleryOption = "gallery",
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
    crop_photos: Annotated[
        bool, typer.Option("--crop-photos", help="Cut worn photos to the garment of the item's category.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Embed every photo again, also those that did not change.")
    ] = False,
    retire: Annotated[bool, typer.Option("--retire", help="Remove items that the catalogue no longer has.")] = False,
    retire_at_most: Annotated[
        float, typer.Option("--retire-at-most", min=0, max=1, help="Share of the gallery that --retire may remove.")
    ] = 0.5,
    addresses: Annotated[
        bool, typer.Option("--addresses/--no-addresses", help="Fetch photos that are http(s):// or s3:// addresses.")
    ] = True,
    private: Annotated[
        bool, typer.Option("--private-addresses", help="Fetch also from hosts that are not on the public internet.")
    ] = False,
) -> int:
    """Read a catalogue and put its items into a gallery; photos that cannot be read are listed beside it."""
    from dprnet.core.fetching import FetchLimits
    from dprnet.core.progress import on_stderr
    from dprnet.gallery import shown
    from dprnet.pipeline import index_catalogue

    done = index_catalogue(
        catalogue,
        gallery,
        bundle=bundle,
        device=device,
        crop_photos=crop_photos,
        fresh=fresh,
        retire=retire_at_most if retire else None,
        fetch=FetchLimits(private=private) if addresses else None,
        progress=on_stderr(),
    )
    kept = f", {done.unchanged} items unchanged, {done.updated} with new texts, {len(done.retired)} retired"
    more = kept if done.unchanged or done.updated or done.retired else ""
    typer.echo(f"{shown(done.gallery)}: {done.items} items, {done.photos} photos{more}")
    if done.problems:
        typer.echo(f"{len(done.problems)} problems, listed in {done.problems_path}", err=True)
    return 3 if done.problems else 0
