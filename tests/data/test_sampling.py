"""Every batch is P x K, whatever the photos; and the step alone decides what it holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.data.photo_batch import BatchAugment, BatchAugmentSettings, recolour
from dprnet.data.sampling import PKSampler


@st.composite
def worlds(draw):
    sizes = draw(st.lists(st.integers(1, 6), min_size=4, max_size=12))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    p = draw(st.integers(1, 4))
    k = draw(st.integers(1, 5))
    groups = draw(st.lists(st.integers(-1, 2), min_size=len(sizes), max_size=len(sizes)))
    return owner, p, k, groups, draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(world=worlds(), step=st.integers(0, 50))
def test_every_batch_is_exactly_p_times_k(world, step):
    owner, p, k, groups, hard, variants = world
    sampler = PKSampler(owner, p, k, groups=groups, hard=hard, variants=variants)
    batch = sampler(step)
    assert len(batch.photos) == len(batch.classes) == p * k
    classes, counts = np.unique(batch.classes, return_counts=True)
    assert len(classes) == p
    assert (counts == k).all()
    np.testing.assert_array_equal(owner[batch.photos], batch.instances)
    np.testing.assert_array_equal(batch.classes, batch.instances * (variants + 1) + batch.variants)
    assert batch.classes.max() < sampler.classes
    # photos are repeated only where an instance has too few
    for name in classes:
        mine = batch.photos[batch.classes == name]
        assert len(np.unique(mine)) == min(k, (owner == owner[mine[0]]).sum())


def test_the_same_step_gives_the_same_batch_and_another_step_another():
    sampler = PKSampler(np.repeat(np.arange(30), 3), 8, 2, seed=5)
    again = PKSampler(np.repeat(np.arange(30), 3), 8, 2, seed=5)
    np.testing.assert_array_equal(sampler(17).photos, again(17).photos)
    assert sampler(17).photos.tolist() != sampler(18).photos.tolist()


def test_shop_and_video_meet_in_every_instance_that_has_both():
    owner = np.repeat(np.arange(6), 8)
    domains = np.tile([0, 1, 1, 1, 1, 1, 1, 1], 6)  # one shop photo, seven views
    sampler = PKSampler(owner, 4, 4, domains=domains)
    for step in range(20):
        batch = sampler(step)
        for name in np.unique(batch.instances):
            assert set(domains[batch.photos[batch.instances == name]]) == {0, 1}


def test_hard_draws_bring_the_group():
    groups = np.repeat(np.arange(10), 3)
    sampler = PKSampler(np.arange(30), 6, 2, groups=groups, hard=1.0, together=3)
    for step in range(10):
        found = np.unique(groups[np.unique(sampler(step).instances)], return_counts=True)[1]
        assert found.max() >= 2


def test_weights_decide_how_often_and_zero_means_never():
    weights = np.array([0.0, 1.0, 1.0, 8.0])
    sampler = PKSampler(np.arange(4), 1, 2, weights=weights)
    drawn = np.bincount([int(sampler(step).instances[0]) for step in range(400)], minlength=4)
    assert drawn[0] == 0
    assert drawn[3] / 400 == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize(
    ("owner", "p", "k", "weights", "message"),
    [
        ([0, 1], 3, 2, None, "cannot be drawn"),
        ([0, 2], 1, 2, None, "without gaps"),
        ([0, 1], 0, 2, None, "at least 1"),
        ([0, 1], 2, 2, [1.0, 0.0], "cannot be drawn"),
        ([0, 1], 1, 2, [1.0], "weights must be"),
    ],
)
def test_what_cannot_be_drawn_is_refused(owner, p, k, weights, message):
    with pytest.raises(ValueError, match=message):
        PKSampler(owner, p, k, weights=weights)


def test_recolouring_is_one_dye_per_instance_and_leaves_white_alone():
    photos = torch.full((4, 3, 2, 2), 255.0)
    photos[:, :, 1] = torch.tensor([200.0, 40.0, 40.0])[None, :, None]
    made = recolour(photos, torch.tensor([0, 1, 1, 2]), torch.tensor([7, 7, 7, 7]))
    torch.testing.assert_close(made[0], photos[0])
    torch.testing.assert_close(made[1], made[2])
    assert (made[1, :, 1] - photos[1, :, 1]).abs().max() > 20
    assert (made[1, :, 1] - made[3, :, 1]).abs().max() > 5
    torch.testing.assert_close(made[:, :, 0], photos[:, :, 0], atol=0.1, rtol=0)


def test_augmentation_is_repeatable_and_stays_in_range():
    images = torch.rand(6, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 255
    none = torch.zeros(6, dtype=torch.long)
    augment = BatchAugment(BatchAugmentSettings(), 32)
    one, two = (augment(images, none, none, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.shape == (6, 3, 32, 32)
    assert torch.equal(one, two)
    assert one.min() >= 0
    assert one.max() <= 255
    assert not torch.equal(one, augment(images, none, none, torch.Generator().manual_seed(4)))


def test_no_augmentation_is_the_photo_itself():
    still = BatchAugmentSettings(
        zoom=(1, 1), stretch=0, shift=0, rotate=0, flip=0, brightness=0, contrast=0, cast=0, blur=0, noise=0, erase=0
    )
    images = torch.rand(2, 3, 32, 32) * 255
    none = torch.zeros(2, dtype=torch.long)
    torch.testing.assert_close(
        BatchAugment(still, 32)(images, none, none, torch.Generator()), images, atol=1e-2, rtol=0
    )


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_random_erasing_hides_one_even_rectangle_of_a_fiftieth_to_a_fifth(chance):
    still = {"zoom": (1, 1), "stretch": 0, "shift": 0, "rotate": 0, "flip": 0, "brightness": 0, "contrast": 0}
    settings = BatchAugmentSettings(**still, cast=0, blur=0, noise=0, erase=chance)
    white = torch.full((40, 3, 50, 50), 255.0)
    none = torch.zeros(40, dtype=torch.long)
    for ground in (white, torch.zeros_like(white)):
        made = BatchAugment(settings, 50)(ground.clone(), none, none, torch.Generator().manual_seed(1))
        changed = (made - ground).abs().amax(dim=1) > 0.5
        if not chance:
            assert not changed.any()
            continue
        for one, picture in zip(changed, made, strict=True):
            rows, columns = one.any(dim=1).nonzero()[:, 0], one.any(dim=0).nonzero()[:, 0]
            if not len(rows):  # a grey that is that of the ground
                continue
            inside = picture[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert inside.min() == inside.max()
            assert int(one.sum()) == len(rows) * len(columns)
            assert 0.01 < one.float().mean() < 0.23
