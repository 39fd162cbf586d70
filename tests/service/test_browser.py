"""The page in a real browser: send, follow, jump, filter, say what is wrong, add to the catalogue; hostile strings."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import DEADLINE_S, Running
from .test_api import photo

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on the PATH"),
]
HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}"
WIDTHS = (390, 768, 1280)


def until(page: Any, condition: str) -> None:
    """Wait until an expression holds in the page. playwright's own wait asks again by eval inside the page, which the
    page's policy forbids."""
    deadline = time.monotonic() + DEADLINE_S
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails the test by a dialog, an error of its script, or a breach of its policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * DEADLINE_S)
    page = context.new_page()
    wrong: list[str] = []

    def dialog(found: Any) -> None:
        wrong.append(f"dialog: {found.message}")
        found.dismiss()

    page.on("dialog", dialog)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    assert not wrong, wrong


@pytest.fixture(scope="module")
def finished(service: Running, moving_square: Path) -> dict[str, Any]:
    return service.wait(service.send(moving_square, "name=square.mp4&fallback=best")["id"])


def test_from_the_upload_to_the_matches(service: Running, page: Any, moving_square: Path) -> None:
    page.goto(service.base)
    page.get_by_label("Match garments without a good view too").check()
    page.set_input_files("#file", str(moving_square))
    page.wait_for_url(re.compile("/jobs/"))
    page.wait_for_selector("article.card")
    assert page.locator(".offer").count() >= 5
    assert page.locator("article.card img").first.evaluate("image => image.naturalWidth") > 0


def test_a_click_jumps_to_the_view(service: Running, page: Any, finished: dict[str, Any]) -> None:
    page.goto(service.base + finished["links"]["page"])
    button = page.locator(".best [data-jump]").last
    wanted = float(button.get_attribute("data-jump"))
    until(page, "document.querySelector('#player').readyState > 0")
    button.press("Enter")
    until(page, f"Math.abs(document.querySelector('#player').currentTime - {wanted}) < 2")
    lane = page.locator("[data-seek]").first
    page.evaluate("document.querySelector('#player').pause()")
    lane.click(position={"x": lane.bounding_box()["width"] * 0.9, "y": 14})
    until(page, "document.querySelector('#player').currentTime > 2")


def test_garments_are_filtered(service: Running, page: Any, finished: dict[str, Any]) -> None:
    page.goto(service.base + finished["links"]["page"])
    boxes = page.locator("[data-filter]")
    before = page.locator("article.card:visible").count()
    if boxes.count():
        boxes.first.uncheck()
        assert page.locator("article.card:visible").count() < before
        boxes.first.check()
    assert page.locator("article.card:visible").count() == before


def test_what_is_said_of_a_match_is_kept(service: Running, page: Any, finished: dict[str, Any]) -> None:
    page.goto(service.base + finished["links"]["page"])
    page.get_by_role("button", name="Not this").first.click()
    page.wait_for_selector(".cross.on")
    page.reload()
    assert page.locator(".cross.on").count() == 1
    assert b'"verdict": "wrong"' in service.ask("GET", "/v1/feedback").body


def test_an_item_is_added_found_and_removed(service: Running, page: Any, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(photo())
    page.goto(f"{service.base}/catalogue/shop")
    page.get_by_text("Add an item").click()
    page.set_input_files("#photos", str(tmp_path / "red.png"))
    page.get_by_label("Item id").fill(HOSTILE)
    page.get_by_label("Title").fill(HOSTILE)
    page.get_by_label("Link").fill("javascript:alert(1)")
    page.get_by_role("button", name="Add it").click()
    shown = page.locator("#items li", has_text="onerror")
    shown.wait_for()
    assert shown.locator("a").count() == 0, "no link to a script"
    assert HOSTILE in shown.inner_text()
    page.evaluate("window.confirm = () => true")
    shown.get_by_role("button").click()
    shown.wait_for(state="detached")


def test_one_image(service: Running, page: Any, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(photo())
    page.goto(f"{service.base}/image")
    page.get_by_label("The whole picture is one garment").check()
    page.set_input_files("#picture", str(tmp_path / "red.png"))
    page.wait_for_selector("#answer .offer")
    assert page.locator("#answer img[data-preview]").evaluate("image => image.src").startswith("blob:")


def test_a_refusal_is_a_sentence(service: Running, page: Any, tmp_path: Path) -> None:
    (tmp_path / f"{HOSTILE[:20]}.mp4".replace("/", "")).write_bytes(photo())
    page.goto(service.base)
    page.set_input_files("#file", str(next(tmp_path.iterdir())))
    toast = page.get_by_role("alert")
    toast.wait_for()
    assert "a PNG picture, not a video in a known container" in toast.inner_text()
    missing = page.goto(f"{service.base}/jobs/AAAAAAAAAAAAAAAAAAAAAA")
    assert missing.status == 404
    assert "there is no such job" in page.inner_text("main")


def test_hostile_names_are_only_text(service: Running, page: Any, moving_square: Path) -> None:
    from urllib.parse import quote

    job = service.wait(service.send(moving_square, f"name={quote(HOSTILE)}")["id"])
    for address in (job["links"]["page"], "/", job["links"]["html"]):
        page.goto(service.base + address)
        assert HOSTILE in page.inner_text("body")
        assert page.locator("img[src=x]").count() == 0


def test_no_page_is_wider_than_its_screen_or_loads_from_elsewhere(
    service: Running, page: Any, finished: dict[str, Any]
) -> None:
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for address in ("/", finished["links"]["page"], "/image", "/catalogue/shop", "/login", "/jobs/none"):
            page.goto(service.base + address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)
    assert all(url.startswith((service.base, "blob:", "data:")) for url in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(
    service: Running, browser: Any, finished: dict[str, Any], scheme: str, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(1000 * DEADLINE_S)
    (tmp_path / "red.png").write_bytes(photo())

    def look(where: str) -> None:
        found = axe.run(page).response["violations"]
        serious = [
            f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}
        ]
        assert not serious, (where, serious)

    for address in ("/", "/image", "/catalogue/shop", "/login", "/jobs/none"):
        page.goto(service.base + address)
        look(address)
    page.goto(service.base + finished["links"]["page"])
    for closed in page.locator("summary").all():
        closed.click()
    page.locator(".fix input").first.fill("top")
    page.wait_for_selector(".fixed .offer")
    look("a job with everything open")
    page.goto(f"{service.base}/catalogue/shop")
    page.get_by_role("button", name="Add an item").click()
    page.get_by_role("button", name="Check it").click()
    page.wait_for_selector("#doctor .sheet")
    look("a catalogue with everything open")
    page.goto(f"{service.base}/image")
    page.set_input_files("#picture", str(tmp_path / "red.png"))
    page.wait_for_selector("#answer .offer")
    look("an image and its matches")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(service.base + finished["links"]["page"])
    look("a job on a phone")
    context.close()
