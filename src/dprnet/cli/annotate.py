"""``dprnet annotate export|import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import BundleOption, DeviceOption, EveryOption, OutOption

app = typer.Typer(help="Make a video-to-shop set of your own videos.", no_args_is_help=True, rich_markup_mode=None)


@app.command("export")
def export_(
    sources: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos, or the folder of one set.")],
    out: OutOption,
    every: EveryOption = "1s",
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
) -> None:
    """Write frames with what we find in them, as COCO and Label Studio JSON, to be corrected."""
    from dprnet.core.bundle import Bundle
    from dprnet.core.progress import on_stderr
    from dprnet.data.shopset import ShopSet
    from dprnet.evaluate.annotating import FILES, export_set, export_videos

    if len(sources) == 1 and sources[0].is_dir():
        task = export_set(ShopSet.open(sources[0]), out, progress=on_stderr())
    else:
        loaded = Bundle.from_pretrained(bundle)
        task = export_videos(sources, out, loaded, every=every, device=device, progress=on_stderr())
    boxes = sum(len(frame.marks) for frame in task.frames)
    typer.echo(f"{out}: {len(task.frames)} frames, {boxes} boxes, in {' and '.join(FILES.values())}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Corrected file: COCO detection JSON or Label Studio JSON.")],
    task: Annotated[Path, typer.Option("--task", help="Folder that `annotate export` wrote.")],
    out: OutOption,
    catalogue: Annotated[Path | None, typer.Option("--catalogue", help="The shop of the garments' items.")] = None,
    media: Annotated[bool, typer.Option("--media/--no-media", help="Copy the videos into the set.")] = True,
    name: Annotated[str, typer.Option("--name", help="Name of the set.")] = "mine",
) -> None:
    """Turn a corrected file into a video-to-shop set."""
    from dprnet.evaluate.annotated import import_marks

    done = import_marks(file, task, out, catalogue=catalogue, media=media, name=name)
    left = f"; {done.unannotated} images that nobody annotated were left out" if done.unannotated else ""
    typer.echo(f"{out}: {done.frames} frames, {done.garments} garments{left}")


@app.command()
def movingfashion(
    folder: Annotated[Path, typer.Argument(help="Folder of MovingFashion: test.json, imgs/, videos/.")],
    out: OutOption,
    part: Annotated[str, typer.Option("--part", help="hard, regular, or all.")] = "all",
) -> int:
    """Write the test split of MovingFashion as a video-to-shop set; videos are linked to."""
    from dprnet.core.progress import on_stderr
    from dprnet.data.movingfashion import SOURCES, read_movingfashion
    from dprnet.evaluate.movingfashion import as_shop_set

    if part not in {*SOURCES, "all"}:
        raise typer.BadParameter("wanted hard, regular or all", param_hint="--part")
    source = None if part == "all" else part
    done = as_shop_set(read_movingfashion(folder, source=source), out, progress=on_stderr())  # type: ignore[arg-type]
    typer.echo(f"{out}: {done.queries} videos")
    for sentence in done.left_out:
        typer.echo(f"left out: {sentence}", err=True)
    return 3 if done.left_out else 0
