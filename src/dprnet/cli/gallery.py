"""``dprnet gallery show|items|remove|compact|snapshot|restore|switch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import WhereOption

app = typer.Typer(help="Look at galleries, keep them and switch between them.", no_args_is_help=True)
Address = Annotated[str, typer.Argument(metavar="GALLERY", help="Folder, postgresql://... or milvus://..., live name.")]


@app.command()
def show(gallery: Address) -> None:
    """What a gallery holds, what made it, and how it is searched."""
    from dprnet.gallery import Gallery

    with Gallery.open(gallery) as opened:
        card = opened.card
        typer.echo(f"{opened.index_report()}\nembedder {card.embedder}, {card.size} numbers, made {card.created}")


@app.command()
def items(
    gallery: Address,
    where: WhereOption = "",
) -> None:
    """List items, one a line: id, category, price, title."""
    from dprnet.core.errors import printable
    from dprnet.gallery import Gallery

    with Gallery.open(gallery) as opened:
        for item in opened.items(where):
            typer.echo("\t".join(printable(text) for text in (item.item_id, item.category, item.price, item.title)))


@app.command()
def remove(gallery: Address, item_ids: Annotated[list[str], typer.Argument(metavar="ITEM_ID...")]) -> int:
    """Remove items with all their photos."""
    from dprnet.core.errors import printable
    from dprnet.gallery import Gallery

    with Gallery.open(gallery) as opened:
        unknown = opened.remove(item_ids)
        typer.echo(f"{len(set(item_ids)) - len(unknown)} removed, version {opened.version}")
    for item_id in unknown:
        typer.echo(f"{printable(item_id)}: not in the gallery", err=True)
    return 3 if unknown else 0


@app.command()
def compact(gallery: Address) -> None:
    """Let go of what no version of the last hour needs."""
    from dprnet.gallery import Gallery

    with Gallery.open(gallery) as opened:
        opened.compact()


@app.command()
def snapshot(gallery: Address, folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
    """Write one version of a gallery as plain files."""
    from dprnet.gallery import Gallery

    with Gallery.open(gallery) as opened:
        typer.echo(f"{folder}: version {opened.snapshot(folder)}")


@app.command()
def restore(folder: Annotated[Path, typer.Argument(help="What snapshot wrote.")], gallery: Address) -> None:
    """Make a gallery, of any kind of store, from a snapshot whose every byte is checked."""
    from dprnet.gallery import Gallery

    with Gallery.restore(folder, gallery) as opened:
        typer.echo(f"{opened.identity}, {len(opened)} items")


@app.command()
def switch(
    name: Annotated[Path, typer.Argument(help="The live name: a small file, such as shop.live.")], gallery: Address
) -> None:
    """Let a live name mean another gallery, in one step."""
    from dprnet.gallery import Gallery, shown
    from dprnet.gallery import switch as switch_name

    Gallery.open(gallery).close()
    before = switch_name(name, gallery)
    typer.echo(f"{name}: {shown(gallery)}" + (f", before {shown(before)}" if before else ""))
