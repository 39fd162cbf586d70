"""A catalogue's faults are named, with the items that have them."""

from __future__ import annotations

import numpy as np
import pytest

from dprnet.gallery import Gallery, Item
from dprnet.service.doctor import EXAMPLES, examine


def test_each_fault_is_found_where_it_is(tmp_path) -> None:
    whole = {"category": "top", "title": "Red top", "url": "https://shop.example/a", "price": "10"}
    items = [
        Item("good", (tmp_path / "good.jpg",), **whole),
        Item("twin", (tmp_path / "twin.jpg",), **whole | {"title": " red TOP "}),
        Item("bare", (tmp_path / "bare.jpg",), title="", category="", url="javascript:alert(1)", price=" "),
        Item("blind", (tmp_path / "blind.jpg",), **whole | {"title": "Another"}),
    ]
    with Gallery.create(tmp_path / "shop", embedder="e@1", size=4) as gallery:
        gallery.upsert(items, np.eye(4, dtype=np.float32), [b"\xff\xd8one", b"\xff\xd8one", b"\xff\xd8two", b""])
        found = {finding.code: finding for finding in examine(gallery, list(gallery.items()))}
    assert {code: set(finding.item_ids) for code, finding in found.items()} == {
        "no_picture": {"blind"},
        "same_picture": {"good", "twin"},
        "no_title": {"bare"},
        "no_category": {"bare"},
        "no_link": {"bare"},
        "no_price": {"bare"},
        "same_title": {"good", "twin"},
    }


@pytest.mark.parametrize("items", [0, 40])
def test_examples_have_an_end(tmp_path, items: int) -> None:
    many = [Item(f"i{n}", (tmp_path / f"{n}.jpg",)) for n in range(items)]
    with Gallery.create(tmp_path / "shop", embedder="e@1", size=4) as gallery:
        if many:
            gallery.upsert(many, np.ones((items, 4), np.float32) / 2, [b"\xff\xd8%d" % n for n in range(items)])
        found = examine(gallery, list(gallery.items()))
    assert [finding.count for finding in found] == [items] * (4 if items else 0)
    assert all(len(finding.item_ids) == EXAMPLES for finding in found)
