from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.core.errors import BadGallery, BadVector, MissingFile
from dprnet.core.records import Match
from dprnet.gallery import Gallery, Item
from dprnet.gallery.index import PhotoIndex

SIZE = 3


def item(item_id: str, *photos: str, **details: object) -> Item:
    return Item(item_id, tuple(Path(photo) for photo in photos or (f"{item_id}.jpg",)), **details)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "shop", embedder="tiny@1", size=SIZE) as made:
        yield made


@pytest.fixture
def filled(gallery: Gallery) -> Gallery:
    """a: +x and +y (two photos); b: between x and y; c: -x."""
    items = [item("a", "a1.jpg", "a2.jpg", title="A", metadata={"colour": "red"}), item("b"), item("c")]
    gallery.upsert(items, np.array([[1, 0, 0], [0, 2, 0], [1, 1, 0], [-1, 0, 0]]), [b"1", b"2", b"3", b""])
    return gallery


def found(gallery: Gallery, *query: float, k: int = 10) -> list[tuple[str, str, float]]:
    (matches,) = gallery.search(np.array([query]), k)
    return [(match.item_id, match.photo, round(match.similarity, 4)) for match in matches]


def test_each_item_comes_once_by_its_most_similar_photo(filled: Gallery) -> None:
    assert found(filled, 5, 0, 0) == [("a", "a1.jpg", 1.0), ("b", "b.jpg", 0.7071), ("c", "c.jpg", -1.0)]
    assert found(filled, 0, 1, 0)[:2] == [("a", "a2.jpg", 1.0), ("b", "b.jpg", 0.7071)]
    assert found(filled, 0, 0, 1, k=1) == [("a", "a1.jpg", 0.0)]


def test_a_match_carries_what_the_catalogue_said(filled: Gallery) -> None:
    ((match,),) = filled.search(np.array([[1.0, 0, 0]]), 1)
    assert match == Match("a", 1.0, "a1.jpg", title="A", metadata={"colour": "red"})


def test_few_items_and_none(gallery: Gallery) -> None:
    assert gallery.search(np.ones((2, SIZE)), 5) == [(), ()]
    gallery.upsert([item("a")], np.ones((1, SIZE)))
    assert [len(matches) for matches in gallery.search(np.ones((2, SIZE)), 500)] == [1, 1]
    assert gallery.search(np.zeros((0, SIZE)), 5) == []
    with pytest.raises(ValueError, match="k must be at least 1"):
        gallery.search(np.ones((1, SIZE)), 0)


def test_an_item_written_again_is_replaced_with_its_photos(filled: Gallery) -> None:
    filled.upsert([item("a", "new.jpg", title="A2")], np.array([[0, 0, 1.0]]))
    assert found(filled, 1, 0, 0)[0] == ("b", "b.jpg", 0.7071)
    assert [(i.item_id, i.title, [p.name for p in i.images]) for i in filled.items()] == [
        ("a", "A2", ["new.jpg"]),
        ("b", "", ["b.jpg"]),
        ("c", "", ["c.jpg"]),
    ]


def test_removing_tells_what_was_not_there(filled: Gallery) -> None:
    before = filled.version
    assert filled.remove(["a", "nobody", "c", "nobody"]) == ("nobody",)
    assert len(filled) == 1
    assert filled.version > before
    assert filled.remove([]) == ()


def test_closing_and_opening_changes_nothing(filled: Gallery) -> None:
    before = (found(filled, 1, 2, 3), len(filled), filled.version, filled.identity)
    filled.close()
    with Gallery.open(filled.folder, embedder="tiny@1") as again:
        assert (found(again, 1, 2, 3), len(again), again.version, again.identity) == before
        assert again.identity == f"shop@{again.version} (4 photos)"
        assert (again.size, again.embedder) == (SIZE, "tiny@1")


