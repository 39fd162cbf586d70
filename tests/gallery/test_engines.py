from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pytest

from dprnet.core.records import FloatArray
from dprnet.gallery.engines import Approximate, Exact, IndexConfig, build_engine
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
def test_a_mask_lets_nothing_else_be_found(kind: str, share: float) -> None:
    rng = np.random.default_rng(1)
    vectors, queries = unit(rng, 1000), unit(rng, 20)
    mask = rng.random(1000) < share
    similarities, found = build_engine(vectors, IndexConfig(kind=kind)).search(queries, 30, mask)
    there = found >= 0
    assert mask[found[there]].all()
    if share < 0.05 or kind == "exact":
        best = np.sort(np.where(mask, queries @ vectors.T, -np.inf), axis=1)[:, ::-1][:, : min(30, mask.sum())]
        assert np.allclose(similarities[:, : best.shape[1]], best, atol=1e-5)
        assert (there.sum(axis=1) == min(30, mask.sum())).all()


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
