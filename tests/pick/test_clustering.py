"""Clustering gives scipy's clusters, in any order, in pieces and folded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from dprnet.core.errors import BadVector
from dprnet.pick import PickConfig, cluster, clustering, cosine_dissimilarity
from dprnet.pick import components as parts
from dprnet.pick.clustering import in_order_of_appearance


def cloud(seed: int, n: int, garments: int, noise: float = 0.5, size: int = 16) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(garments, size))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    points = centres[rng.integers(garments, size=n)] + noise * rng.normal(size=(n, size)) / np.sqrt(size)
    return (points * rng.uniform(0.1, 10, (n, 1))).astype(np.float32)


def plain(embeddings: NDArray[np.float32], config: PickConfig) -> NDArray[np.int64]:
    if len(embeddings) < 2:
        return np.zeros(len(embeddings), np.int64)
    tree = linkage(embeddings.astype(np.float64), method=config.linkage, metric="cosine")
    return in_order_of_appearance(fcluster(tree, config.cut_distance, criterion="distance"))


def test_dissimilarity_by_hand() -> None:
    vectors = np.array([[3.0, 4.0], [4.0, 3.0], [-3.0, -4.0]])
    np.testing.assert_allclose(cosine_dissimilarity(vectors), [[0, 0.04, 2], [0.04, 0, 1.96], [2, 1.96, 0]], atol=1e-12)


def test_average_linkage_by_hand() -> None:
    # Angles 0, 40 and 70 degrees: 40 and 70 join at 1 - cos 30 = 0.134; 0 is then (0.234 + 0.658) / 2 = 0.446 away.
    angles = np.radians([0, 40, 70])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def clusters(cut: float, linkage: str = "average") -> list[int]:
        return cluster(vectors, PickConfig.model_validate({"cut_distance": cut, "linkage": linkage}))[0].tolist()

    assert clusters(0.13) == [0, 1, 2]
    assert clusters(0.14) == [0, 1, 1]
    assert clusters(0.44) == [0, 1, 1]
    assert clusters(0.45) == [0, 0, 0]
    assert clusters(0.24, "single") == [0, 0, 0]
    assert clusters(0.65, "complete") == [0, 1, 1]


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 60),
    garments=st.integers(1, 8),
    cut=st.floats(0.02, 1.2),
    method=st.sampled_from(["average", "complete", "single"]),
)
def test_same_clusters_as_plain_scipy(seed: int, n: int, garments: int, cut: float, method: str) -> None:
    embeddings = cloud(seed, n, garments)
    config = PickConfig.model_validate({"cut_distance": cut, "linkage": method})
    wanted = plain(embeddings, config)
    for small in (0, clustering.SMALL):  # in components, and whole
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clustering, "SMALL", small)
            labels, folded = cluster(embeddings, config)
        assert folded == 0
        np.testing.assert_array_equal(labels, wanted)


@pytest.mark.parametrize(("garments", "noise"), [(1, 0.2), (3, 0.4), (40, 0.6), (150, 0.9)])
def test_same_clusters_in_blocks(monkeypatch: pytest.MonkeyPatch, garments: int, noise: float) -> None:
    monkeypatch.setattr(clustering, "SMALL", 0)
    monkeypatch.setattr(parts, "BLOCK", 32)
    monkeypatch.setattr(parts, "TILE", 50)
    embeddings = cloud(7, 700, garments, noise)
    for cut in (0.1, 0.3, 0.6):
        config = PickConfig(cut_distance=cut)
        np.testing.assert_array_equal(cluster(embeddings, config)[0], plain(embeddings, config))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 200), cut=st.floats(0.0, 1.0))
def test_components_are_those_of_the_whole_graph(seed: int, n: int, cut: float) -> None:
    from scipy.sparse.csgraph import connected_components

    unit = cloud(seed, n, 6)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "BLOCK", 16)
        patch.setattr(parts, "TILE", 24)
        found = parts.components(unit, cut)
    wanted = connected_components(cosine_dissimilarity(unit) <= cut + parts.ROUNDING, directed=False)[1]
    np.testing.assert_array_equal(in_order_of_appearance(found), in_order_of_appearance(wanted))


def test_apart_is_never_joined_and_the_rest_is_as_before() -> None:
    embeddings = np.array([[1, 0], [1, 0.01], [1, 0.02], [0, 1]], np.float32)
    config = PickConfig(cut_distance=0.3)
    assert cluster(embeddings, config)[0].tolist() == [0, 0, 0, 1]
    labels = cluster(embeddings, config, np.array([[0, 1]]))[0]
    assert labels[0] != labels[1]
    assert labels[3] not in labels[:3]
    assert len(set(labels.tolist())) == 3


@given(seed=st.integers(0, 10**6), n=st.integers(2, 40))
def test_no_cluster_holds_a_pair_that_must_stay_apart(seed: int, n: int) -> None:
    embeddings = cloud(seed, n, 3)
    pairs = np.sort(np.random.default_rng(seed).integers(n, size=(n // 2, 2)), axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    labels, _ = cluster(embeddings, PickConfig(cut_distance=1.0), pairs)
    assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()


def test_folding_keeps_what_is_clearly_apart() -> None:
    # Two garments of 400 nearly equal views each, linked by a chain, so that one component must be folded.
    rng = np.random.default_rng(3)
    angles = np.concatenate([rng.normal(0, 2, 400), rng.normal(90, 2, 400), np.arange(10, 90, 10)])
    embeddings = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1).astype(np.float32)
    exact, none = cluster(embeddings, PickConfig(cut_distance=0.05))
    assert none == 0
    labels, folded = cluster(embeddings, PickConfig(cut_distance=0.05, max_component=50, fold_distance=0.0001))
    assert folded >= 808 - 50
    assert len(set(labels[:400].tolist()) & set(labels[400:800].tolist())) == 0
    assert np.bincount(labels[:400]).max() > 300
    assert len(set(exact.tolist())) >= 2


def test_fold_leaders_are_apart_and_members_near() -> None:
    unit = cloud(1, 500, 2, 0.3)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    leaders, follows = parts.fold(unit, 500, 0.05)
    between = cosine_dissimilarity(unit[leaders]) + 2 * np.eye(len(leaders))
    assert between.min() > 0.05 - 1e-5
    assert (1 - (unit * unit[leaders[follows]]).sum(axis=1)).max() <= 0.05 + 1e-5
    few, _ = parts.fold(unit, 10, 0.001)
    assert 1 <= len(few) <= 10


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_refused(value: float) -> None:
    embeddings = np.ones((3, 4), np.float32)
    embeddings[1] = value
    with pytest.raises(BadVector, match="detection 1: its instance embedding has length"):
        cluster(embeddings, PickConfig())


def test_tiny_and_huge_vectors_have_a_direction() -> None:
    embeddings = np.array([[1e-30, 0], [1e30, 1e28], [0, 1e38]], np.float32)
    assert cluster(embeddings, PickConfig())[0].tolist() == [0, 0, 1]
