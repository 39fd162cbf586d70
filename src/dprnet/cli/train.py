"""``dprnet train detector|embedder RECIPE``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import OutOption

app = typer.Typer(help="Train one of the two networks by a recipe.", no_args_is_help=True, rich_markup_mode=None)

Recipe = Annotated[Path, typer.Argument(help="Recipe (TOML); the folder recipes/ holds some.")]
Resume = Annotated[bool, typer.Option("--resume/--restart", help="Go on from the last checkpoint in --out.")]
Into = Annotated[Path | None, typer.Option("--bundle", help="Folder of a bundle to put the weights into.")]


@app.callback()
def train() -> None:
    """Train one of the two networks by a recipe."""
    from dprnet.core.allocation import keep_freed_memory

    keep_freed_memory()


@app.command()
def detector(recipe: Recipe, out: OutOption, resume: Resume = True, bundle: Into = None) -> None:
    """Train the detector: Faster R-CNN with quality scores and instance embeddings (paper, section 3.1)."""
    from dprnet.core.config import load_recipe
    from dprnet.core.progress import on_stderr
    from dprnet.train.detector import DetectorRecipe, export_detector, is_first_process, train_detector

    trained = train_detector(load_recipe(recipe, DetectorRecipe), out, resume=resume, progress=on_stderr())
    if not is_first_process():
        return
    typer.echo(trained)
    if bundle is not None:
        typer.echo(export_detector(out, bundle, bundle.name).identity)


@app.command()
def embedder(recipe: Recipe, out: OutOption, resume: Resume = True, bundle: Into = None) -> None:
    """Train the embedder (paper, section 3.3)."""
    from dprnet.core.config import load_recipe
    from dprnet.core.progress import on_stderr, steps_on_stderr
    from dprnet.train.embedder import EmbedderRecipe, export_embedder, train_embedder

    steps = steps_on_stderr("training the embedder")
    settings = load_recipe(recipe, EmbedderRecipe)
    typer.echo(train_embedder(settings, out, resume=resume, progress=steps, tracker=on_stderr()))
    if bundle is not None:
        typer.echo(export_embedder(out, bundle, bundle.name).identity)
