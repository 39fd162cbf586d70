from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from dprnet.core.records import FloatArray, IntArray
from dprnet.gallery import approximate
from dprnet.gallery.approximate import Approximate
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.engines import Exact, build_engine, next_engine
from dprnet.gallery.index import PhotoIndex


def unit(rng: np.random.Generator, n: int, size: int = 16) -> FloatArray:
    vectors = rng.standard_normal((n, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(("vectors", "kind"), [(0, "exact"), (50_000, "exact"), (50_001, "hnsw"), (2_000_001, "ivf")])
def test_the_engine_follows_the_size(vectors: int, kind: str) -> None:
    assert IndexConfig().kind_for(vectors) == kind
    assert IndexConfig(kind="ivf").kind_for(vectors) == "ivf"


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_approximate_engine_says_its_recall(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    vectors, queries = unit(rng, 3000), unit(rng, 50)
    with caplog.at_level(logging.INFO):
        engine = build_engine(vectors, IndexConfig(kind=kind))
    assert isinstance(engine, Approximate)
    assert engine.recall >= 0.95
    assert f"recall@10 {engine.recall:.3f} against exact search" in caplog.text
    truth, found = Exact(vectors).search(queries, 10)[1], engine.search(queries, 10)[1]
    measured = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth.tolist(), found.tolist(), strict=True)])
    assert measured > 0.85  # other queries than those it was tuned with


@pytest.mark.parametrize("kind", ["exact", "hnsw", "ivf"])
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_mask_lets_nothing_else_be_found(kind: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "FEW", {"hnsw": 50, "ivf": 50})
    rng = np.random.default_rng(1)
    vectors, queries = unit(rng, 1000), unit(rng, 20)
    mask = rng.random(1000) < share
    similarities, found = build_engine(vectors, IndexConfig(kind=kind)).only(mask).search(queries, 30)
    there = found >= 0
    assert mask[found[there]].all()
    if share < 0.05 or kind == "exact":
        best = np.sort(np.where(mask, queries @ vectors.T, -np.inf), axis=1)[:, ::-1][:, : min(30, mask.sum())]
        # Lists keep vectors at half precision.
        assert np.allclose(similarities[:, : best.shape[1]], best, atol=1e-3 if kind == "ivf" else 1e-5)
        assert (there.sum(axis=1) == min(30, mask.sum())).all()


def test_filters_hold_beside_faiss_for_torch() -> None:
    """The losses' library imports it; it changes every index of the process, so it has a process of its own here."""
    code = """
import faiss.contrib.torch_utils, numpy as np
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.engines import build_engine
vectors = np.eye(64, dtype=np.float32)
mask = np.arange(64) % 2 == 1
for kind in ("exact", "hnsw", "ivf"):
    found = build_engine(vectors, IndexConfig(kind=kind)).only(mask).search(vectors[:4], 3)[1]
    assert (found[found >= 0] % 2 == 1).all() and (found[[1, 3], 0] == [1, 3]).all(), (kind, found)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


def recall(truth: IntArray, found: IntArray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(truth.tolist(), found.tolist(), strict=True)]))


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
@pytest.mark.parametrize(("share", "alike"), [(0.5, False), (0.05, False), (0.2, True)])
def test_a_filter_costs_effort_not_recall(
    kind: str, share: float, alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where what passes lies together, away from the queries, as items of another category do."""
    monkeypatch.setattr(approximate, "FEW", {"hnsw": 0, "ivf": 0})
    rng = np.random.default_rng(4)
    vectors, queries = unit(rng, 4000), unit(rng, 100)
    towards = vectors[:, 0] if alike else rng.random(4000)
    mask = towards >= np.quantile(towards, 1 - share)
    truth = Exact(vectors).only(mask).search(queries, 10)[1]
    found = build_engine(vectors, IndexConfig(kind=kind)).only(mask).search(queries, 10)[1]
    assert recall(truth, found) > 0.9


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_engine_is_extended_when_little_changed(kind: str) -> None:
    rng = np.random.default_rng(5)
    config = IndexConfig(kind=kind)
    vectors, queries = unit(rng, 3000), unit(rng, 50)
    first = build_engine(vectors, config)
    before = first.search(queries, 10)
    # Of the next version, three times over: a tenth went, a tenth is new, and all stand elsewhere.
    engine, held = first, vectors
    for _ in range(2):
        stay = np.flatnonzero(rng.random(len(held)) > 0.1)
        new = unit(rng, 300)
        was = np.concatenate([stay, np.full(len(new), -1)])[rng.permutation(len(stay) + len(new))]
        following = np.empty((len(was), held.shape[1]), np.float32)
        following[was >= 0], following[was < 0] = held[was[was >= 0]], new
        engine, extended = next_engine(engine, following, was, config)
        assert extended
        held = following
    assert isinstance(engine, Approximate)
    assert engine.places > len(held)
    truth, found = Exact(held).search(queries, 10), engine.search(queries, 10)
    assert recall(truth[1], found[1]) > 0.9
    assert np.allclose(found[0], np.take_along_axis(queries @ held.T, found[1], axis=1), atol=1e-3)
    mask = rng.random(len(held)) < 0.1
    narrowed, exact = engine.only(mask), Exact(held).only(mask)
    assert np.array_equal(np.sort(narrowed.search(queries, 5)[1]), np.sort(exact.search(queries, 5)[1]))
    assert np.array_equal(first.search(queries, 10)[1], before[1])  # the old one answers as it did


