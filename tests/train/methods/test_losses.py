"""The losses of the compared methods against values counted by hand and by brute force."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.train.methods.losses import (
    centre,
    draw,
    draw_grid,
    draw_pairs,
    found_share,
    grid_search,
    hardest_negative,
    pair_loss,
    proxy_nll,
    random_triplet,
    relations,
)

CLASSES = torch.tensor([0, 0, 1, 1, 1, 2])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_drawing_takes_only_what_is_allowed_and_repeats_only_when_it_must():
    allowed = torch.tensor([[True, False, True, True], [False, True, False, False]])
    for _ in range(20):
        drawn = draw(allowed, 3)
        assert sorted(drawn[0].tolist()) == [0, 2, 3]
        assert drawn[1].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="allows no column"):
        draw(torch.zeros(1, 3, dtype=torch.bool))


def test_drawing_is_even():
    counts = draw(torch.ones(4000, 4, dtype=torch.bool))[:, 0].bincount(minlength=4)
    assert (counts - 1000).abs().max() < 150


def test_random_triplets_have_the_mean_of_all_triplets():
    """Over many draws the loss is the mean over all (positive, negative) of each anchor."""
    vectors = torch.randn(6, 3)
    drawn = torch.stack([random_triplet(vectors, CLASSES, 0.3) for _ in range(3000)])
    rows = []
    for a in range(5):  # the last has no positive
        each = [
            max(float((vectors[a] - vectors[p]).square().sum() - (vectors[a] - vectors[n]).square().sum()) + 0.3, 0)
            for p, n in itertools.product(range(6), range(6))
            if p != a and CLASSES[p] == CLASSES[a] and CLASSES[n] != CLASSES[a]
        ]
        rows.append(sum(each) / len(each))
    assert drawn.mean().item() == pytest.approx(sum(rows) / 5, rel=0.05)
    assert drawn.std() > 0


def test_hardest_negative_against_brute_force():
    vectors = torch.randn(6, 4, requires_grad=True)
    each = []
    for a, p in itertools.product(range(6), range(6)):
        if a == p or CLASSES[a] != CLASSES[p]:
            continue
        far = min((vectors[a] - vectors[n]).square().sum() for n in range(6) if CLASSES[n] != CLASSES[a])
        each.append(((vectors[a] - vectors[p]).square().sum() - far + 0.5).clamp_min(0))
    loss = hardest_negative(vectors, CLASSES, 0.5)
    torch.testing.assert_close(loss, torch.stack(each).mean())
    loss.backward()
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 0, 0]])
def test_without_pairs_a_loss_is_nothing_and_has_a_slope(classes):
    vectors = torch.randn(3, 2, requires_grad=True)
    for loss in (random_triplet, hardest_negative):
        value = loss(vectors, torch.tensor(classes), 0.3)
        assert value.item() == 0
        value.backward()
    first, second, right = draw_pairs(vectors, torch.tensor(classes))
    assert len(first) == len(second) == len(right) == 0
    assert len(draw_grid(torch.tensor(classes), 4)[0]) == 0


def test_proxies_and_centres_by_hand():
    # Cosines .6 and .8, scale 2: -log softmax([1.2, 1.6])[0]
    wanted = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(1.6)))
    assert proxy_nll(torch.tensor([[0.6, 0.8]]), torch.tensor([0]), scale=2.0).item() == pytest.approx(wanted, rel=1e-5)
    centres = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    found = centre(torch.tensor([[3.0, 4.0], [1.0, 2.0]]), torch.tensor([0, 1]), centres)
    assert found.item() == pytest.approx((25 / 2 + 1 / 2) / 2)


def test_a_grid_holds_the_positives_and_negatives_of_its_reference():
    for _ in range(10):
        rows, cells, matches = draw_grid(CLASSES, 4)
        assert rows.tolist() == [0, 1, 2, 3, 4]
        assert cells.shape == matches.shape == (5, 4)
        assert torch.equal(CLASSES[cells] == CLASSES[rows][:, None], matches)
        assert not (cells == rows[:, None]).any()
        assert {row: sorted(set(cells[row][matches[row]].tolist())) for row in (0, 2)} == {0: [1], 2: [3, 4]}
    places = torch.cat([draw_grid(CLASSES, 4)[2][2:4].float() for _ in range(500)]).mean(dim=0)
    assert (places - 0.5).abs().max() < 0.07  # two matches of four cells, anywhere


def test_searching_a_grid_by_hand():
    similarity = torch.tensor([[1.0, 0.0, 0.0]])
    one = grid_search(similarity, torch.tensor([[True, False, False]]), 0.5)
    assert one.item() == pytest.approx(math.log(math.exp(2) + 2) - 2)
    two = grid_search(similarity, torch.tensor([[True, True, False]]), 0.5)
    assert two.item() == pytest.approx(math.log(math.exp(2) + 2) - 1)


def test_the_share_found_counts_ties_against():
    matches = torch.tensor([[True, False, True, False]])
    for scores, share in (([4, 3, 2, 1], 0.5), ([4, 1, 3, 2], 1.0), ([1, 2, 1, 3], 0.0), ([1, 1, 1, 1], 0.0)):
        assert found_share(torch.tensor([scores], dtype=torch.float), matches).item() == share


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=3, max_size=8), st.data())
def test_the_share_found_is_that_of_a_sorted_list(scores, data):
    matches = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)).filter(any))
    # Of equal scores the wrong ones come first.
    order = sorted(range(len(scores)), key=lambda cell: (-scores[cell], matches[cell]))
    wanted = sum(matches)
    share = sum(matches[cell] for cell in order[:wanted]) / wanted
    found = found_share(torch.tensor([scores], dtype=torch.float), torch.tensor([matches]))
    assert found.item() == pytest.approx(share)


def test_pairs_are_a_positive_the_nearest_and_a_random_negative():
    vectors = torch.nn.functional.normalize(torch.randn(6, 3), dim=1)
    first, second, right = draw_pairs(vectors, CLASSES)
    assert first.tolist() == [0, 1, 2, 3, 4] * 3
    assert right.tolist() == [1.0] * 5 + [0.0] * 10
    positive, negative = relations(CLASSES)
    assert positive[first[:5], second[:5]].all()
    assert negative[first[5:], second[5:]].all()
    alike = (vectors @ vectors.T).masked_fill(~negative, -2)
    assert second[5:10].tolist() == alike.argmax(dim=1)[:5].tolist()


def test_pairs_weigh_the_same_on_both_sides():
    scores = torch.tensor([2.0, -1.0, 0.0])
    wanted = 0.5 * math.log1p(math.exp(-2)) + 0.25 * (math.log1p(math.exp(-1)) + math.log(2))
    assert pair_loss(scores, torch.tensor([1.0, 0.0, 0.0])).item() == pytest.approx(wanted, rel=1e-5)
