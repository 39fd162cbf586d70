"""``dprnet check PATH``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Video, photo, catalogue, data set, recipe, bundle or gallery."),
    ],
) -> int:
    """Say what a file or folder is and whether it can be used."""
    from dprnet.check import check as examine
    from dprnet.core.errors import DprnetError

    failed = 0
    for path in paths:
        try:
            found = examine(path)
            typer.echo(f"{path}: {found.kind}, {found.told}")
            for problem in found.problems:
                typer.echo(f"  {problem}")
            failed += bool(found.problems)
        except DprnetError as error:
            typer.echo(str(error), err=True)
            failed += 1
    return 0 if not failed else 2 if failed == len(paths) else 3
