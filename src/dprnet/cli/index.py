"""``dprnet index CATALOGUE``."""

from __future__ import annotations

from typing import Annotated, Literal

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
    on: Annotated[Literal["here", "ray"], typer.Option("--on", help="This process, or Ray Data.")] = "here",
    address: Annotated[str, typer.Option("--address", help="A Ray cluster; without it Ray starts here.")] = "",
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes that embed, on Ray.")] = 0,
    gpus: Annotated[
        float | None, typer.Option("--gpus", min=0, help="GPUs of the Ray cluster a worker holds; 1 with a GPU device.")
    ] = None,
) -> int:
    """Read a catalogue and put its items into a gallery; photos that cannot be read are listed beside it."""
    from dprnet.batch import CatalogueConfig, embed_catalogue
    from dprnet.core.config import parse_settings
    from dprnet.core.progress import on_stderr
    from dprnet.gallery import shown

    embedding = {"bundle": bundle, "device": device, "crop_photos": crop_photos}
    where_run = {"on": on, "address": address, "workers": workers or int(on == "ray"), "gpus": gpus}
    fetched = {"addresses": addresses, "private": private}
    config = parse_settings(embedding | where_run | fetched, CatalogueConfig, "index")
    share = retire_at_most if retire else None
    done = embed_catalogue(catalogue, gallery, config, fresh=fresh, retire=share, progress=on_stderr())
    kept = f", {done.unchanged} items unchanged, {done.updated} with new texts, {len(done.retired)} retired"
    more = kept if done.unchanged or done.updated or done.retired else ""
    typer.echo(f"{shown(done.gallery)}: {done.items} items, {done.photos} photos{more}")
    if done.problems:
        typer.echo(f"{len(done.problems)} problems, listed in {done.problems_path}", err=True)
    return 3 if done.problems else 0
