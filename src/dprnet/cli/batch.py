"""``dprnet batch VIDEOS``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dprnet.cli.common import BundleOption, ClipOption, DeviceOption, EveryOption, KindOption, WhereOption


def batch(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEOS...", help="Videos, folders, .txt lists of them, or their addresses.")
    ],
    out: Annotated[str, typer.Option("--out", help="Folder to write to, or s3://BUCKET/PREFIX.")],
    work: Annotated[Path | None, typer.Option("--work", help="Folder of work, where --out is an address.")] = None,
    gallery: Annotated[str, typer.Option("--gallery", help="Gallery to search in: folder or address.")] = "",
    every: EveryOption = "0.5s",
    items: Annotated[int, typer.Option("--items", min=1, max=100, help="Items a garment gets at most.")] = 5,
    where: WhereOption = "",
    fallback: Annotated[
        Literal["best"] | None, typer.Option("--fallback", help="best: also match garments without a good view.")
    ] = None,
    clip: ClipOption = False,
    kind: KindOption = "auto",
    full: Annotated[bool, typer.Option("--full", help="Also keep the whole report of every video.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 is this one, without limits.")] = 1,
    on: Annotated[Literal["here", "ray"], typer.Option("--on", help="This machine's processes, or Ray Data.")] = "here",
    address: Annotated[str, typer.Option("--address", help="A Ray cluster; without it Ray starts here.")] = "",
    gpus: Annotated[
        float | None, typer.Option("--gpus", min=0, help="GPUs of the Ray cluster a worker holds; 1 with a GPU device.")
    ] = None,
    item_s: Annotated[float, typer.Option("--item-s", help="Seconds a video may take.")] = 1800.0,
    item_mb: Annotated[int, typer.Option("--item-mb", min=64, help="Memory its worker may hold, in MB.")] = 8192,
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="Times a video is tried.")] = 2,
    block: Annotated[int, typer.Option("--block", min=1, help="Videos a Parquet file.")] = 64,
    video_mb: Annotated[int, typer.Option("--video-mb", min=1, help="Size of a video that is fetched, in MB.")] = 4096,
    private: Annotated[
        bool, typer.Option("--private-addresses", help="Fetch also from hosts that are not on the public internet.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also search those that failed before.")] = False,
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
) -> int:
    """Search many videos; results in Parquet, a run that was stopped goes on when it is called again."""
    from dprnet.batch import BatchConfig, find_videos, run_batch
    from dprnet.core.config import parse_settings
    from dprnet.core.errors import printable
    from dprnet.core.fetching import FetchLimits
    from dprnet.core.progress import on_stderr

    searching = {"bundle": bundle, "gallery": gallery, "device": device, "every": every, "items": items, "where": where}
    kept = {"fallback": fallback, "clip": clip, "kind": kind, "full": full, "block": block}
    where_run = {"on": on, "address": address, "gpus": gpus}
    limits = {"workers": workers, "item_s": item_s, "item_mb": item_mb, "attempts": attempts}
    fetched = {"video_bytes": video_mb << 20, "private": private}
    config = parse_settings(searching | kept | where_run | limits | fetched, BatchConfig, "batch")
    found = find_videos(videos, FetchLimits(private=private))
    done = run_batch(found, out, config, work=work, again=again, progress=on_stderr())
    typer.echo(f"{out}: {done.searched} videos searched, {done.already} were done, {len(done.bad)} failed")
    for path, reason in done.bad[:20]:
        typer.echo(f"  {printable(path)}: {reason}", err=True)
    return 3 if done.bad else 0
