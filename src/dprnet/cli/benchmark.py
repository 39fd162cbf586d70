"""``dprnet benchmark``."""

from __future__ import annotations

from typing import Annotated

import typer

from dprnet.cli.common import BundleOption, DeviceOption, JsonOption


def benchmark(
    device: DeviceOption = "cpu",
    bundle: BundleOption = "tiny",
    seconds: Annotated[int, typer.Option("--seconds", min=1, help="Length of the clip.")] = 30,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Each figure is the median of so many.")] = 5,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images of a call; 512 on CUDA, else 8.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Run the networks through torch.compile.")] = False,
    torchcodec: Annotated[
        bool, typer.Option("--torchcodec", help="Also a clip that torchcodec decodes on the device (NVDEC on CUDA).")
    ] = False,
    json: JsonOption = False,
) -> None:
    """How fast this machine is: embedder, detector and a whole clip on one device (bfloat16 on CUDA)."""
    import json as writer
    from dataclasses import asdict

    from dprnet.core.bundle import Bundle
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.speed import measure_speed

    loaded = Bundle.from_pretrained(bundle)
    speed = measure_speed(
        loaded,
        device,
        seconds=seconds,
        rounds=rounds,
        batch=batch,
        compiled=compiled,
        torchcodec=torchcodec,
        progress=on_stderr(),
    )
    typer.echo(f"{speed.device}, {speed.precision}, {loaded.identity}", err=json)
    for row in speed.rows:
        typer.echo(f"{row.name}: {row.value:.4g} {row.unit}{f' ({row.told})' if row.told else ''}", err=json)
    if json:
        typer.echo(writer.dumps(asdict(speed) | {"bundle": loaded.identity}, indent=1))
