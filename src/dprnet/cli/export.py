"""``dprnet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dprnet.cli.common import BundleOption, OutOption


def export(
    out: OutOption = Path("out/export"),
    bundle: BundleOption = "tiny",
    photos: Annotated[
        list[Path] | None, typer.Option("--photo", help="A real photo that ONNX and torch are both asked about.")
    ] = None,
) -> None:
    """Write a bundle's networks as ONNX, their preprocessing inside, and compare the answers with torch's."""
    from dprnet.core.bundle import Bundle
    from dprnet.pipeline.export import export as write

    done = write(Bundle.from_pretrained(bundle), out, photos or ())
    for path in done.files:
        typer.echo(path)
    if done.photos:
        typer.echo(
            f"{done.photos} photos, {done.detections} detections: cosine to torch's embeddings at least"
            f" {done.cosine:.6f}, boxes at most {done.box_px:.3f} pixels and scores {done.score:.5f} apart"
        )