def test_thumbnails_of_matches(filled: Gallery) -> None:
    (matches,) = filled.search(np.array([[1.0, 0, 0]]), 3)
    assert filled.thumbnails(matches) == {("a", "a1.jpg"): b"1", ("b", "b.jpg"): b"3"}
    assert filled.thumbnails([]) == {}


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ([np.nan, 0, 0], "b: its vector holds NaN or infinity"),
        ([np.inf, 0, 0], "b: its vector holds NaN or infinity"),
        ([1e39, 0, 0], "b: its vector holds NaN or infinity"),
        ([0, 0, 0], "b: its vector is zero"),
        ([1e-30, 0, 0], "b: its vector is zero"),
    ],
)
def test_bad_vectors_are_refused_before_anything_is_written(filled: Gallery, bad: list[float], sentence: str) -> None:
    before = filled.version
    with pytest.raises(BadVector) as caught, np.errstate(over="ignore"):
        filled.upsert([item("new"), item("b")], np.array([[1, 0, 0], bad]))
    assert sentence in str(caught.value)
    assert filled.version == before
    with pytest.raises(BadVector, match="query 1"), np.errstate(over="ignore"):
        filled.search(np.array([[1, 0, 0], bad]), 1)


def test_wrong_shapes_are_refused(filled: Gallery) -> None:
    with pytest.raises(BadVector, match=r"this gallery takes \(n, 3\)"):
        filled.upsert([item("new")], np.ones((1, 4)))
    with pytest.raises(BadVector, match=r"this gallery takes \(n, 3\)"):
        filled.search(np.ones(3), 1)
    with pytest.raises(ValueError, match="2 photos, 1 vectors"):
        filled.upsert([item("new", "1.jpg", "2.jpg")], np.ones((1, 3)))
    with pytest.raises(ValueError, match="may appear once"):
        filled.upsert([item("new"), item("new")], np.ones((2, 3)))


def test_long_and_short_vectors_count_the_same(gallery: Gallery) -> None:
    gallery.upsert([item("long"), item("short")], np.array([[1e18, 0, 0], [1e-9, 0, 0]]))
    assert [round(similarity, 6) for _, _, similarity in found(gallery, 1e-8, 0, 0)] == [1, 1]


def test_another_embedder_is_refused_with_the_way_out(filled: Gallery) -> None:
    with pytest.raises(BadGallery) as caught:
        Gallery.open(filled.folder, embedder="tiny@2")
    assert caught.value.reason == "other_embedder"
    assert "built by the embedder tiny@1, loaded is tiny@2" in str(caught.value)
    assert "dprnet index" in str(caught.value)


def test_where_there_is_no_gallery(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no gallery here"):
        Gallery.open(tmp_path / "none")
    with pytest.raises(BadGallery, match="is no gallery"):
        Gallery.open(tmp_path)


def test_create_touches_no_other_files(filled: Gallery, tmp_path: Path) -> None:
    with pytest.raises(BadGallery, match="already holds a gallery"):
        Gallery.create(filled.folder, embedder="x", size=3)
    assert len(filled) == 3
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/precious.jpg").touch()
    with pytest.raises(BadGallery, match=r"not empty .*precious\.jpg"):
        Gallery.create(tmp_path / "photos", embedder="x", size=3)
    with pytest.raises(BadGallery, match="cannot be created"):
        Gallery.create(tmp_path / "photos/precious.jpg", embedder="x", size=3)


def test_a_creation_that_was_killed_can_be_done_again(filled: Gallery) -> None:
    filled.close()
    (filled.folder / "gallery.json").rename(filled.folder / "gallery.json.partial")
    with pytest.raises(BadGallery, match="is no gallery"):
        Gallery.open(filled.folder)
    with Gallery.create(filled.folder, embedder="tiny@2", size=5) as again:
        assert (len(again), again.size) == (0, 5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 4}, "written in schema 4, this version reads up to 3; upgrade dprnet"),
        ({"schema": "1"}, "no schema"),
        ({"size": -1}, "is not as written by dprnet"),
        ({"size": "3"}, "'size' is not as written"),
        ({"metric": "euclid"}, "is not as written by dprnet"),
        ({"embedder": None}, "'embedder' is not as written"),
    ],
)
def test_a_card_that_was_changed_is_refused(filled: Gallery, change: dict[str, object], sentence: str) -> None:
    card = filled.folder / "gallery.json"
    card.write_text(json.dumps(json.loads(card.read_text("utf-8")) | change), encoding="utf-8")
    with pytest.raises(BadGallery) as caught:
        Gallery.open(filled.folder)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * 1_000_001])
