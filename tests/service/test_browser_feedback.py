"""The page in a real browser: a match corrected, photos dropped, a catalogue checked, everything by keyboard; and a
catalogue that means no good, through the page and the report."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .conftest import Running, form
from .test_api import photo
from .test_browser import HOSTILE, browser, finished, page, pytestmark, until

__all__ = ["browser", "finished", "page", "pytestmark"]
FORMULA = '=HYPERLINK("http://evil.example")'


def pairs(service: Running, job: str) -> dict[str, dict[str, Any]]:
    lines = map(json.loads, service.ask("GET", "/v1/feedback").body.splitlines())
    return {pair["item_id"]: pair for pair in lines if pair["job"] == job}


def test_a_match_is_corrected_by_naming_the_right_item(service: Running, page: Any, moving_square: Path) -> None:
    job = service.wait(service.send(moving_square, "name=a.mp4&fallback=best&gallery=shop&items=1")["id"])
    address = service.base + job["links"]["page"]
    page.goto(address)
    card = page.locator("article.card").first
    offered = card.locator(".said input[name=item_id]").first.get_attribute("value")
    card.get_by_text("None of these?").click()
    other = next(name for name in ("green", "red", "blue") if name != offered)
    card.get_by_label("Find it in shop").fill(other)
    card.locator(".fixed .offer").get_by_role("button", name="This is it").first.click()
    card.locator(".fixed .tick.on").wait_for()
    (pair,) = pairs(service, job["id"]).values()
    assert (pair["item_id"], pair["verdict"], pair["similarity"]) == (other, "right", None)
    assert base64.b64decode(pair["picture_jpeg"])[:2] == b"\xff\xd8", "a pair has the garment's picture"
    page.goto(address)
    named = page.get_by_role("list", name="Named as the right item")
    assert named.locator("input[name=item_id]").get_attribute("value") == other
    named.get_by_role("button", name="This is it").click()
    named.locator(".tick:not(.on)").wait_for()
    assert pairs(service, job["id"]) == {}, "what was said is taken back"
    said = json.dumps({"garment": 1, "item_id": "no such item", "verdict": "right"}).encode()
    refused = service.ask("POST", f"/v1/jobs/{job['id']}/feedback", said, content_type="application/json")
    assert (refused.status, refused.code) == (404, "missing_file")
    service.ask("DELETE", job["links"]["self"])


def test_photos_are_dropped_on_a_catalogue(service: Running, page: Any) -> None:
    page.goto(f"{service.base}/catalogue/shop")
    page.evaluate(
        """data => {
            const held = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
            held.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
            for (const kind of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: held, bubbles: true, cancelable: true}));
        }""",
        base64.b64encode(photo((10, 200, 90))).decode(),
    )
    page.get_by_text("dropped.png").wait_for()
    page.get_by_label("Item id").fill("dropped")
    page.get_by_label("Category").fill("top")
    page.get_by_role("button", name="Add it").click()
    page.locator("#items li", has_text="dropped").wait_for()
    page.get_by_role("button", name="Check it").click()
    page.locator("#doctor").get_by_text("no price").wait_for()
    assert page.locator("#doctor").get_by_role("link", name="dropped").count() >= 1, "each fault names its items"
    assert service.ask("DELETE", "/v1/galleries/shop/items?item_id=dropped").status == 204


def test_all_of_it_by_keyboard(service: Running, page: Any, finished: dict[str, Any]) -> None:
    page.goto(service.base + finished["links"]["page"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached, names = set(), set()
    for _ in range(120):
        page.keyboard.press("Tab")
        here = page.evaluate(
            """() => { const one = document.activeElement;
                const name = one.getAttribute("aria-label") || one.innerText || one.labels?.[0]?.innerText || "";
                return [one.tagName + "." + one.className + (one.dataset.jump ? "jump" : ""), name.trim()]; }"""
        )
        reached.add(here[0])
        names.add(here[1] if here[0] != "VIDEO." else "the player")
        if here[0].startswith("BODY"):
            break
    for wanted in (
        "VIDEO",
        "BUTTON.whojump",
        "BUTTON.jump",
        "BUTTON.timejump",
        "BUTTON.tick",
        "BUTTON.cross",
        "SUMMARY",
    ):
        assert any(one.startswith(wanted) for one in reached), (wanted, sorted(reached))
    assert "" not in names, "whatever one reaches has a name"
    cross = page.locator(".cross").last
    cross.focus()
    page.keyboard.press("Space")
    page.locator(".cross.on").wait_for()
    page.locator(".cross.on").press("Enter")
    until(page, "!document.querySelector('.cross.on')")


@pytest.fixture
def hostile(service: Running) -> Iterator[str]:
    """A gallery whose every text means no good."""
    service.ask("PUT", "/v1/galleries/hostile")
    fields = {"title": HOSTILE, "category": HOSTILE, "price": "=1+1", "url": "javascript:alert(1)"}
    fields |= {"metadata": json.dumps({HOSTILE: HOSTILE})}
    for item_id, extra in ((HOSTILE, {}), (FORMULA, {"title": FORMULA}), ("</script><script>alert(1)</script>", {})):
        body, kind = form(fields | extra, [("x.png", photo())])
        address = f"/v1/galleries/hostile/items?item_id={quote(item_id, safe='')}"
        assert service.ask("PUT", address, body, content_type=kind).status == 200
    yield "hostile"
    assert service.ask("DELETE", "/v1/galleries/hostile").status == 204


def test_a_hostile_catalogue_is_only_text_in_page_and_report(
    service: Running, page: Any, moving_square: Path, hostile: str, tmp_path: Path
) -> None:
    job = service.wait(service.send(moving_square, f"name={quote(HOSTILE)}&fallback=best&gallery={hostile}")["id"])
    assert job["summary"]["matches"] > 0
    offline = tmp_path / "report.html"
    offline.write_bytes(service.ask("GET", job["links"]["html"]).body)
    base = service.base
    for address in (
        base + job["links"]["page"],
        base + job["links"]["html"],
        offline.as_uri(),
        f"{base}/catalogue/{hostile}",
    ):
        page.goto(address)
        for closed in page.locator("summary").all():
            closed.click()
        assert HOSTILE in page.inner_text("body"), address
        assert page.locator("img[src=x], a[href^='javascript']").count() == 0, address
        assert page.evaluate("document.scripts.length") <= 2, "no script but the page's own"
    page.goto(base + job["links"]["page"])
    page.locator(".fix summary").first.click()
    page.locator(".fix input").first.fill("onerror")
    page.locator(".fixed .offer").first.wait_for()
    page.get_by_role("button", name="Not this").first.click()
    page.locator(".cross.on").first.wait_for()
    page.goto(f"{base}/catalogue/{hostile}")
    page.get_by_role("button", name="Check it").click()
    page.locator("#doctor li").first.wait_for()
    page.goto(f"{base}/image")
    page.get_by_label("Catalogue").select_option(hostile)
    (tmp_path / "red.png").write_bytes(photo())
    page.set_input_files("#picture", str(tmp_path / "red.png"))
    page.wait_for_selector("#answer .offer")
    rows = csv.reader(io.StringIO(service.ask("GET", job["links"]["csv"]).body.decode("utf-8-sig")))
    cells = [cell for row in rows for cell in row]
    assert any("HYPERLINK" in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t"))], "no cell is a formula"
