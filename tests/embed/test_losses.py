"""Eq. 5 to 8 by hand and against a brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.embed.losses import batch_hard, centroid_triplet, contrast, retrieval_loss, smoothed_cross_entropy, triplet


def brute_force(embeddings, instances, margin, squared):
    """Eq. 6 as it is written, one anchor after another."""
    each = []
    for a in range(len(embeddings)):
        distance = [float(np.linalg.norm(embeddings[a] - other)) ** (2 if squared else 1) for other in embeddings]
        near = [distance[p] for p in range(len(embeddings)) if p != a and instances[p] == instances[a]]
        far = [distance[n] for n in range(len(embeddings)) if instances[n] != instances[a]]
        if near and far:
            each.append(max(0.0, margin + max(near) - min(far)))
    return float(np.mean(each)) if each else 0.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), squared=st.booleans(), margin=st.sampled_from([0.1, 0.3, 1.0]))
def test_batch_hard_equals_the_brute_force(seed, squared, margin):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    embeddings = rng.normal(size=(count, 5))
    instances = rng.integers(0, 4, count)
    found = batch_hard(torch.tensor(embeddings), torch.tensor(instances), margin, squared=squared)
    assert found.item() == pytest.approx(brute_force(embeddings, instances, margin, squared), abs=1e-6)


def test_batch_hard_by_hand():
    # Instance 0 at 0 and 1, instance 1 at 3 and 3.5. Anchors: .3 + 1 - 3, .3 + 1 - 2, .3 + .5 - 2, .3 + .5 - 2.5.
    line = torch.tensor([[0.0], [1.0], [3.0], [3.5]])
    instances = torch.tensor([0, 0, 1, 1])
    assert batch_hard(line, instances, 0.3).item() == 0.0
    # With margin 2.2: .2, 1.2, .7, .2
    assert batch_hard(line, instances, 2.2).item() == pytest.approx((0.2 + 1.2 + 0.7 + 0.2) / 4)


def test_batch_hard_of_one_instance_is_zero_and_can_be_backpropagated():
    embeddings = torch.randn(4, 3, requires_grad=True)
    batch_hard(embeddings, torch.zeros(4, dtype=torch.long)).backward()
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


def test_triplet_by_hand():
    anchors = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    positives = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    negatives = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    # 1 - 1 + 0.3 and 0.25 - 4 + 0.3 (below 0)
    assert triplet(anchors, positives, negatives, margin=0.3).item() == pytest.approx(0.3)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 9), epsilon=st.sampled_from([0.0, 0.1, 0.5]), seed=st.integers(0, 999))
def test_label_smoothing_is_equation_7(count, epsilon, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, count, generator=generator, dtype=torch.float64)
    truth = torch.randint(count, (3,), generator=generator)
    expected = 0.0
    for row in range(3):
        q = np.full(count, epsilon / count)
        q[truth[row]] = 1 - epsilon * (count - 1) / count
        assert q.sum() == pytest.approx(1)
        log_p = logits[row].numpy() - math.log(np.exp(logits[row].numpy()).sum())
        expected -= float(q @ log_p) / 3
    assert smoothed_cross_entropy(logits, truth, epsilon).item() == pytest.approx(expected)


def test_centroid_triplet_by_hand():
    line = torch.tensor([[0.0], [2.0], [5.0], [7.0]])
    instances = torch.tensor([0, 0, 1, 1])
    # To the other photo of the pair 2 each; to the other mean (6, 6, 1, 1): 6, 4, 4, 6.
    assert centroid_triplet(line, instances, margin=3.0).item() == pytest.approx((0 + 1 + 1 + 0) / 4)


def test_centroid_triplet_survives_repeated_photos():
    embeddings = torch.ones(4, 3, requires_grad=True)
    centroid_triplet(embeddings, torch.tensor([0, 0, 1, 1])).backward()
    assert torch.isfinite(embeddings.grad).all()


def test_the_whole_loss_is_the_plain_sum():
    assert retrieval_loss(torch.tensor(2.0), torch.tensor(0.5)).item() == 2.5


def brute_contrast(embeddings, instances, seen, seen_instances, temperature):
    """The supervised contrastive loss as it is written, one anchor after another."""
    everything, owner = np.concatenate([embeddings, seen]), np.concatenate([instances, seen_instances])
    each = []
    for a in range(len(embeddings)):
        others = [x for x in range(len(everything)) if x != a]
        exps = {x: math.exp(float(embeddings[a] @ everything[x]) / temperature) for x in others}
        positives = [x for x in others if owner[x] == instances[a]]
        if positives:
            each.append(-np.mean([math.log(exps[x] / sum(exps.values())) for x in positives]))
    return float(np.mean(each)) if each else 0.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), kept=st.integers(0, 6), temperature=st.sampled_from([0.1, 0.5, 1.0]))
def test_contrast_equals_the_brute_force(seed, kept, temperature):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(int(rng.integers(1, 9)) + kept, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    instances = rng.integers(0, 3, len(vectors))
    batch, seen = slice(kept, None), slice(0, kept)
    given_ = (vectors[batch], instances[batch], vectors[seen], instances[seen])
    found = contrast(*(torch.tensor(value) for value in given_), temperature)
    assert found.item() == pytest.approx(brute_contrast(*given_, temperature), abs=1e-6)


def test_contrast_without_a_positive_is_zero_and_can_be_backpropagated():
    embeddings = torch.eye(3, requires_grad=True)
    nothing = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)
    contrast(embeddings, torch.arange(3), *nothing).backward()
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


def test_contrast_pulls_a_garment_to_its_own_and_off_the_others():
    anchor = torch.tensor([[1.0, 0.0]], requires_grad=True)
    seen = torch.tensor([[0.6, 0.8], [0.6, -0.8]])
    contrast(anchor, torch.tensor([0]), seen, torch.tensor([0, 1]), 0.5).backward()
    assert anchor.grad[0, 1] < 0  # downhill is towards the second coordinate of its own
