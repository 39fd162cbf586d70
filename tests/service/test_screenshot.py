"""The picture of the page in the README: the shipped bundle, a sample video, a sample catalogue, a real browser.

    DPRNET_SCREENSHOT=docs/page.png pytest -m slow tests/service/test_screenshot.py

writes it anew; without the variable it goes to the test's own folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import Image

from .conftest import started
from .test_browser import browser, pytestmark, until

__all__ = ["browser", "pytestmark"]
WIDTH, HEIGHT = 1280, 860
MAX_BYTES = 150_000
COLOURS = 160


def take(browser: Any, address: str, out: Path) -> None:
    """The first screen of a job's page, in few colours, so that it is small."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(600_000)
    page.goto(address)
    until(page, "document.querySelector('#player').readyState > 1")
    page.evaluate("document.querySelector('#player').currentTime = 1")
    until(page, "[...document.images].every(one => one.loading === 'lazy' || one.naturalWidth > 0)")
    page.wait_for_timeout(1000)
    page.screenshot(path=out)
    context.close()
    with Image.open(out) as shot:
        shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)


def test_the_page_as_the_readme_shows_it(browser: Any, tmp_path: Path) -> None:
    from dprnet.data.world.make import WorldSettings, make_world
    from dprnet.demo import SAMPLES
    from dprnet.pipeline import index_catalogue
    from dprnet.service.config import ServiceConfig

    settings = WorldSettings.model_validate(SAMPLES | {"videos": 2})
    samples = make_world(tmp_path / "samples", settings, processes=1)
    gallery = index_catalogue(samples.catalogue_path, tmp_path / "shop").folder
    videos = samples.video_path(samples.videos[0]).parent
    config = ServiceConfig(folder=tmp_path / "data", galleries={"shop": gallery}, samples=videos, threads=1)
    out = Path(os.environ.get("DPRNET_SCREENSHOT", tmp_path / "page.png"))
    with started(config) as service:
        sent = service.ask("POST", f"/v1/jobs?sample={samples.video_path(samples.videos[1]).name}&gallery=shop", b"")
        job = service.wait(sent.json["id"])
        assert job["summary"]["matches"] >= 5
        take(browser, service.base + job["links"]["page"], out)
    with Image.open(out) as shot:
        assert shot.size == (WIDTH, HEIGHT)
        assert len(shot.getcolors(256) or []) > 100, "pictures, not a blank page"
    assert out.stat().st_size <= MAX_BYTES
