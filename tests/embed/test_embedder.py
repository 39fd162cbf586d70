"""Network and embedder: shapes, determinism, the bundle round trip, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core.bundle import save_pretrained
from dprnet.core.errors import BadBundle, BadRecipe, BadVector
from dprnet.core.images import letterbox
from dprnet.embed.backbone import build_backbone, load_imagenet
from dprnet.embed.colour import ColourPool
from dprnet.embed.embedder import Embedder, as_batch, export_weights, prepare
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork, GeneralizedMean, InstanceClassifier

SMALL = EmbedderConfig(size=8, image_size=32, strides=(16, 32), colour=4)


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 256, (int(rng.integers(8, 40)), int(rng.integers(8, 40)), 3), np.uint8) for _ in range(count)
    ]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return EmbedderNetwork(SMALL)


@pytest.fixture(scope="module")
def embedder(network):
    return Embedder(network, "small@0", batch=4)


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(embedder):
    images = pictures(6)
    vectors = embedder(images)
    assert vectors.shape == (6, 8)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors, embedder(iter(images)))
    np.testing.assert_allclose(np.concatenate([embedder([image]) for image in images]), vectors, atol=1e-5)


def test_nothing_in_nothing_out(embedder):
    assert embedder([]).shape == (0, 8)


def test_images_are_taken_a_batch_at_a_time(embedder):
    taken = []

    def source():
        for number, image in enumerate(pictures(9)):
            taken.append(number)
            yield image

    stream = embedder.stream(source())
    next(stream)
    assert len(taken) == 4


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(embedder, image):
    with pytest.raises(ValueError, match="uint8 of shape"):
        embedder([image])


def test_damaged_weights_give_an_error_that_names_the_image():
    broken = EmbedderNetwork(SMALL)
    with torch.no_grad():
        broken.fc.bias[0] = torch.nan
    with pytest.raises(BadVector, match="image 0: the embedder broken@0"):
        Embedder(broken, "broken@0")(pictures(2))


def test_weights_that_are_no_numbers_are_refused_at_once(tmp_path, network):
    weights = export_weights(network)
    weights["fc.bias"] = np.full_like(weights["fc.bias"], np.nan)
    bundle = save_pretrained(tmp_path, "b", {"embedder": SMALL.model_dump(mode="json")}, {"embedder": weights})
    with pytest.raises(BadBundle, match=r"fc\.bias' hold NaN or infinity"):
        Embedder.from_bundle(bundle)


def test_a_bundle_gives_back_the_same_embedder(tmp_path, network):
    settings = {"embedder": SMALL.model_dump(mode="json")}
    bundle = save_pretrained(tmp_path / "b", "b", settings, {"embedder": export_weights(network)})
    again = Embedder.from_bundle(bundle)
    images = pictures(5)
    assert again.identity == bundle.embedder_identity
    assert again.size == 8
    # float16 on disk
    np.testing.assert_allclose(again(images), Embedder(network, "x")(images), atol=0.02)
    np.testing.assert_array_equal(again(images), Embedder.from_bundle(bundle)(images))


def test_weights_of_other_settings_are_refused(tmp_path, network):
    other = SMALL.model_copy(update={"size": 9}).model_dump(mode="json")
    bundle = save_pretrained(tmp_path / "b", "b", {"embedder": other}, {"embedder": export_weights(network)})
    with pytest.raises(BadBundle, match="do not fit"):
        Embedder.from_bundle(bundle)


def test_any_timm_model_is_an_embedder():
    one = Embedder.from_name("timm:test_resnet", pretrained=False)
    vectors = one(pictures(2))
    assert vectors.shape == (2, one.size)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert one.identity.startswith("timm:test_resnet@")
    # Other weights are another embedder: a gallery must refuse it.
    assert one.identity != Embedder.from_name("timm:test_resnet", pretrained=False).identity


@pytest.mark.parametrize(
    ("name", "strides", "message"),
    [
        ("resnet51", (32,), "unknown backbone"),
        ("timm:no_such_model", (32,), "timm cannot make it"),
        ("timm:test_resnet", (16, 32), "takes strides"),
        ("mobilenet_v2", (7,), "strides"),
        ("mobilenet_v2", (), "strides"),
    ],
)
def test_a_wrong_backbone_is_named(name, strides, message):
    with pytest.raises(BadRecipe, match=message):
        build_backbone(name, strides)


def test_preparing_keeps_the_shape_on_white():
    image = np.zeros((40, 20, 3), np.uint8)
    ready = prepare(image, SMALL)
    np.testing.assert_array_equal(ready, letterbox(image, 32, 255))
    assert (ready[:, :8] == 255).all()
    assert (ready[:, 8:24] == 0).all()
    assert prepare(image, SMALL.model_copy(update={"fit": "squash"})).max() == 0


def test_folding_batch_norm_is_the_same_function():
    torch.manual_seed(1)
    plain, folded = (
        build_backbone("mobilenet_v2", (8, 32)),
        build_backbone("mobilenet_v2", (8, 32), batch_norm="folded"),
    )
    images = torch.rand(4, 3, 64, 64) * 255
    plain.train()
    for _ in range(3):
        plain(images)  # statistics that are not 0 and 1
    plain.eval()
    weights = {f"features.{key}": value for key, value in plain.stages.state_dict().items()}
    load_imagenet(folded, weights, batch_norm="folded")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    for one, two in zip(plain(images), folded.eval()(images), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_frozen_statistics_stay():
    network = EmbedderNetwork(EmbedderConfig(size=4, image_size=32, batch_norm="frozen")).train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network(torch.rand(2, 3, 32, 32) * 255)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_frozen_stages_learn_nothing_and_keep_their_statistics(name):
    backbone = build_backbone(name, (16, 32))
    backbone.freeze(2)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    sum(maps.sum() for maps in backbone.train()(torch.rand(2, 3, 64, 64) * 255)).backward()
    ends = {"mobilenet_v2": 7, "resnet50": 3}  # children up to stride 8
    for number, stage in enumerate(backbone.stages.children()):
        learns = number >= ends[name]
        assert all((parameter.grad is not None) == learns for parameter in stage.parameters())
        moved = any(
            not torch.equal(value, before[f"stages.{number}.{key}"]) for key, value in stage.state_dict().items()
        )
        assert moved == learns  # running means and variances


def test_ready_made_models_cannot_be_frozen_in_part():
    backbone = build_backbone("timm:resnet10t")
    backbone.freeze(0)
    with pytest.raises(BadRecipe, match="frozen_stages"):
        backbone.freeze(1)


def test_settling_keeps_distances_of_what_was_pooled():
    """fc as principal directions of few images loses nothing: cosines are those of the centred, evened levels."""
    torch.manual_seed(0)
    network = EmbedderNetwork(SMALL).eval()
    images = as_batch(np.stack([prepare(image, SMALL) for image in pictures(9)]))
    network.settle(images)
    with torch.inference_mode():
        levels = torch.cat([p * s for p, s in zip(network.pooled(images), network.scales, strict=True)], dim=1)
        centred = levels - levels.mean(dim=0)
        # 9 images span 8 directions once centred, and D is 8.
        torch.testing.assert_close(
            network.features(network.told(images)) @ network.features(network.told(images)).T,
            centred @ centred.T,
            rtol=1e-3,
            atol=1e-3,
        )


def test_the_colour_of_one_plain_image_by_hand():
    pool = ColourPool(channels=2, nodes=3, cells=64)
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0] = 255
    found = pool(red, torch.zeros(1, 2, 4, 4))[0].reshape(3, 3, 3)
    # red-green at (1, 0), green-blue at (0, 0), red-blue at (1, 0); all else empty
    full = pytest.approx((1 + 1e-4) ** 0.5 - 1e-2)
    assert [found[0, 2, 0].item(), found[1, 0, 0].item(), found[2, 2, 0].item()] == [full] * 3
    assert found.abs().sum().item() == pytest.approx(3 * ((1 + 1e-4) ** 0.5 - 1e-2), abs=1e-4)


def test_white_ground_counts_less_than_cloth():
    pool = ColourPool(channels=2, nodes=3, cells=64)
    half = torch.full((1, 3, 64, 64), 255.0)
    half[:, 1:, :, 32:] = 0
    found = ((pool(half, torch.zeros(1, 2, 4, 4))[0] + 1e-2) ** 2 - 1e-4).reshape(3, 3, 3)
    red, white = found[0, 2, 0].item(), found[0, 2, 2].item()
    # sigmoid(0) against sigmoid(-3)
    assert white / red == pytest.approx((1 / (1 + np.exp(3))) / 0.5, rel=1e-3)


def test_generalised_mean_lies_between_mean_and_maximum():
    maps = torch.tensor([[[[1.0, 3.0]]]])
    assert GeneralizedMean(1.0)(maps).item() == pytest.approx(2.0)
    assert GeneralizedMean(3.0)(maps).item() == pytest.approx(14 ** (1 / 3))
    assert 2 < GeneralizedMean(3.0)(maps).item() < 3


def test_generalised_mean_learns_its_power_and_takes_nothing_negative():
    pool = GeneralizedMean(2.0)
    found = pool(torch.tensor([[[[3.0, 4.0], [0.0, -5.0]]]]))
    assert found.item() == pytest.approx((25 / 4) ** 0.5, rel=1e-5)
    found.sum().backward()
    # d/dp of (mean x^p)^(1/p) at p 2, x (3, 4, 0, 0)
    mean, slope = 25 / 4, (9 * np.log(3) + 16 * np.log(4)) / 4
    assert pool.power.grad.item() == pytest.approx(mean**0.5 * (slope / (2 * mean) - np.log(mean) / 4), rel=1e-4)


def test_a_neck_classifies_standardised_features():
    """BNNeck: what is classified has mean 0 and spread 1 in every number; what the distance loss sees does not."""
    branch = InstanceClassifier(2, 2, neck=True).train()
    branch.fc.weight.data = torch.eye(2)
    features = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    np.testing.assert_allclose(branch(features).detach().numpy(), [[-1, -1], [1, 1]], atol=1e-4)
    plain = InstanceClassifier(2, 2)
    plain.fc.weight.data = torch.eye(2)
    np.testing.assert_array_equal(plain(features).detach().numpy(), features.numpy())


def test_scaled_logits_are_cosines():
    branch = InstanceClassifier(4, 3, scale=10.0)
    features = branch.fc.weight[1:2].detach() * 7
    assert branch(features)[0, 1].item() == pytest.approx(10.0, rel=1e-5)
