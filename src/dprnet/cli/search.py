"""``dprnet search VIDEO...``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dprnet.cli.common import (
    BundleOption,
    ClipOption,
    DeviceOption,
    EveryOption,
    JsonOption,
    KindOption,
    RuntimeOption,
    WhereOption,
)

Until = Literal["detect", "pick", "embed"]
Fallback = Literal["best"]


def search(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="One or several videos.")],
    gallery: Annotated[str | None, typer.Option("--gallery", help="Gallery to search in: folder or address.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for report.html, report.json, report.csv.")] = None,
    json: JsonOption = False,
    every: EveryOption = "0.5s",
    as_one: Annotated[bool, typer.Option("--as-one", help="One set of garments over all the videos.")] = False,
    until: Annotated[Until | None, typer.Option("--until", help="Stop after this stage.")] = None,
    fallback: Annotated[
        Fallback | None, typer.Option("--fallback", help="best: also match garments without a good view.")
    ] = None,
    clip: ClipOption = False,
    items: Annotated[int, typer.Option("--items", min=1, max=100, help="Items a garment gets at most.")] = 5,
    where: WhereOption = "",
    kind: KindOption = "auto",
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
    runtime: RuntimeOption = "auto",
) -> int:
    """Find the garments of a video, each once in its best view, and the catalogue items that match them."""
    from dprnet.core.progress import on_stderr
    from dprnet.pipeline import VideoToShop
    from dprnet.report import jsonl_line, summary, write_folder

    shop = VideoToShop.from_pretrained(bundle, gallery=gallery, kind=kind, device=device, runtime=runtime)
    report, pictures = shop.search_shown(
        videos,
        every=every,
        as_one=as_one,
        until=until,
        fallback=fallback,
        items=items,
        where=where,
        clip=clip,
        progress=on_stderr(),
    )
    for path in write_folder(report, pictures, out) if out else ():
        typer.echo(path, err=json)
    typer.echo(jsonl_line(report, vectors=until == "embed") if json else summary(report))
    return 3 if any(source.status == "failed" for source in report.sources) else 0
