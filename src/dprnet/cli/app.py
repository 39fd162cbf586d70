"""All verbs together, and what their errors look like to the one who typed them.

Modules of verbs import nothing heavy at their top: ``dprnet --help`` must answer in half a second.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from dprnet import __version__
from dprnet.cli import (
    annotate,
    batch,
    benchmark,
    calibrate,
    check,
    demo,
    evaluate,
    export,
    gallery,
    index,
    reproduce,
    search,
    serve,
    train,
    watch,
    world,
)
from dprnet.core.errors import DprnetError

DONE, MENDABLE, INTERRUPTED = 0, 2, 130

app = typer.Typer(
    name="dprnet",
    help="Find the clothes worn in a video in a shop's catalogue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("index")(index.index)
app.command("search")(search.search)
app.command("batch")(batch.batch)
app.add_typer(gallery.app, name="gallery")
app.command("check")(check.check)
app.command("export")(export.export)
app.command("benchmark")(benchmark.benchmark)
app.command("serve")(serve.serve)
app.command("watch")(watch.watch)
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(world.app, name="world")
app.add_typer(annotate.app, name="annotate")
app.command("reproduce")(reproduce.reproduce)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dprnet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_version, is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
) -> None:
    """Find the clothes worn in a video in a shop's catalogue."""
    del version
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)
    if not verbose:
        warnings.simplefilter("ignore")  # other people's deprecations say nothing to the one who searches a video


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    command = typer.main.get_command(app)
    try:
        outcome = command.main(arguments, prog_name="dprnet", standalone_mode=False)
    except DprnetError as error:
        typer.echo(f"dprnet: {error}", err=True)
        return MENDABLE
    except (KeyboardInterrupt, typer.Abort):
        outcome = INTERRUPTED
    except Exception as error:
        if not hasattr(error, "show") or not hasattr(error, "exit_code"):
            raise
        error.show()  # typer's own: a wrong option
        return int(error.exit_code)
    if outcome == INTERRUPTED:
        typer.echo("dprnet: interrupted", err=True)
    return outcome if isinstance(outcome, int) else DONE


def main() -> None:
    """The command ``dprnet``."""
    interrupted = False

    def leave() -> None:
        if interrupted:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)

    # Registered first, so called last: whoever pressed Ctrl-C need not wait while the libraries take themselves apart.
    atexit.register(leave)
    code = run()
    interrupted = code == INTERRUPTED
    sys.exit(code)
