"""``dprnet demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import BundleOption, DeviceOption, OutOption


def demo(
    out: OutOption = Path("out/demo"),
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
    data: Annotated[
        Path | None, typer.Option("--data", envvar="DPRNET_DATA", help="Folder of real data, searched as well.")
    ] = None,
) -> None:
    """Index a sample catalogue, search sample videos, and write a page that shows what was found."""
    from dprnet.core.progress import on_stderr
    from dprnet.demo import run_demo

    for shown in run_demo(out, bundle=bundle, device=device, data=data, progress=on_stderr()):
        typer.echo(f"{shown.name}: {shown.garments} garments, {shown.picked} in a good view, {shown.matches} matches")
        typer.echo(f"  {shown.page}\n  {shown.json}")
