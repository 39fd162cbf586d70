"""What is particular to each method, against values counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.core.classes import COARSE_CLASSES
from dprnet.data.photo_batch import BatchAugment, BatchAugmentSettings
from dprnet.embed.losses import batch_hard, centroid_triplet, smoothed_cross_entropy
from dprnet.train.methods.attention import Vam, VamSettings
from dprnet.train.methods.base import Shown
from dprnet.train.methods.ensemble import Dreml, DremlSettings, random_map
from dprnet.train.methods.graph import Grnet, GrnetSettings, passed
from dprnet.train.methods.grid import Gsn, GsnSettings
from dprnet.train.methods.landmarks import FashionNet, FashionNetSettings, centres_of_mass, landmark_loss
from dprnet.train.methods.marks import LANDMARKS, follow, on_square
from dprnet.train.methods.matching import Kpm, KpmSettings, warped
from dprnet.train.methods.triplets import Ctl, CtlSettings, Dprnet, DprnetSettings

CLASSES = torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def shown():
    torch.manual_seed(1)
    return Shown(torch.rand(6, 3, 32, 32) * 255, CLASSES)


def test_dprnet_is_equation_8(trunk, shown):
    method = Dprnet(trunk, 3, DprnetSettings())
    terms = method.losses(shown)
    features = trunk.features(trunk.maps(shown.images)[1])
    classification = smoothed_cross_entropy(features @ method.branch.fc.weight.T, CLASSES, 0.1)
    distance = batch_hard(functional.normalize(features, dim=1), CLASSES, 0.3)
    torch.testing.assert_close(terms["total"], classification + distance)


def test_ctl_adds_its_four_terms_and_searches_after_the_neck(trunk, shown):
    method = Ctl(trunk, 3, CtlSettings())
    terms = method.losses(shown)
    assert set(terms) == {"classification", "distance", "centroid", "centre", "total"}
    torch.testing.assert_close(terms["total"], sum(value for name, value in terms.items() if name != "total"))
    features = trunk.features(trunk.maps(shown.images)[1])
    torch.testing.assert_close(terms["centroid"], centroid_triplet(features, CLASSES, 0.5))
    apart = (features - method.centres[CLASSES]).square().sum(dim=1)
    torch.testing.assert_close(terms["centre"], 5e-4 * apart.mean() / 2)
    method.eval()
    after = functional.normalize(method.neck(features), dim=1)
    torch.testing.assert_close(method.vectors(shown.images), after)


def test_meta_classes_are_even_and_each_member_has_its_own(trunk, shown):
    assert random_map(10, 5).bincount(minlength=5).tolist() == [2] * 5
    method = Dreml(trunk, 40, DremlSettings(members=3, meta=4))
    assert method.meta_of.shape == (3, 40)
    assert not torch.equal(method.meta_of[0], method.meta_of[1])
    weights = [method.member(number).fc.weight for number in range(3)]
    assert not torch.equal(weights[0], weights[1])
    first, third = (next(method.member(number).backbone.parameters()) for number in (0, 2))
    assert torch.equal(first, third)
    assert first is not third


def test_a_batch_trains_one_member_and_vectors_join_all(trunk, shown):
    method = Dreml(trunk, 3, DremlSettings(members=2, meta=3))
    method.turn(3)
    method.losses(shown)["total"].backward()
    assert method.member(0).fc.weight.grad is None
    assert method.member(1).fc.weight.grad is not None
    vectors = method.vectors(shown.images)
    assert vectors.shape == (6, 2 * 3)
    torch.testing.assert_close(vectors[:, :3].norm(dim=1), torch.full((6,), 0.5**0.5))
    torch.testing.assert_close(vectors[:, 3:].norm(dim=1), torch.full((6,), 0.5**0.5))


def test_reward_finds_the_factor_that_tells_the_classes_apart(trunk):
    """The first number tells the class, the second, louder, says nothing: the policy must turn the first up."""
    torch.manual_seed(0)
    method = Gsn(trunk, GsnSettings(tries=16, cells=8, spread=0.3))
    classes = torch.arange(3).repeat_interleave(4)
    noise = torch.randn(12, trunk.size) * torch.cat([torch.tensor([0.05, 2.0]), torch.full((trunk.size - 2,), 0.01)])
    features = torch.zeros(12, trunk.size)
    features[:, 0] = classes - 1.0
    features = features + noise
    optimizer = torch.optim.SGD([method.transform], lr=0.3)
    from dprnet.train.methods.losses import draw_grid

    for _ in range(60):
        optimizer.zero_grad()
        method.policy(features, *draw_grid(classes, 8)).backward()
        optimizer.step()
    turned = method.transform.detach()
    assert turned[0] - turned[1] > 0.5
    assert all(parameter.grad is None for parameter in method.trunk.parameters())


def test_the_search_leaves_the_transform_alone(trunk, shown):
    method = Gsn(trunk, GsnSettings())
    method.losses(shown)["search"].backward()
    assert method.transform.grad is None
    assert method.trunk.fc.weight.grad.abs().sum() > 0


def test_dropping_keeps_a_position_as_often_as_the_map_says(trunk):
    method = Vam(trunk, 3, VamSettings())
    torch.manual_seed(0)
    fine = torch.ones(2000, trunk.fine, 1, 2)
    fine[..., 1] = 3.0
    logits = torch.tensor([0.0, 20.0]).expand(2000, 1, 1, 2).clone().requires_grad_()
    dropped = method.attended(fine, logits, drop=True)
    # With chance 1/2 both are kept (mean 2), else the second alone (3).
    assert set(dropped[:, 0].tolist()) == {2.0, 3.0}
    assert (dropped[:, 0] == 2.0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    expected = method.attended(fine, logits, drop=False)
    assert expected[0, 0].item() == pytest.approx((0.5 * 1 + 3) / 1.5, rel=1e-4)
    dropped.sum().backward()
    assert logits.grad[..., 0].abs().sum() > 0


def test_kpm_of_a_photo_with_itself_moved_is_small(trunk):
    """Positions are matched wherever they lie: a shuffled map is warped back onto the photo."""
    torch.manual_seed(0)
    photo = torch.randn(1, 8, 9)
    moved = photo[:, :, torch.randperm(9)]
    torch.testing.assert_close(warped(photo, moved, 0.01), photo, atol=1e-3, rtol=0)
    method = Kpm(trunk, 3, KpmSettings(channels=8, temperature=0.01)).eval()
    with torch.no_grad():
        method.fc.weight[0], method.fc.weight[1] = -1.0, 1.0
        method.fc.bias.zero_()
    scores = method.compare(photo.repeat(2, 1, 1), torch.cat([moved, torch.randn(1, 8, 9)]))
    assert scores[0].item() == pytest.approx(0, abs=1e-2)
    assert scores[1] < -1


def test_nodes_are_normalised_projected_squared_differences(trunk):
    method = Grnet(trunk, 3, GrnetSettings(channels=2, scales=(1, 2), node=2))
    with torch.no_grad():
        for layer in method.project:
            layer.weight.copy_(torch.eye(2))
    queries = torch.zeros(1, 2, 5)
    items = torch.zeros(1, 2, 5)
    queries[0, :, 0] = torch.tensor([3.0, 2.0])
    items[0, :, 0] = torch.tensor([1.0, 0.0])  # squared differences 4 and 4
    items[0, :, 4] = torch.tensor([1.0, 2.0])  # the last of the four small regions
    nodes = method.nodes(queries, items)
    assert nodes.shape == (1, 1 + 16, 2)
    torch.testing.assert_close(nodes[0, 0], torch.full((2,), 0.5**0.5))
    # Region 3 of the query (the last) with region 3 of the item: (1, 4) / |(1, 4)|
    torch.testing.assert_close(nodes[0, 16], torch.tensor([1.0, 4.0]) / 17**0.5)


def test_messages_are_weighted_by_the_softmax_of_the_edges():
    nodes = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    edges = torch.tensor([[[0.0, 0.0], [2.0, 0.0]]])
    weight = 1 / (1 + np.exp(2.0))
    heard = passed(nodes, torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), edges)
    np.testing.assert_allclose(heard[0], [[weight, 1 - weight], [0.5, 0.5]], rtol=1e-5)


def test_local_features_of_hidden_landmarks_count_for_nothing(trunk, shown):
    method = FashionNet(trunk, 3, 0, 2, FashionNetSettings(filters=4))
    with torch.no_grad():
        method.visible.weight.zero_()
        method.visible.bias.fill_(-60.0)
    hidden, _, _ = method.embed(shown.images)
    alone = method.join(functional.pad(trunk.features(trunk.maps(shown.images)[1]), (0, 2 * trunk.fine)))
    torch.testing.assert_close(hidden, alone)
    with torch.no_grad():
        method.visible.bias.fill_(60.0)
    assert (method.embed(shown.images)[0] - alone).abs().max() > 1e-3


def test_centres_and_landmark_loss_by_hand():
    maps = torch.zeros(1, 1, 2, 4)  # even: the middle
    assert centres_of_mass(maps).tolist() == [[[0.0, 0.0]]]
    truth = torch.tensor([[[0.5, 0.0, 2.0], [0.0, 0.0, 1.0], [9.0, 9.0, 0.0]]])
    points = torch.tensor([[[0.0, 0.0], [5.0, 5.0], [7.0, 7.0]]])
    logits = torch.tensor([[np.log(3.0), 0.0, 50.0]])
    # One visible, .25 away; visibility of two known: -log .75 and -log .5
    wanted = 0.25 - (np.log(0.75) + np.log(0.5)) / 2
    assert landmark_loss(points, logits, truth).item() == pytest.approx(wanted, rel=1e-5)


def test_landmarks_land_on_the_letterboxed_square():
    top = COARSE_CLASSES.index("top")
    values = [v for number in range(9) for v in (10.0 * number, 5.0, 2.0)]
    found = on_square(values, top, (0, 0, 80, 40))
    # Collar, sleeves and hem of an upper garment; no waist. The square is 80 wide, so y = 5 lies 15 above the middle.
    np.testing.assert_allclose(found[:4, 0], [(x - 40) / 40 for x in (0, 10, 50, 60)])
    np.testing.assert_allclose(found[[0, 6], 1], -15 / 40)
    assert found[[4, 5], 2].tolist() == [0, 0]
    assert not on_square(values[:-3], top, (0, 0, 80, 40)).any()
    assert not on_square(values, -1, (0, 0, 80, 40))[[4, 5]].any()


def test_landmarks_follow_the_photo_through_its_augmentation():
    """A black dot is drawn where the landmark is; after the augmentation both must be in one place."""
    side, size = 48, 40
    images = torch.full((6, 3, side, side), 255.0)
    places = [(10, 30), (24, 24), (40, 8), (15, 15), (30, 35), (20, 40)]
    landmarks = torch.zeros(6, len(LANDMARKS), 3)
    for row, (x, y) in enumerate(places):
        images[row, :, y - 1 : y + 2, x - 1 : x + 2] = 0
        landmarks[row, 0] = torch.tensor([(2 * x + 1) / side - 1, (2 * y + 1) / side - 1, 2.0])
    settings = BatchAugmentSettings(rotate=30, shift=0.2, brightness=0, contrast=0, cast=0, blur=0, noise=0, erase=0)
    augment = BatchAugment(settings, size)
    none = torch.zeros(6, dtype=torch.long)
    for seed in range(4):
        seen = augment(images, none, none, torch.Generator().manual_seed(seed))[:, 0]
        found = follow(landmarks, augment, side, seed)
        for row in range(6):
            dark = 255 - seen[row]
            if dark.sum() < 255 * 4:  # cut away, at least in part
                continue
            y, x = ((dark.sum(dim=d) * torch.arange(size)).sum() / dark.sum() for d in (1, 0))
            at = (found[row, 0, :2] + 1) * size / 2 - 0.5
            assert found[row, 0, 2] == 2
            assert (at - torch.stack([x, y])).abs().max() < 1.2
    gone = follow(torch.full((1, 1, 3), 5.0), augment, side, 0)
    assert gone[0, 0, 2] == 0
