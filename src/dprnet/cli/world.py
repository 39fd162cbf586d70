"""``dprnet world make``."""

from __future__ import annotations

from typing import Annotated

import typer

from dprnet.cli.common import OutOption

app = typer.Typer(help="The made-up world: videos and a catalogue with full truth.", no_args_is_help=True)


@app.callback()
def world() -> None:
    """The made-up world: videos and a catalogue with full truth."""


@app.command()
def make(
    out: OutOption,
    split: Annotated[str, typer.Option("--split", help="train, validation or test; they share no garment.")] = "test",
    videos: Annotated[int, typer.Option("--videos", min=0, help="How many videos.")] = 60,
    items: Annotated[int, typer.Option("--items", min=1, help="How many catalogue items.")] = 500,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same world.")] = 0,
) -> None:
    """Render videos of people in clothes and a catalogue of shop photos; say how hard the set is."""
    from dprnet.core.progress import on_stderr
    from dprnet.data.world import make_world

    made = make_world(out, split=split, videos=videos, items=items, seed=seed, progress=on_stderr())
    typer.echo(f"{out}: {made.id}")
