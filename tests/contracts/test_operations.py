"""What a gallery does, over every kind of store."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadCatalogue, BadGallery, BadVector, MissingFile
from dprnet.gallery import Gallery, IndexConfig, Item, switch
from dprnet.gallery.card import SCHEMA

SIZE = 3
ALONG = np.eye(3)


def item(item_id: str, *photos: str, **details: object) -> Item:
    return Item(item_id, tuple(Path(photo) for photo in photos or (f"{item_id}.jpg",)), **details)


@pytest.fixture
def gallery(address: str) -> Iterator[Gallery]:
    with Gallery.create(address, embedder="tiny@1", size=SIZE, preparation="whole") as made:
        items = [item("a", category="dress", price="10", metadata={"in_stock": "yes"}), item("b", category="top")]
        made.upsert(items, ALONG[:2], [b"1", b"2"], ["h1", "h2"])
        yield made


def found(gallery: Gallery, *query: float, where: str = "") -> list[str]:
    return [match.item_id for match in gallery.search(np.array([query]), 10, where=where)[0]]


def test_what_was_made_is_opened(gallery: Gallery, address: str) -> None:
    assert Gallery.exists(address)
    with Gallery.open(address, embedder="tiny@1") as again:
        assert found(again, 1, 0.5, 0) == ["a", "b"]
        assert (again.card.preparation, len(again)) == ("whole", 2)
    with pytest.raises(BadGallery, match="built by the embedder tiny@1, loaded is tiny@2"):
        Gallery.open(address, embedder="tiny@2")
    assert not Gallery.exists(address + "0")


def test_details_change_without_embedding(gallery: Gallery) -> None:
    before = gallery.contents(["a"])[0]
    assert gallery.update([item("a", price="12", category="dress"), item("nobody")]) == ("nobody",)
    after = gallery.contents(["a"])[0]
    assert (after["price"], after["metadata"]) == ("12", "{}")
    assert [after[name] for name in ("vector", "content", "thumbnail", "photo")] == [
        before[name] for name in ("vector", "content", "thumbnail", "photo")
    ]
    assert found(gallery, 1, 0, 0, where="price = 12") == ["a"]


def test_filters_and_the_version_of_an_answer(gallery: Gallery) -> None:
    answers = gallery.search(ALONG[:1], where="category = top or in_stock = no")
    assert [match.item_id for match in answers[0]] == ["b"]
    assert answers.version == gallery.version
    assert gallery.identity.split(" ")[0].endswith(f"@{answers.version}")
    assert [one.item_id for one in gallery.items("price < 11")] == ["a"]


@pytest.mark.parametrize("bad", [[np.nan, 0, 0], [np.inf, 0, 0], [0, 0, 0], [1, 0]])
def test_bad_vectors_never_reach_a_store(gallery: Gallery, bad: list[float]) -> None:
    before = gallery.version
    with pytest.raises(BadVector):
        gallery.upsert([item("new")], np.array([bad]))
    with pytest.raises(BadCatalogue, match="column 'title' holds a NUL character"):
        gallery.upsert([item("new", title="a\0b")], ALONG[:1])
    assert gallery.version == before


def test_a_snapshot_becomes_a_gallery_of_any_kind(gallery: Gallery, address: str, tmp_path: Path) -> None:
    version = gallery.snapshot(tmp_path / "kept")
    assert version == gallery.version
    gallery.remove(["a"])
    for place in (str(tmp_path / "restored"), address + "1"):
        with Gallery.restore(tmp_path / "kept", place) as restored:
            assert sorted(map(str, restored.contents(["a", "b"]))) != []
            assert found(restored, 1, 0, 0) == ["a", "b"]
            assert restored.contents(["a"])[0]["content"] == "h1"
            assert restored.card.embedder == "tiny@1"
    with pytest.raises(BadGallery, match="is there already"):
        gallery.snapshot(tmp_path / "kept")
    assert [path.name for path in tmp_path.glob("*.partial")] == []


def test_a_live_name_moves_in_one_step(gallery: Gallery, address: str, tmp_path: Path) -> None:
    with Gallery.create(address + "2", embedder="tiny@1", size=SIZE) as second:
        second.upsert([item("z")], ALONG[2:])
    name = tmp_path / "shop.live"
    assert switch(name, address) is None
    with Gallery.open(name, embedder="tiny@1") as served:
        assert found(served, 1, 0, 0) == ["a", "b"]
        assert switch(name, address + "2").endswith(address.rpartition("/")[2])
        assert found(served, 1, 0, 0) == ["a", "b"]
        assert served.refresh()
        assert found(served, 1, 0, 0) == ["z"]
        assert not served.refresh()


def test_a_live_name_does_not_move_to_another_embedder(gallery: Gallery, address: str, tmp_path: Path) -> None:
    Gallery.create(address + "3", embedder="tiny@2", size=5).close()
    name = tmp_path / "shop.live"
    switch(name, address)
    with Gallery.open(name) as served:
        switch(name, address + "3")
        assert not served.refresh()
        assert found(served, 1, 0, 0) == ["a", "b"]


def test_the_old_index_answers_while_the_new_one_is_built(gallery: Gallery, address: str) -> None:
    assert found(gallery, 0, 0, 1) == ["a", "b"]
    with Gallery.open(address) as other:
        other.upsert([item("c")], ALONG[2:])
    assert not gallery.refresh(beside=True)
    while not gallery.refresh(beside=True):
        assert found(gallery, 0, 0, 1) == ["a", "b"]
    assert found(gallery, 0, 0, 1) == ["c", "a", "b"]
    assert not gallery.refresh(beside=True)


WRITER = """
import sys
import numpy as np
from pathlib import Path
from dprnet.gallery import Gallery, Item
with Gallery.open(sys.argv[1]) as gallery:
    n = 0
    while True:
        n += 1
        items = [Item(f"{i}", (Path(f"{n}.jpg"),), title=f"{n}") for i in range(8)]
        gallery.upsert(items, np.random.default_rng(n).standard_normal((8, 3)))
        print(n, flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_queries_during_updates_see_one_version_each(address: str) -> None:
    with Gallery.create(address, embedder="tiny@1", size=SIZE) as gallery:
        command = [sys.executable, "-c", WRITER, address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            drain = threading.Thread(target=writer.stdout.read)  # a full pipe would stop the writer
            drain.start()
            titles: dict[int, set[str]] = {}
            number, until = 0, time.monotonic() + 120
            while number < 1000 or (len(titles) < 2 and time.monotonic() < until):  # a busy machine writes late
                if number % 25 == 0:  # a rebuild each time; what is written meanwhile grows
                    gallery.refresh()
                answers = gallery.search(np.ones((1, SIZE)), 20)
                assert len(answers[0]) == 8
                titles.setdefault(answers.version, set()).update(match.title for match in answers[0])
                number += 1
            writer.kill()
            drain.join()
    assert all(len(seen) == 1 for seen in titles.values()), "one version, one state of all items"
    assert len(titles) > 1, "the writer wrote meanwhile"


def test_what_is_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no snapshot here"):
        Gallery.restore(tmp_path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["photos.arrow", "gallery.json", "snapshot.json"])
def test_a_damaged_snapshot_is_told(tmp_path: Path, name: str) -> None:
    with Gallery.create(tmp_path / "shop", embedder="tiny@1", size=SIZE) as made:
        made.upsert([item("a")], ALONG[:1])
        made.snapshot(tmp_path / "kept")
    path = tmp_path / "kept" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadGallery, match=r"differs|damaged"):
        Gallery.restore(tmp_path / "kept", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_many_items_are_restored_in_whole_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dprnet.gallery.snapshot.RESTORED_ITEMS", 3)
    with Gallery.create(tmp_path / "shop", embedder="tiny@1", size=SIZE) as made:
        items = [item(f"{n}", "1.jpg", "2.jpg") for n in range(10)]
        made.upsert(items, np.random.default_rng(0).standard_normal((20, SIZE)))
        made.snapshot(tmp_path / "kept")
        with Gallery.restore(tmp_path / "kept", tmp_path / "new") as restored:
            assert list(restored.items()) == list(made.items())


FORMS = Path(__file__).parent.parent / "gallery"
RELEASED = sorted((FORMS / "released").iterdir())
"""Galleries in folders as each version of dprnet that kept them otherwise wrote them, by that version itself."""
SNAPSHOTS = sorted((FORMS / "released_snapshots").iterdir())


def test_no_form_is_missing() -> None:
    """A new schema comes with a gallery of the old one; 3 is of Milvus alone."""
    cards = [json.loads((path / "gallery.json").read_text("utf-8")) for path in (*RELEASED, *SNAPSHOTS)]
    assert {card["schema"] for card in cards} == set(range(1, SCHEMA + 1))


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.name)
def test_galleries_of_every_released_form_are_read_and_written(released: Path, tmp_path: Path) -> None:
    shutil.copytree(released, tmp_path / "shop")
    with Gallery.open(tmp_path / "shop", embedder="tiny@1") as old:
        assert found(old, 1, 0, 0, where="colour = red") == ["a"]
        assert {row["content"] for row in old.texts()} <= {"", "h"}
        old.snapshot(tmp_path / "kept")
        old.update([item("b", category="skirt")])
        old.upsert([item("c")], ALONG[2:], contents=["h3"])
        assert [row["content"] for row in old.contents(["c"])] == ["h3"]
        assert sorted(one.category for one in old.items()) == ["", "dress", "skirt"]
    assert json.loads((tmp_path / "shop" / "gallery.json").read_text("utf-8"))["schema"] == 2
    with Gallery.restore(tmp_path / "kept", tmp_path / "new") as restored:
        assert found(restored, 0, 0, 1) == ["b", "a"]


@pytest.mark.parametrize("released", SNAPSHOTS, ids=lambda path: path.name)
def test_snapshots_of_every_released_form_are_restored(released: Path, address: str) -> None:
    with Gallery.restore(released, address) as restored:
        assert (found(restored, 1, 0, 0), restored.card.schema) == (["a", "b"], SCHEMA)
        assert [one.metadata for one in restored.items("category = dress")] == [{"colour": "red"}]
        restored.upsert([item("c")], ALONG[2:])
        assert restored.count() == 3


def test_a_snapshot_of_a_newer_form_says_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(SNAPSHOTS[0], tmp_path / "kept")
    manifest = tmp_path / "kept" / "snapshot.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text("utf-8")) | {"schema": 9}), encoding="utf-8")
    with pytest.raises(BadGallery, match="snapshot of schema 9, this version reads up to 1; upgrade dprnet") as caught:
        Gallery.restore(tmp_path / "kept", tmp_path / "new")
    assert caught.value.reason == "newer_schema"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"gallery": 5}', "\0" * 20_000])
def test_a_file_that_is_no_live_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content, encoding="utf-8")
    with pytest.raises(BadGallery, match="neither a gallery nor a live name"):
        Gallery.open(tmp_path / "x")
    with pytest.raises(BadGallery, match="is a gallery itself"):
        switch(tmp_path, tmp_path / "x")


def test_a_graph_answers_for_a_gallery(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    with Gallery.create(tmp_path / "g", embedder="x", size=8, config=IndexConfig(kind="hnsw")) as made:
        made.upsert([item(f"{n}") for n in range(500)], rng.standard_normal((500, 8)))
        assert made.index_report().startswith("hnsw, recall@10 ")
        vectors = np.array([row["vector"] for row in made.contents(["17", "230"])])
        ids = [row["item_id"] for row in made.contents(["17", "230"])]
        assert [matches[0].item_id for matches in made.search(vectors, 3)] == ids
