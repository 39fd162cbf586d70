"""``dprnet world make|paste``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import OutOption

app = typer.Typer(help="Sets with full truth: a drawn world, and scenes pasted of photos.", no_args_is_help=True)
Split = Annotated[str, typer.Option("--split", help="train, validation or test; they share no garment.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same set.")]
Stills = Annotated[int, typer.Option("--stills", min=0, help="How many single frames, instead of videos.")]


@app.command()
def make(
    out: OutOption,
    split: Split = "test",
    videos: Annotated[int, typer.Option("--videos", min=0, help="How many videos.")] = 0,
    stills: Stills = 0,
    items: Annotated[int, typer.Option("--items", min=0, help="Catalogue items at least.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="Mean length of a video.")] = 15.0,
    seed: Seed = 0,
    crowd: Annotated[
        tuple[float, float, float] | None, typer.Option("--crowd", help="Weights of one, two and three people.")
    ] = None,
    textures: Annotated[str, typer.Option("--textures", help="Folder of photos to take backdrops from.")] = "",
    processes: Annotated[int, typer.Option("--processes", min=1, help="How many work at once.")] = 1,
) -> None:
    """Draw videos (or single frames) of people in clothes, and a catalogue of shop photos."""
    from dprnet.core.config import parse_settings
    from dprnet.core.progress import Counted, on_stderr
    from dprnet.data.world.make import WorldSettings, make_world
    from dprnet.evaluate.measure import measure_difficulty

    values = {"split": split, "videos": videos, "stills": stills, "items": items, "seconds": seconds, "seed": seed}
    settings = parse_settings(values | {"crowd": crowd, "texture_folder": textures}, WorldSettings, "world")
    make_world(out, settings, Counted(on_stderr(), "Drawing"), processes)
    typer.echo("\n".join([str(out), *measure_difficulty(out).lines()]))


@app.command()
def difficulty(
    data: Annotated[Path, typer.Argument(help="A video-to-shop set.")],
) -> None:
    """How hard a set is; with DPRNET_DATA (ImageNet weights) also how far the floor gets."""
    from dprnet.evaluate.measure import measure_difficulty

    typer.echo("\n".join(measure_difficulty(data).lines()))


@app.command()
def paste(
    out: OutOption,
    data: Annotated[Path, typer.Option("--data", envvar="DPRNET_DATA", help="Folder of real data.")],
    split: Split = "train",
    stills: Stills = 2000,
    seed: Seed = 0,
) -> None:
    """Paste people and garments of real photos into scenes."""
    from dprnet.core.config import parse_settings
    from dprnet.core.progress import on_stderr
    from dprnet.data.pasting import PastingSettings, make_pasted

    settings = parse_settings({"split": split, "stills": stills, "seed": seed}, PastingSettings, "paste")
    made = make_pasted(out, settings, data, on_stderr())
    typer.echo(f"{out}: {made.id}")
