"""``dprnet calibrate picking``."""

from __future__ import annotations

import typer

app = typer.Typer(help="Fit thresholds on validation data.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def calibrate() -> None:
    """Fit thresholds on validation data and store them in the bundle."""