@pytest.mark.parametrize(("kept", "new"), [(1000, 1500), (600, 0)])
def test_an_engine_is_built_anew_when_much_changed(kept: int, new: int) -> None:
    rng = np.random.default_rng(6)
    config = IndexConfig(kind="hnsw")
    vectors = unit(rng, 1000)
    was = np.concatenate([np.arange(kept), np.full(new, -1)])
    following = np.concatenate([vectors[:kept], unit(rng, new)])
    engine, extended = next_engine(build_engine(vectors, config), following, was, config)
    assert not extended
    assert isinstance(engine, Approximate)
    assert engine.places == len(following)


@pytest.mark.parametrize("photos", ["best", "centroid"])
def test_an_index_takes_over_what_stayed(photos: str) -> None:
    rng = np.random.default_rng(7)
    config = IndexConfig(kind="hnsw", photos=photos)
    ids, vectors = [f"{n // 2:04}" for n in range(2000)], unit(rng, 2000)
    first = PhotoIndex(1, table(ids, vectors), 16, config)
    changed = vectors.copy()
    changed[100:140] = unit(rng, 40)
    rows = table(ids, changed).take(rng.permutation(np.r_[2:140, 200:2000]))  # some changed, some went
    following = PhotoIndex(2, rows, 16, config, first)
    assert following.extended
    anew = PhotoIndex(2, rows, 16, IndexConfig(kind="exact", photos=photos))
    queries = unit(rng, 40)
    same = [
        len(set(a) & set(b)) / 10
        for (a, _), (b, _) in zip(following.search(queries, 10), anew.search(queries, 10), strict=True)
    ]
    assert np.mean(same) > 0.9
    assert not PhotoIndex(
        3, table(ids, vectors), 16, IndexConfig(kind="hnsw", hnsw_links=16, photos=photos), first
    ).extended


def table(ids: list[str], vectors: FloatArray) -> pa.Table:
    stored = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1])
    photos = [f"{n:05}" for n in range(len(ids))]
    return pa.table({"item_id": ids, "photo": photos, "category": ["even" if int(i) % 2 == 0 else "odd" for i in ids],
                     "metadata": ["{}"] * len(ids), "vector": stored})  # fmt: skip


def test_an_item_of_very_many_photos_does_not_hide_others_from_a_graph() -> None:
    rng = np.random.default_rng(2)
    near = np.array([[1.0, 0, 0, 0]]) + 0.001 * rng.standard_normal((3000, 4))
    vectors = np.concatenate([near, [[0, 1, 0, 0], [0, 0, 1, 0]]]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = PhotoIndex(1, table(["0"] * 3000 + ["1", "2"], vectors), 4, IndexConfig(kind="hnsw"))
    ((rows, _),) = index.search(np.array([[1, 0.2, 0.1, 0]], np.float32), 3)
    assert [index.rows["item_id"][row].as_py() for row in rows] == ["0", "1", "2"]


@pytest.mark.parametrize("photos", ["best", "centroid"])
def test_a_filter_leaves_the_best_of_what_passes(photos: str) -> None:
    rng = np.random.default_rng(3)
    ids = [f"{n // 3:03}" for n in range(300)]
    vectors, queries = unit(rng, 300), unit(rng, 5)
    index = PhotoIndex(1, table(ids, vectors), 16, IndexConfig(photos=photos))
    by_item = vectors.reshape(100, 3, 16)
    means = by_item.mean(axis=1) / np.linalg.norm(by_item.mean(axis=1), axis=1, keepdims=True)
    for query, (rows, similarities) in zip(queries, index.search(queries, 7, "category = even"), strict=True):
        scores = means @ query if photos == "centroid" else (by_item @ query).max(axis=1)
        scores[1::2] = -9
        wanted = np.argsort(-scores)[:7]
        assert [row // 3 for row in rows] == wanted.tolist()
        assert [row % 3 for row in rows] == [int(np.argmax(by_item[item] @ query)) for item in wanted]
        assert np.allclose(similarities, scores[wanted], atol=1e-5)


def test_photos_that_cancel_out_leave_the_first() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0, 1]], np.float32)
    index = PhotoIndex(1, table(["0", "0", "1"], vectors), 2, IndexConfig(photos="centroid"))
    assert index.search(np.array([[1, 0]], np.float32), 2) == [([0, 2], [1.0, 0.0])]


def test_only_the_queries_that_came_short_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that ends before what passes is followed by comparing; the answers of other queries stay as they were."""
    monkeypatch.setattr(approximate, "FEW", {"hnsw": 0, "ivf": 0})
    monkeypatch.setattr(approximate, "CODED", 0)
    rng = np.random.default_rng(8)
    vectors = unit(rng, 4000)
    vectors[::2, 0] = np.abs(vectors[::2, 0]) + 0.5  # even ids on one side, odd ones on the other
    vectors[1::2, 0] = -np.abs(vectors[1::2, 0]) - 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = PhotoIndex(1, table([f"{n:04}" for n in range(4000)], vectors), 16, IndexConfig(kind="hnsw"))
    asked = []
    narrowed = index._allowed("category = odd").engine
    exactly = narrowed.exactly
    monkeypatch.setattr(narrowed, "exactly", lambda queries, k: asked.append(len(queries)) or exactly(queries, k))
    found = index.search(np.concatenate([vectors[1:41:2], vectors[:40:2]]), 5, "category = odd")
    assert all(len(rows) == 5 for rows, _ in found)
    assert all(row % 2 == 1 for rows, _ in found for row in rows)
    assert [rows[0] for rows, _ in found[:20]] == list(range(1, 41, 2))
    similarity = vectors[:40:2] @ vectors[1::2].T
    assert sum(asked) <= 20  # those on the side of what passes are not among them
    assert asked, "no query came short: the test shows nothing"
    best = similarity.max(axis=1)
    right = [abs(alike[0] - wanted) < 1e-5 for (_, alike), wanted in zip(found[20:], best, strict=True)]
    assert np.mean(right) > 0.5
