"""``dprnet evaluate detection|instances|picking|retrieval|video-to-shop|...``: figures as JSON, and pages of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dprnet.cli.common import BundleOption, CacheOption, DataArgument, DeviceOption, EveryOption, SplitOption

app = typer.Typer(help="Measure a bundle on data with known truth.", no_args_is_help=True, rich_markup_mode=None)
Plot = Annotated[Path | None, typer.Option("--plot", help="Picture (PNG, SVG or PDF) of the figures.")]
EmbedderOption = Annotated[
    str | None, typer.Option("--embedder", help="timm:NAME, open_clip:NAME or a bundle, instead of the bundle's own.")
]
Out = Annotated[Path | None, typer.Option("--out", help="File (JSON) for the figures, instead of stdout.")]


@app.command()
def detection(
    data: DataArgument, bundle: BundleOption = "tiny", split: SplitOption = "test", out: Out = None,
    device: DeviceOption = "cpu", plot: Plot = None,
) -> None:  # fmt: skip
    """Average precision and the three scores, on single images."""
    from dprnet.core.bundle import Bundle
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.detection.plots import plot_branches
    from dprnet.evaluate.measure import measure_detection

    loaded = Bundle.from_pretrained(bundle)
    figures = measure_detection(loaded, data, split=split, device=device, progress=on_stderr())
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
    embedder: EmbedderOption = None, device: DeviceOption = "cpu",
    distractors: Annotated[
        list[Path] | None, typer.Option("--distractors", help="Catalogue that makes the gallery of a set larger.")
    ] = None,
) -> None:  # fmt: skip
    """Recall of garments in shop photos, from true views; beside the floor, by class, with the hardest failures."""
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.retrieval_runs import detector_of, embedder_named, measure_retrieval

    named = embedder_named(embedder or bundle, device=device)
    detector = None if embedder else detector_of(bundle, data, split, device=device)
    more = {"split": split, "distractors": tuple(distractors or ()), "detector": detector}
    _tell(measure_retrieval(named, data, **more, progress=on_stderr()), out)  # type: ignore[arg-type]


@app.command()
def protocol(
    data: Annotated[Path, typer.Argument(help="DeepFashion consumer-to-shop, Street2Shop, or a table of pairs.")],
    bundle: BundleOption = "tiny", embedder: EmbedderOption = None, split: SplitOption = "test", out: Out = None,
    device: DeviceOption = "cpu",
) -> None:  # fmt: skip
    """Top-K by the published protocols of a data set: of DeepFashion both, in both countings of queries."""
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.photo_protocols import protocols_of
    from dprnet.evaluate.protocols import evaluate_protocols
    from dprnet.evaluate.retrieval_runs import embedder_named

    asked = protocols_of(data, split)
    _tell(evaluate_protocols(embedder_named(embedder or bundle, device=device), asked, progress=on_stderr()), out)


@app.command()
def leaks(
    data: Annotated[list[Path], typer.Argument(help="Data sets, each with its splits; a video-to-shop set is one.")],
    out: Out = None,
) -> int:
    """List pictures that lie in two splits or under two items; exit code 3 where a split leaks into another."""
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.leaks import find_twins, splits_of

    splits = splits_of(data)
    twins = find_twins(splits, on_stderr())
    leaking = sum(twin.leak for twin in twins)
    photos = {split: len(found) for split, found in splits.items()}
    _tell({"photos": photos, "leaks": leaking, "twins": twins}, out)
    return 3 if leaking else 0


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


@app.command()
def clips(
    videos: Annotated[Path, typer.Argument(help="Folder of the annotated clips (DPRNET_DATA/videos).")],
    bundle: BundleOption = "tiny", out: Out = None, cache: CacheOption = None, device: DeviceOption = "cpu",
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Picture (PNG) of views with their scores.")] = None,
) -> None:  # fmt: skip
    """R_pick, R_duplication and R_optimal on real people: ten short clips whose garments were annotated by eye."""
    from dprnet.core.bundle import Bundle
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.clips import measure_clips

    loaded = Bundle.from_pretrained(bundle)
    _tell(measure_clips(loaded, videos, sheet=sheet, device=device, cache=cache, progress=on_stderr()), out)


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


@app.command()
def results(
    figures: Annotated[
        Path, typer.Option("--figures", help="Folder of the JSON files and pictures of the other verbs.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for measured.md and its pictures.")],
    bundle: BundleOption = "tiny",
    machine: Annotated[str, typer.Option("--machine", help="Where the figures were measured.")] = "",
    date: Annotated[str, typer.Option("--date", help="When the figures were measured.")] = "",
) -> None:
    """What detection, instances and clips measured, as one page of Markdown with small pictures."""
    from dprnet.core.bundle import Bundle
    from dprnet.evaluate.results import write_results

    identity = Bundle.from_pretrained(bundle).identity
    typer.echo(write_results(figures, out, bundle=bundle, identity=identity, machine=machine, date=date))


def _tell(figures: Any, out: Path | None) -> None:
    import json

    from dprnet.evaluate.figures import plain, write_figures

    if out is None:
        typer.echo(json.dumps(plain(figures), indent=1))
    else:
        write_figures(figures, out)
        typer.echo(out)
