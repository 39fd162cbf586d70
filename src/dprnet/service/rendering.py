"""Templates, and what all pages share."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse

from dprnet import __version__
from dprnet.report.page import WORDS, clock, safe_link
from dprnet.service.shapes import photo_address
from dprnet.service.state import Service

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = files("dprnet.service")


def render(template: str, service: Service, here: str, **values: Any) -> HTMLResponse:
    """A page or a part of one; ``here`` is the part of the service that it belongs to."""
    shared = {
        "here": here,
        "version": __version__,
        "galleries": service.shelves.names(),
        "live": bool(service.sources.all()),
    }
    return HTMLResponse(_templates().get_template(template).render(**shared, **values))


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(str(HERE / "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"clock": clock, "safe_link": safe_link, "address": lambda text: quote(text, safe="")}
    pages.globals |= {"photo": photo_address, "WORDS": WORDS}
    return pages
