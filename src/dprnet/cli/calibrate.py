"""``dprnet calibrate picking``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import CacheOption, DataArgument, DeviceOption, EveryOption

app = typer.Typer(help="Fit thresholds on validation data.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def calibrate() -> None:
    """Fit thresholds on validation data and store them in the bundle."""


@app.command()
def picking(
    data: DataArgument,
    bundle: Annotated[Path, typer.Option("--bundle", help="Folder of the bundle to store them in.")],
    every: EveryOption = "0.5s",
    table: Annotated[Path | None, typer.Option("--table", help="File (CSV) for what other values would give.")] = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Fit the three limits, the cut distance and the rest of picking on the videos of a validation set."""
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.measure import calibrate_bundle

    done = calibrate_bundle(bundle, data, every=every, cache=cache, device=device, progress=on_stderr())
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        done.write_table(table)
    typer.echo(done.config.model_dump_json())
