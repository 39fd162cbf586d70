"""Options that several verbs share: one spelling, one sentence of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

BundleOption = Annotated[
    str, typer.Option("--bundle", help="Model bundle: a shipped one by name, a folder, or hf-hub:OWNER/NAME.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="Where the networks run: cpu, cuda, cuda:1, mps.")]
RuntimeOption = Annotated[
    Literal["auto", "torch", "openvino", "int8"],
    typer.Option("--runtime", help="What runs the networks; auto: OpenVINO on a CPU where it is installed."),
]
GalleryOption = Annotated[
    str, typer.Option("--gallery", help="The gallery: a folder, or postgresql://... or milvus://... with #NAME.")
]
KindOption = Annotated[
    Literal["auto", "exact", "hnsw", "ivf", "store"],
    typer.Option("--kind", help="What searches the gallery: an index here, or (store) the server that keeps it."),
]
ClipOption = Annotated[
    bool, typer.Option("--clip", help="Of a video over a limit, search the part before it; it counts as partial.")
]
WhereOption = Annotated[str, typer.Option("--where", help="Only items that pass: 'category = dress and price < 50'.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Also print the result as JSON on stdout.")]
EveryOption = Annotated[str, typer.Option("--every", help="How often a frame is looked at: 0.5s, or 15f (frames).")]
DataArgument = Annotated[Path, typer.Argument(help="A video-to-shop set, or the folder of real data.")]
SplitOption = Annotated[str, typer.Option("--split", help="Split of the real data: train, validation or test.")]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="Folder that keeps detections for the next time.")]
