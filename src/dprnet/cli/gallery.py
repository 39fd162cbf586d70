"""``dprnet gallery show|list|add|remove|search|doctor|compact|snapshot|restore|switch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import BundleOption, DeviceOption, KindOption, WhereOption

app = typer.Typer(help="Look at galleries, keep them and switch between them.", no_args_is_help=True)
Address = Annotated[str, typer.Argument(metavar="GALLERY", help="Folder, postgresql://... or milvus://..., live name.")]


@app.command()
def show(gallery: Address, kind: KindOption = "auto") -> None:
    """What a gallery holds, what made it, and how it is searched."""
    from dprnet.gallery import Gallery, IndexConfig

    with Gallery.open(gallery, config=IndexConfig(kind=kind)) as opened:
        card = opened.card
        typer.echo(f"{opened.index_report()}\nembedder {card.embedder}, {card.size} numbers, made {card.created}")


@app.command("items", hidden=True)  # as it was called first
@app.command("list")
def items(
    gallery: Address,
    where: WhereOption = "",
    kind: KindOption = "auto",
) -> None:
    """List items, one a line: id, category, price, title."""
    from dprnet.core.errors import printable
    from dprnet.gallery import Gallery, IndexConfig

    with Gallery.open(gallery, config=IndexConfig(kind=kind)) as opened:
        for item in opened.items(where):
            typer.echo("\t".join(printable(text) for text in (item.item_id, item.category, item.price, item.title)))


@app.command()
def add(
    gallery: Address,
    catalogue: Annotated[str, typer.Argument(help="Folder of photos or a table with the items to add.")],
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
) -> int:
    """Add the items of a catalogue to a gallery that is there; those of the same id are replaced, none is removed."""
    from dprnet.core.progress import on_stderr
    from dprnet.gallery import Gallery, shown
    from dprnet.pipeline import index_catalogue

    with Gallery.open(gallery) as opened:
        cut = opened.card.preparation == "cut"
    done = index_catalogue(catalogue, gallery, bundle=bundle, device=device, crop_photos=cut, progress=on_stderr())
    typer.echo(f"{shown(gallery)}: {done.items} items, {done.photos} photos embedded")
    if done.problems:
        typer.echo(f"{len(done.problems)} problems, listed in {done.problems_path}", err=True)
    return 3 if done.problems else 0


@app.command()
def search(
    gallery: Address,
    photo: Annotated[Path, typer.Argument(help="A photo of a garment.")],
    items: Annotated[int, typer.Option("--items", min=1, max=100, help="Items at most.")] = 5,
    where: WhereOption = "",
    kind: KindOption = "auto",
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
) -> None:
    """Find the items most like a photo, one a line: similarity, id, category, price, title."""
    from dprnet.core.bundle import Bundle
    from dprnet.core.errors import printable
    from dprnet.core.images import read_image
    from dprnet.embed.embedder import Embedder
    from dprnet.gallery import Gallery, IndexConfig

    image = read_image(photo).image
    embedder = Embedder.from_bundle(Bundle.from_pretrained(bundle), device=device)
    with Gallery.open(gallery, embedder=embedder.identity, config=IndexConfig(kind=kind)) as opened:
        for found in opened.search(embedder([image]), items, where=where)[0]:
            texts = (found.item_id, found.category, found.price, found.title)
            typer.echo("\t".join((f"{found.similarity:.3f}", *map(printable, texts))))


@app.command()
def doctor(gallery: Address) -> int:
    """Read every row of a gallery and tell what is wrong, with the way out; exit code 3 where something is."""
    from dprnet.gallery import Gallery, examine

    grave = False
    with Gallery.open(gallery) as opened:
        for finding in examine(opened):
            grave |= finding.grave
            typer.echo(("wrong: " if finding.grave else "") + finding.sentence)
    return 3 if grave else 0


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
