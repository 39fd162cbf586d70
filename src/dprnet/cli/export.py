"""``dprnet export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dprnet.cli.common import BundleOption, OutOption

if TYPE_CHECKING:
    from dprnet.core.bundle import Bundle


def export(
    out: OutOption = Path("out/export"),
    bundle: BundleOption = "tiny",
    photos: Annotated[
        list[Path] | None, typer.Option("--photo", help="A real photo that ONNX and torch are both asked about.")
    ] = None,
    int8: Annotated[
        Path | None,
        typer.Option("--int8", metavar="DATA", help="Instead: int8 graphs into the bundle, calibrated on real data."),
    ] = None,
    measured_on: Annotated[
        Path | None, typer.Option("--set", help="With --int8: a video-to-shop set that their loss is measured on too.")
    ] = None,
    parts: Annotated[
        list[str] | None, typer.Option("--part", help="With --int8: detector or embedder alone; both unless given.")
    ] = None,
) -> None:
    """Write a bundle's networks as ONNX, their preprocessing inside, and compare the answers with torch's."""
    from dprnet.core.bundle import Bundle

    if int8 is not None:
        _quantise(Bundle.from_pretrained(bundle), int8, measured_on, parts)
        return
    from dprnet.pipeline.export import export as write

    done = write(Bundle.from_pretrained(bundle), out, photos or ())
    for path in done.files:
        typer.echo(path)
    if done.photos:
        typer.echo(
            f"{done.photos} photos, {done.detections} detections: cosine to torch's embeddings at least"
            f" {done.cosine:.6f}, boxes at most {done.box_px:.3f} pixels and scores {done.score:.5f} apart"
        )


def _quantise(bundle: Bundle, data: Path, shopset: Path | None, parts: list[str] | None) -> None:
    from dprnet.evaluate.quantise import ALLOWED, PARTS, quantise

    for one in quantise(bundle, data, shopset, parts or PARTS):
        told = ", ".join(f"{name} {ours:.3f} (torch {torch:.3f})" for name, (torch, ours) in one.figures.items())
        verdict = "the default" if one.default else f"not the default: it loses more than {ALLOWED}"
        typer.echo(f"{one.part}: {told}; {one.megabytes:.1f} MB; {verdict}")
