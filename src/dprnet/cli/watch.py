"""``dprnet watch SOURCE``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dprnet.cli.common import BundleOption, DeviceOption, EveryOption, KindOption, RuntimeOption


def watch(
    source: Annotated[str, typer.Argument(help="rtsp://, http(s):// (HLS or a stream), a file that grows, or '-'.")],
    gallery: Annotated[str | None, typer.Option("--gallery", help="Gallery to search in: folder or address.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the best view of each garment.")] = None,
    every: EveryOption = "0.5s",
    fallback: Annotated[
        Literal["best"] | None, typer.Option("--fallback", help="best: also tell of garments without a good view.")
    ] = None,
    items: Annotated[int, typer.Option("--items", min=1, max=100, help="Items a garment gets at most.")] = 5,
    kind: KindOption = "auto",
    give_up: Annotated[float, typer.Option("--give-up", min=0.1, help="Seconds a lost stream is tried again.")] = 300.0,
    idle: Annotated[float, typer.Option("--idle", min=0.1, help="Seconds after which a file is complete.")] = 10.0,
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
    runtime: RuntimeOption = "auto",
) -> None:
    """Watch a stream and tell of each garment seconds after it is first seen; JSON Lines on stdout."""
    from dprnet.core.config import parse_settings
    from dprnet.live.config import WatchConfig
    from dprnet.live.lines import write_lines
    from dprnet.live.watch import Watcher

    values = {"every": every, "fallback": fallback, "items": items, "kind": kind}
    config = parse_settings(values | {"give_up_s": give_up, "idle_s": idle}, WatchConfig, "watch")
    watcher = Watcher(bundle, gallery=gallery, config=config, device=device, runtime=runtime)
    write_lines(watcher.watch(source), typer.echo, out)
