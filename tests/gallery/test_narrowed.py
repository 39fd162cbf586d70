"""Search behind a filter: nothing else is found, and what lies away from the query is found all the same."""

from __future__ import annotations

import numpy as np
import pytest

from dprnet.core.records import FloatArray, IntArray
from dprnet.gallery import approximate
from dprnet.gallery.approximate import Approximate
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.engines import Exact, build_engine
from dprnet.gallery.faiss_calls import held
from dprnet.gallery.narrowed import Coded, Codes, Compared, PassedOver


def spread(rng: np.random.Generator, n: int, size: int = 64) -> FloatArray:
    """Vectors of length 1 whose numbers differ in spread, as those of embeddings turned to principal directions do."""
    vectors = rng.standard_normal((n, size)) * np.linspace(1, 0.05, size)
    unit: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def recall(truth: IntArray, found: IntArray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(truth.tolist(), found.tolist(), strict=True)]))


@pytest.mark.parametrize(("passing", "kind"), [(40, Compared), (500, Coded), (3000, PassedOver)])
def test_the_way_follows_the_number_that_passes(passing: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "FEW", {"hnsw": 50, "ivf": 50})
    monkeypatch.setattr(approximate, "CODED", 2000)
    rng = np.random.default_rng(0)
    vectors = spread(rng, 4000)
    engine = build_engine(vectors, IndexConfig(kind="hnsw"))
    mask = np.zeros(4000, bool)
    mask[rng.permutation(4000)[:passing]] = True
    narrowed, exact = engine.only(mask), Exact(vectors).only(mask)
    assert isinstance(narrowed, kind)
    queries = spread(rng, 40)
    similarities, found = narrowed.search(queries, 10)
    assert mask[found].all()
    assert recall(exact.search(queries, 10)[1], found) > 0.95
    assert np.allclose(similarities, np.take_along_axis(queries @ vectors.T, found, axis=1), atol=1e-5)
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert np.array_equal(narrowed.exactly(queries, 10)[1], exact.search(queries, 10)[1])


def test_what_lies_away_from_the_query_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph alone ends among what is near the query and does not pass."""
    monkeypatch.setattr(approximate, "FEW", {"hnsw": 50, "ivf": 50})
    rng = np.random.default_rng(1)
    vectors = spread(rng, 6000)
    away = vectors[:, 0] < np.quantile(vectors[:, 0], 0.15)
    queries = spread(rng, 200)
    queries = queries[queries[:, 0] > 0.3][:50]
    truth = Exact(vectors).only(away).search(queries, 10)[1]
    engine = build_engine(vectors, IndexConfig(kind="hnsw"))
    assert recall(truth, engine.only(away).search(queries, 10)[1]) > 0.97
    monkeypatch.setattr(approximate, "CODED", 0)
    alone = engine.only(away)
    assert isinstance(alone, PassedOver)
    assert recall(truth, alone.search(queries, 10)[1]) < 0.9


def test_fewer_that_pass_than_are_wanted() -> None:
    rng = np.random.default_rng(2)
    vectors = spread(rng, 300)
    coded = Coded(Codes(vectors), np.array([7, 200, 31]), np.array([7, 200, 31]), vectors, lambda q, k: ([], []))
    similarities, found = coded.search(vectors[[31]], 10)
    assert found.shape == similarities.shape == (1, 3)
    assert found[0, 0] == 31
    assert similarities[0, 0] == pytest.approx(1, abs=1e-5)


def test_codes_are_extended_without_a_change_to_those_before() -> None:
    rng = np.random.default_rng(3)
    vectors = spread(rng, 500)
    first = Codes(vectors[:400])
    rows = first.rows.copy()
    second = first.extended(vectors[400:])
    assert np.array_equal(first.rows, rows)
    assert np.array_equal(second.rows[:400], rows)
    assert len(second.rows) == 500
    places = np.arange(390, 410)
    near = second.only(places).search(second.turned(vectors[405:406]), 1)[1]
    assert places[near[0, 0]] == 405


def test_the_turn_is_worth_its_product() -> None:
    """Bits of numbers that differ in spread tell less: the same codes without the turn find fewer."""
    import faiss

    rng = np.random.default_rng(4)
    vectors, queries = spread(rng, 5000), spread(rng, 50)
    truth = Exact(vectors).search(queries, 10)[1]
    turned = Codes(vectors)
    found = turned.only(np.arange(5000)).search(turned.turned(queries), 40)[1]
    plain = faiss.IndexRaBitQ(64, faiss.METRIC_INNER_PRODUCT)
    plain.train(vectors)
    plain.add(vectors)
    unturned = plain.search(queries, 40)[1]
    among = [
        np.mean([len(set(t) & set(f)) / 10 for t, f in zip(truth, some, strict=True)]) for some in (found, unturned)
    ]
    assert among[0] > among[1] + 0.05


def test_vectors_are_read_where_they_lie() -> None:
    vectors = spread(np.random.default_rng(5), 100)
    engine = build_engine(vectors, IndexConfig(kind="hnsw"))
    assert isinstance(engine, Approximate)
    assert np.array_equal(held(engine._whole), vectors)
