"""``dprnet evaluate detection|instances|picking|retrieval|video-to-shop``: figures as JSON on stdout, or in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dprnet.cli.common import BundleOption, CacheOption, DataArgument, DeviceOption, EveryOption, SplitOption

app = typer.Typer(help="Measure a bundle on data with known truth.", no_args_is_help=True, rich_markup_mode=None)
Plot = Annotated[Path | None, typer.Option("--plot", help="Picture (PNG, SVG or PDF) of the figures.")]
Out = Annotated[Path | None, typer.Option("--out", help="File (JSON) for the figures, instead of stdout.")]


@app.command()
def detection(
    data: DataArgument, bundle: BundleOption = "tiny", split: SplitOption = "test", out: Out = None,
    device: DeviceOption = "cpu", plot: Plot = None,
) -> None:  # fmt: skip
    """Average precision and the three scores, on single images."""
    from dprnet.core.bundle import Bundle
    from dprnet.evaluate.detection.plots import plot_branches
    from dprnet.evaluate.measure import measure_detection

    figures = measure_detection(Bundle.from_pretrained(bundle), data, split=split, device=device)
    if plot is not None:
        plot_branches(figures, plot)
    _tell(figures, out)


@app.command()
def instances(
    data: DataArgument, bundle: BundleOption = "tiny", every: EveryOption = "0.5s", out: Out = None,
    validation: Annotated[Path, typer.Option("--validation", help="Set on whose videos the cuts are fitted.")] = Path(
        "out/world/validation"), cache: CacheOption = None, device: DeviceOption = "cpu", plot: Plot = None,
) -> None:  # fmt: skip
    """The instance branch beside a tracker and the retrieval embedder, on the same boxes."""
    from dprnet.core.bundle import Bundle
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.detection.plots import plot_instances
    from dprnet.evaluate.measure import measure_instances

    loaded = Bundle.from_pretrained(bundle)
    figures = measure_instances(loaded, data, validation, every=every, cache=cache, device=device, progress=on_stderr())
    if plot is not None:
        plot_instances(figures, plot)
    _tell(figures, out)


@app.command()
def retrieval(
    data: DataArgument, bundle: BundleOption = "tiny", split: SplitOption = "test", out: Out = None,
    device: DeviceOption = "cpu",
) -> None:  # fmt: skip
    """Recall of garments in shop photos, from true views."""
    from dprnet.core.bundle import Bundle
    from dprnet.evaluate.measure import measure_retrieval

    _tell(measure_retrieval(Bundle.from_pretrained(bundle), data, split=split, device=device), out)


@app.command()
def picking(
    data: DataArgument, bundle: BundleOption = "tiny", every: EveryOption = "0.5s", out: Out = None,
    cache: CacheOption = None, device: DeviceOption = "cpu",
) -> None:  # fmt: skip
    """R_pick, R_duplication and R_optimal on the videos of a set (paper, section 4)."""
    from dprnet.core.bundle import Bundle
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.measure import measure_picking

    loaded = Bundle.from_pretrained(bundle)
    _tell(measure_picking(loaded, data, every=every, cache=cache, device=device, progress=on_stderr()), out)


@app.command("video-to-shop")
def video_to_shop(
    data: DataArgument, bundle: BundleOption = "tiny", every: EveryOption = "0.5s", out: Out = None,
    gallery: Annotated[Path, typer.Option("--gallery", help="Folder for the gallery.")] = Path("out/evaluate/gallery"),
    cache: CacheOption = None, device: DeviceOption = "cpu",
    no_match_below: Annotated[
        float | None, typer.Option("--no-match-below", help="Similarity below which a garment has no match.")
    ] = None,
) -> None:  # fmt: skip
    """Recall from a video to the items worn in it, over all garments that have an item."""
    from dprnet.core.bundle import Bundle
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.measure import measure_video_to_shop as measure

    loaded = Bundle.from_pretrained(bundle)
    common = {"every": every, "cache": cache, "device": device, "no_match_below": no_match_below}
    _tell(measure(loaded, data, gallery, **common, progress=on_stderr()), out)  # type: ignore[arg-type]


@app.command()
def card(
    bundle: BundleOption = "tiny",
    figures: Annotated[Path, typer.Option("--figures", help="Folder of the JSON files of the other verbs.")] = Path(),
    machine: Annotated[str, typer.Option("--machine", help="Where the figures were measured.")] = "",
    date: Annotated[str, typer.Option("--date", help="When the figures were measured.")] = "",
) -> None:
    """Write the bundle's card (README.md) from its manifest and measured figures."""
    from dprnet.core.bundle import Bundle
    from dprnet.evaluate.card import write_card

    typer.echo(write_card(Bundle.from_pretrained(bundle), figures, machine=machine, date=date))


def _tell(figures: Any, out: Path | None) -> None:
    import json

    from dprnet.evaluate.figures import plain, write_figures

    if out is None:
        typer.echo(json.dumps(plain(figures), indent=1))
    else:
        write_figures(figures, out)
        typer.echo(out)
