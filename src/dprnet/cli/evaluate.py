"""``dprnet evaluate detection|picking|retrieval|video-to-shop``."""

from __future__ import annotations

import typer

app = typer.Typer(help="Measure a bundle on a set with known truth.", no_args_is_help=True, rich_markup_mode=None)
