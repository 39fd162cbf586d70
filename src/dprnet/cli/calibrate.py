"""``dprnet calibrate input|proposals|picking|shares|matching``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dprnet.cli.common import CacheOption, DataArgument, DeviceOption, EveryOption

if TYPE_CHECKING:
    from dprnet.evaluate.detection.sweep import Knob

PhotosOption = Annotated[
    Path | None, typer.Option("--photos", help="Folder of real data: its validation street photos count too.")
]
BundleOption = Annotated[Path, typer.Option("--bundle", help="Folder of the bundle to store what is fitted in.")]
TableOption = Annotated[Path | None, typer.Option("--table", help="File (CSV) for all values tried.")]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="The same as a picture (PNG, SVG or PDF).")]

app = typer.Typer(help="Fit thresholds on validation data.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def calibrate() -> None:
    """Fit thresholds on validation data and store them in the bundle."""


@app.command()
def picking(
    data: DataArgument,
    bundle: BundleOption,
    photos: PhotosOption = None,
    every: EveryOption = "0.5s",
    either: Annotated[
        list[str] | None, typer.Option("--either", help="Two classes one garment may be seen as: top,outerwear.")
    ] = None,
    table: Annotated[Path | None, typer.Option("--table", help="File (CSV) for what other values would give.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="The same as a picture (PNG, SVG or PDF).")] = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Fit the three limits, the cut distance and the rest of picking on the videos of a validation set."""
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.bundle_calibration import calibrate_bundle
    from dprnet.evaluate.tradeoff import plot_tradeoff

    done = calibrate_bundle(
        bundle, data, photos, every=every, device=device, either=either or (), cache=cache, progress=on_stderr()
    )
    for path in filter(None, (table, plot)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if table is not None:
        done.write_table(table)
    if plot is not None:
        plot_tradeoff(done, plot)
    typer.echo(done.config.model_dump_json())


@app.command("input")
def input_size(
    data: DataArgument,
    bundle: BundleOption,
    photos: PhotosOption = None,
    table: TableOption = None,
    plot: PlotOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Fit how large the detector sees a frame: the smallest that costs no precision; before proposals and picking."""
    from dprnet.evaluate.detection.sweep import INPUT

    _turn(INPUT, data, bundle, photos, table, plot, device)


@app.command()
def proposals(
    data: DataArgument,
    bundle: BundleOption,
    photos: PhotosOption = None,
    table: TableOption = None,
    plot: PlotOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Fit how many boxes the detector's first stage hands on: the fewest that cost no precision; before picking."""
    from dprnet.evaluate.detection.sweep import PROPOSALS

    _turn(PROPOSALS, data, bundle, photos, table, plot, device)


def _turn(
    knob: Knob, data: Path, bundle: Path, photos: Path | None, table: Path | None, plot: Path | None, device: str
) -> None:
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.bundle_calibration import calibrate_detector

    done = calibrate_detector(bundle, data, knob, photos, device=device, progress=on_stderr())
    if table is not None:
        done.write_table(table)
    if plot is not None:
        done.plot(plot)
    typer.echo(f"{done.chosen} {knob.noun}")


@app.command()
def shares(
    data: DataArgument,
    bundle: BundleOption,
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder of real data: its validation products are asked too.")
    ] = None,
    table: Annotated[Path | None, typer.Option("--table", help="File (CSV) for all shares tried.")] = None,
) -> None:
    """Fit how much start weights and plain colours count beside what was trained; before matching."""
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.shares import calibrate_shares

    done = calibrate_shares(bundle, data, photos=photos, progress=on_stderr())
    if table is not None:
        done.write_table(table)
    for asked, fit in (("photos", done.photos), ("views", done.views)):
        if fit is not None:
            tasks = ", ".join(f"{task} {recall:.3f}" for task, recall in zip(fit.tasks, fit.best.recall, strict=True))
            typer.echo(f"{asked}: kept {fit.best.kept}, shades {fit.best.shades}: {tasks}")


@app.command()
def matching(
    data: DataArgument,
    bundle: BundleOption,
    every: EveryOption = "0.5s",
    precision: Annotated[
        float, typer.Option("--precision", min=0.5, max=1, help="Wanted of what is called exact.")
    ] = 0.95,
    without_item: Annotated[
        float, typer.Option("--without-item", min=0, max=0.9, help="Share of garments that the shop does not have.")
    ] = 0.1,
    table: Annotated[Path | None, typer.Option("--table", help="File (CSV) for every pick it was fitted on.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Reliability diagram (PNG, SVG or PDF).")] = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Fit what similarity, and the margin to the next item, mean: exact, similar or none; after picking."""
    import json

    from dprnet.core.config import parse_settings
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.figures import plain
    from dprnet.evaluate.match_fit import MatchFitConfig
    from dprnet.evaluate.matching import calibrate_matching_of

    fit = parse_settings({"precision": precision, "without_item": without_item}, MatchFitConfig, "calibrate matching")
    done = calibrate_matching_of(bundle, data, fit=fit, every=every, cache=cache, device=device, progress=on_stderr())
    if table is not None:
        done.write_table(table)
    if plot is not None:
        done.plot(plot)
    typer.echo(
        json.dumps({"settings": done.config.model_dump(mode="json"), "figures": plain(done.figures())}, indent=1)
    )
