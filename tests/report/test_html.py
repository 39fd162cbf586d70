import base64
import csv
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from dprnet.report import Pictures, render_html, report_json, summary, write_folder, write_html
from dprnet.report.page import LOST_SHOWN, clock, safe_link

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "<!--",
    "]]>",
    "\u202egpj.exe\u2066",
    "\x00\x1b[31m",
    "\ud800",
)
LOADING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping", "manifest", "xlink:href"}
VOID = {"meta", "img", "br", "hr", "input", "link", "rect", "path"}


class Page(HTMLParser):
    """Elements with their attributes, ids, and the text; fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def harmless(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "form", "foreignobject", "use", "video"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        for name in LOADING & set(attributes):
            assert attributes[name].startswith("data:image/jpeg;base64,"), (tag, attributes)
        if "href" in attributes:
            assert re.match(r"#g\d+$|https?://", attributes["href"]), attributes


@pytest.fixture
def pictures():
    grey = np.full((40, 30, 3), 128, np.uint8)
    return Pictures({0: grey, 1: grey, 2: grey}, {("shirt-1", "photos/shirt.jpg"): b"\xff\xd8\xff\xd9"})


def test_the_page_says_what_was_found(make_report, pictures):
    page = Page(render_html(make_report(), pictures))
    for words in (
        "2 videos", "Blue shirt", "29.90", "0.75", "Seen, but never well", "b.mp4: damaged after 2.0 s",
        "viewpoint 0.40 not above 0.50", "passes, but another view is better", "occlusion 0.20 not above 0.50",
        "0:00.5 best view", "random@0123",
    ):  # fmt: skip
        assert words in page.text, words
    assert ("a", "https://shop.example/shirt-1") in [(t, a.get("href")) for t, a in page.elements]


def test_a_garment_has_one_number_everywhere(make_report, tmp_path):
    report = make_report()
    page, values, table = write_folder(report, Pictures(), tmp_path)
    found = json.loads(values.read_text(encoding="utf-8"))["garments"]
    numbered = {garment["garment"]: garment["label"] for garment in found}
    assert list(numbered) == [1, 2, 3]
    told = re.findall(r'</i>(\w+) <span class="fine">garment (\d+)</span>', page.read_text(encoding="utf-8"))
    assert [(int(number), label.lower()) for label, number in told] == list(numbered.items())
    with table.open(encoding="utf-8-sig", newline="") as file:
        assert {int(row["garment"]): row["label"] for row in csv.DictReader(file)} == numbered
    lines = [line.split() for line in summary(report).splitlines() if line.startswith("  ")]
    assert {int(line[0]): line[1] for line in lines} == numbered


def test_the_page_loads_nothing(make_report, pictures):
    text = render_html(make_report(), pictures)
    harmless(Page(text))
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(a["content"] for t, a in Page(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-" + digest + "'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_words_stay_words(make_report, pictures, tmp_path, evil):
    words = dict.fromkeys(("item_id", "title", "price", "category", "url", "photo"), evil)
    report = make_report(path=evil, **words)
    write_html(report, tmp_path / "r.html", pictures, title=evil)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    harmless(page)
    plain = Page(render_html(make_report(), pictures))
    assert [t for t, _ in page.elements if t != "a"].count("img") <= [t for t, _ in plain.elements].count("img")
    assert not evil.isprintable() or " ".join(evil.split()) in page.text  # told as it is, nothing evaluated


@pytest.mark.data
def test_the_big_list_of_naughty_strings(make_report, data_root):
    strings = json.loads((data_root / "badinput" / "blns" / "blns.json").read_text(encoding="utf-8"))
    assert len(strings) > 400
    for evil in strings:
        words = dict.fromkeys(("item_id", "title", "price", "category", "url"), evil)
        text = render_html(make_report(path=evil or "x", **words), Pictures(), title=evil)
        harmless(Page(text))


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JAVASCRIPT:alert(1)", " https://x", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
     "//evil.example", "/path", "https://", "http://[", "java\nscript:alert(1)", "https://a\u202eb.example", ""],
)  # fmt: skip
def test_only_web_addresses_become_links(address):
    assert safe_link(address) == ""


def test_names_for_those_who_cannot_see(make_report, pictures):
    page = Page(render_html(make_report(), pictures))
    assert all("alt" in attributes for tag, attributes in page.elements if tag == "img")
    assert all(
        "aria-label" in attributes or attributes.get("aria-hidden") == "true" or "overflow" in attributes
        for tag, attributes in page.elements
        if tag == "svg"
    )
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for _, attributes in page.elements if attributes.get("href", "").startswith("#")}
    assert targets <= set(ids)
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert ("html", {"lang": "en"}) in page.elements


def test_many_lost_views_are_counted_not_shown(make_report):
    from dataclasses import replace

    from dprnet.core.records import Detections, Picks

    report = make_report()
    one = report.picks.detections[[0]]
    many = Detections.concatenate([one] * 40)
    many = replace(many, time_s=np.arange(40, dtype=np.float32) / 4)
    picks = Picks(many, np.zeros(40, np.int64), np.zeros((40, 3), bool), np.array([7]), np.array([True]))
    text = Page(render_html(replace(report, picks=picks), Pictures())).text
    assert f"and {39 - LOST_SHOWN} more" in text
    assert text.count("passes, but another view is better") == LOST_SHOWN


def test_lost_views_without_a_picture_are_counted_where_others_have_one(make_report):
    grey = np.full((40, 30, 3), 128, np.uint8)
    text = Page(render_html(make_report(), Pictures({0: grey, 2: grey}))).text
    assert "0:10.0" in text
    assert "viewpoint 0.40 not above 0.50" not in text  # detection 1 has no picture
    assert "and 1 more" in text


def test_no_garments_is_said(make_report):
    from dataclasses import replace

    from dprnet.core.records import Detections, Matches, Picks

    none = np.zeros(0, np.int64)
    picks = Picks(Detections.empty(), none, np.zeros((0, 3), bool), none, np.zeros(0, bool))
    page = Page(render_html(replace(make_report(), picks=picks, matches=Matches(())), Pictures()))
    assert "No garment was found" in page.text


def test_an_hour_is_an_hour():
    assert clock(3599.96) == "1:00:00.0"


def test_doubtful_garments_are_counted_but_not_shown(make_report):
    report = make_report()
    doubtful = replace(report, picks=replace(report.picks, min_score=0.9, picked=np.zeros(3, bool)))
    page = render_html(doubtful, Pictures())
    assert "3 things that the detector took for a garment" in page
    assert 'id="g1"' not in page
    assert "No garment was found" in page
    assert [garment["status"] for garment in report_json(doubtful)["garments"]] == ["doubtful"] * 3
