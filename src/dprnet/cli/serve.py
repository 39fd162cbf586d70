"""``dprnet serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dprnet.cli.common import BundleOption, DeviceOption


def serve(
    folder: Annotated[Path, typer.Option("--folder", help="Folder of its jobs, results and galleries.")] = Path(
        "service"
    ),
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            envvar="DPRNET_DATABASE",
            metavar="ADDRESS",
            help="postgresql://...[#SCHEMA]: a table of jobs that several services share; else a file of the folder.",
        ),
    ] = None,
    gallery: Annotated[
        list[str] | None, typer.Option("--gallery", metavar="[NAME=]PATH", help="A gallery to offer; may be repeated.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="[NAME=]KIND", help="What searches a gallery: auto, exact, hnsw, ivf, store."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME=ADDRESS", help="A stream that may be watched; may be repeated."),
    ] = None,
    samples: Annotated[Path | None, typer.Option("--samples", help="Folder of videos that the page offers.")] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; any but this machine's wants a key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Host name under which it is reached; may be repeated.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help="File that holds the API key; or set DPRNET_API_KEY.")
    ] = None,
    webhook_secret_file: Annotated[
        Path | None,
        typer.Option(
            "--webhook-secret-file", help="File with the secret that signs webhooks; or DPRNET_WEBHOOK_SECRET."
        ),
    ] = None,
    webhook_to: Annotated[
        list[str] | None,
        typer.Option("--webhook-to", metavar="HOST[:PORT]", help="A host that may be told though it is not public."),
    ] = None,
    keep: Annotated[float, typer.Option("--keep", min=0.01, help="Hours after which a job and its media go.")] = 24.0,
    workers: Annotated[int, typer.Option("--workers", min=0, max=64, help="Processes that search videos.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Threads of a worker's networks; 0: all.")] = 0,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=NUMBER", help="A limit of docs/service.md, such as max_queue=200."),
    ] = None,
    bundle: BundleOption = "tiny",
    device: DeviceOption = "cpu",
) -> None:
    """Offer the search as an HTTP service with a page; results and videos are deleted after a day."""
    from dprnet.core.config import parse_settings
    from dprnet.service.arguments import named_galleries, named_kinds, named_limits, named_sources, read_key
    from dprnet.service.config import ServiceConfig
    from dprnet.service.server import serve as run

    values: dict[str, Any] = {
        "folder": folder,
        "database": database,
        "samples": samples,
        "host": host,
        "port": port,
        "names": tuple(name or ()),
    }
    values |= {"workers": workers, "threads": threads, "bundle": bundle, "device": device, "keep_s": 3600 * keep}
    galleries = named_galleries(gallery or ())
    values |= {"galleries": galleries, "kinds": named_kinds(kind or (), galleries), "api_key": read_key(api_key_file)}
    secret = read_key(webhook_secret_file, "DPRNET_WEBHOOK_SECRET")
    values |= {"webhook_secret": secret, "webhook_to": tuple(webhook_to or ())}
    values |= {"sources": named_sources(source or ()), **named_limits(limit or ())}
    run(parse_settings(values, ServiceConfig, "serve"), lambda address: typer.echo(address))
