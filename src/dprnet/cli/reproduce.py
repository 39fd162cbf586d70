"""``dprnet reproduce NAME... | all``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dprnet.cli.common import BundleOption, DeviceOption

Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="figure5 ... figure10, table1 ... table3, or all (but for table2)."),
]
Train = Annotated[list[Path] | None, typer.Option("--train", help="Set on which SEAM and AsymNet learn; several.")]
Distractors = Annotated[
    list[Path] | None, typer.Option("--distractors", help="Catalogue or folder of photos that enlarges the gallery.")
]


def reproduce(
    names: Names,
    data: Annotated[Path, typer.Option("--set", help="Video-to-shop set to measure.")] = Path("out/world/test"),
    train: Train = None,
    distractors: Distractors = None,
    bundle: BundleOption = "tiny",
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, JSON and page.")] = Path("out/reproduce"),
    cache: Annotated[Path, typer.Option("--cache", help="Folder of kept detections and vectors.")] = Path("out/cache"),
    quick: Annotated[bool, typer.Option("--quick", help="Six videos, fewer intervals, one seed.")] = False,
    table2: Annotated[Path, typer.Option("--comparison", help="Folder of the run of Table 2.")] = Path("out/table2"),
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="Of Table 2, such as recipes/table2/cpu.toml.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Folder for all that is made as Markdown with small pictures.")
    ] = None,
    machine: Annotated[str, typer.Option("--machine", help="Where it was measured, for --markdown.")] = "",
    date: Annotated[str, typer.Option("--date", help="When it was measured, for --markdown.")] = "",
    device: DeviceOption = "cpu",
) -> None:
    """Make the paper's figures and tables on a set; what is made already is kept."""
    from dprnet.core.allocation import keep_freed_memory
    from dprnet.core.bundle import Bundle
    from dprnet.core.config import load_recipe
    from dprnet.core.progress import on_stderr
    from dprnet.evaluate.reproduce.artefact import effort_text
    from dprnet.evaluate.reproduce.run import publish
    from dprnet.evaluate.reproduce.run import reproduce as make
    from dprnet.evaluate.reproduce.settings import ReproduceSettings
    from dprnet.evaluate.reproduce.study import Study
    from dprnet.train.methods.recipe import Table2Recipe

    keep_freed_memory()
    settings = ReproduceSettings.quick() if quick else ReproduceSettings()
    more: dict[str, Any] = {"distractors": tuple(distractors or ()), "train": tuple(train or ()), "device": device}
    more |= {"table2": table2, "quick": quick, "recipe": load_recipe(recipe, Table2Recipe) if recipe else None}
    study = Study(data, Bundle.from_pretrained(bundle), cache, settings, **more, progress=on_stderr())
    made, page = make(study, names, out)
    for one in made:
        held = sum(claim.holds is True for claim in one.claims)
        typer.echo(f"{one.name}: {f'{held} of {len(one.claims)} claims hold' if one.claims else 'made'}")
    typer.echo(f"made in {effort_text(made)}")
    typer.echo(page)
    if markdown is not None:
        typer.echo(publish(study, out, markdown, bundle=bundle, machine=machine, date=date))
