"""What a batch costs the retrieval network: terms as the recipe asks for, and none that it does not."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.embed.losses import batch_hard, centroid_triplet
from dprnet.embed.model import EmbedderConfig
from dprnet.train.retrieval import EmbedderRecipe, LossSettings, RetrievalTraining
from dprnet.train.shots import PhotoSource

NETWORK = EmbedderConfig(backbone="timm:test_resnet", size=2, image_size=32, batch_norm="frozen")
CLASSES = torch.tensor([0, 0, 1, 1])


def training(**loss):
    torch.manual_seed(0)
    recipe = EmbedderRecipe(data=(PhotoSource(kind="luma"),), network=NETWORK, loss=LossSettings(**loss))
    return RetrievalTraining(recipe, classes=2).train()


@pytest.fixture(scope="module")
def images():
    return 255 * torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_the_centre_loss_pulls_to_the_centre_of_each_garment(images):
    made = training(centre=0.5)
    made.centres.data = torch.tensor([[1.0, 0.0], [0.0, -2.0]])
    features = made.network.features(made.network.told(images))
    terms = made.losses(images, CLASSES)
    apart = features - made.centres[CLASSES]
    assert terms["centre"].item() == pytest.approx(0.5 * apart.square().sum(dim=1).mean().item() / 2, rel=1e-4)
    parts = sum(terms[name].item() for name in ("classification", "distance", "centre"))
    assert terms["total"].item() == pytest.approx(parts, rel=1e-5)
    terms["total"].backward()
    assert made.centres.grad.abs().sum() > 0


def test_without_a_centre_loss_nothing_is_otherwise(images):
    plain, pulled = training(), training(centre=5e-4)
    assert set(pulled.state_dict()) - set(plain.state_dict()) == {"centres"}
    assert all(torch.equal(value, pulled.state_dict()[name]) for name, value in plain.state_dict().items())
    terms, others = plain.losses(images, CLASSES), pulled.losses(images, CLASSES)
    assert set(terms) == {"classification", "distance", "total"}
    assert all(torch.equal(terms[name], others[name]) for name in ("classification", "distance"))


@pytest.mark.parametrize(("distance", "loss"), [("batch_hard", batch_hard), ("centroid", centroid_triplet)])
def test_a_branch_without_weight_is_not_there(images, distance, loss):
    made = training(distance=distance, classification=0, normalise=False, margin=0.7)
    assert made.branch is None
    terms = made.losses(images, CLASSES)
    wanted = loss(made.network.features(made.network.told(images)), CLASSES, 0.7)
    assert terms["total"].item() == terms["distance"].item() == pytest.approx(wanted.item(), rel=1e-4)


def test_the_head_that_imitates_learns_from_the_rows_that_have_something(images):
    torch.manual_seed(0)
    network = NETWORK.model_copy(update={"kept": 3, "kept_by": "trained"})
    loss = LossSettings(imitation=2.0)
    made = RetrievalTraining(EmbedderRecipe(data=(PhotoSource(kind="luma"),), network=network, loss=loss), classes=2)
    wanted = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 1.0, 0], [0, 0, 0]])
    terms = made.train().losses(images, CLASSES, wanted)
    given = made.network.imitation(made.network.told(images))
    away = (1 - given[0, 0]) + (1 - given[2, 1])
    assert terms["imitation"].item() == pytest.approx(2.0 * away.item() / 2, rel=1e-4)
    parts = sum(terms[name].item() for name in ("classification", "distance", "imitation"))
    assert terms["total"].item() == pytest.approx(parts, rel=1e-5)