def test_a_damaged_card_is_told(filled: Gallery, content: bytes) -> None:
    (filled.folder / "gallery.json").write_bytes(content)
    with pytest.raises(BadGallery, match=r"gallery\.json"):
        Gallery.open(filled.folder)


def test_a_search_sees_one_version_until_it_is_refreshed(filled: Gallery) -> None:
    assert len(filled) == 3
    with Gallery.open(filled.folder) as other:
        other.upsert([item("d")], np.array([[0, 0, 1.0]]))
    assert found(filled, 0, 0, 1, k=1) == [("a", "a1.jpg", 0.0)]
    assert filled.refresh()
    assert found(filled, 0, 0, 1, k=1) == [("d", "d.jpg", 1.0)]
    assert not filled.refresh()


def test_equal_galleries_give_equal_answers_whatever_their_history(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors, items = rng.standard_normal((40, SIZE)), [item(f"{n:02}") for n in range(40)]
    vectors[20:] = vectors[:20]  # ties
    orders = [np.arange(40), rng.permutation(40)]
    answers = []
    for name, order in zip("ab", orders, strict=True):
        with Gallery.create(tmp_path / name, embedder="x", size=SIZE) as made:
            for part in np.array_split(order, 3):
                made.upsert([items[n] for n in part], vectors[part])
            answers.append([[match.item_id for match in row] for row in made.search(vectors[:10], 8)])
    assert answers[0] == answers[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_index_agrees_with_brute_force(items: int, most_photos: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(items), rng.integers(1, most_photos + 1, items))
    vectors = rng.standard_normal((len(owner), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids, names = [f"{n:03}" for n in owner], [f"{n:03}" for n in range(len(owner))]
    stored = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)
    shuffled = rng.permutation(len(owner))
    rows = pa.table({"item_id": ids, "photo": names, "vector": stored}).take(shuffled)
    queries = vectors[rng.integers(0, len(owner), 4)] + 0.1
    similarity = queries @ vectors.T
    best = np.stack([similarity[:, owner == n].max(axis=1) for n in range(items)], axis=1)
    for query, (kept, similarities) in enumerate(PhotoIndex(1, rows, 8).search(queries, k)):
        order = np.argsort(-best[query])[:k]
        assert [rows.sort_by("photo")["item_id"][n].as_py() for n in kept] == [f"{n:03}" for n in order]
        assert np.allclose(similarities, np.clip(best[query][order], -1, 1), atol=1e-5)


def test_an_item_of_very_many_photos_does_not_hide_the_others(gallery: Gallery) -> None:
    many = item("many", *(f"{n}.jpg" for n in range(200)))
    gallery.upsert([many, item("b"), item("c")], np.array([[1, 0, 0]] * 200 + [[0.5, 1, 0], [-1, 0, 0]]))
    assert [item_id for item_id, _, _ in found(gallery, 1, 0, 0, k=3)] == ["many", "b", "c"]


def test_importing_the_gallery_is_light() -> None:
    script = "import sys, dprnet.gallery; print({'lancedb', 'faiss', 'pyarrow', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_nothing_is_written_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Gallery.create(tmp_path / "g", embedder="a", size=3) as made:
        made.upsert([item("a")], np.ones((1, 3)))
        made.search(np.ones((1, 3)))
    assert capfd.readouterr() == ("", "")
