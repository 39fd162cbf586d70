"""What stands beside the trained embedding: shares of the cosine, start weights that stay, colours but no ground."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dprnet.core.config import parse_settings
from dprnet.core.errors import BadRecipe
from dprnet.embed.backbone import pad_as_tensorflow
from dprnet.embed.beside import Cells, Kept, Shades, Shrink
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork

CONFIG = EmbedderConfig(
    size=8,
    image_size=48,
    trained_image_size=32,
    kept=6,
    kept_share=0.25,
    shades=5,
    shades_share=0.35,
    batch_norm="folded",
)


def photos(count: int, side: int = 48, seed: int = 0) -> torch.Tensor:
    return 255 * torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network() -> EmbedderNetwork:
    torch.manual_seed(0)
    made = EmbedderNetwork(CONFIG).eval()
    made.settle_beside(photos(40))
    return made


def test_the_cosine_is_the_weighted_mean_of_the_parts(network: EmbedderNetwork) -> None:
    images = photos(2, seed=1)
    with torch.inference_mode():
        one, other = network(images)
        trained = functional.normalize(network.features(network.told(images)), dim=1)
        parts = [(trained, 0.4), (network.kept(images), 0.25), (network.shades(images), 0.35)]
    assert one.shape == (network.size,) == (8 + 6 + 5,)
    assert one.norm() == pytest.approx(1, abs=1e-5)
    wanted = sum(share * float(part[0] @ part[1]) for part, share in parts)
    assert float(one @ other) == pytest.approx(wanted, abs=1e-5)


def test_a_head_may_stand_for_the_start_weights(network: EmbedderNetwork) -> None:
    torch.manual_seed(0)
    one = EmbedderNetwork(CONFIG.model_copy(update={"kept_by": "trained"})).eval()
    assert one.kept is None
    assert one.size == network.size
    images = photos(3, seed=1)
    with torch.inference_mode():
        trained, kept, shades = one.parts(images)
        vectors = one(images)
        head = one.imitation(one.told(images))
    assert torch.allclose(kept, head)
    for part in (trained, kept, shades):
        assert torch.allclose(part.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(vectors[:, 8:14], head * 0.25**0.5, atol=1e-6)
    layers = [sum(isinstance(module, torch.nn.Conv2d) for module in made.modules()) for made in (one, network)]
    assert 2 * layers[0] == layers[1]  # one backbone instead of two


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(BadRecipe, match="leave nothing"):
        parse_settings({"kept": 4, "kept_share": 0.6, "shades": 5, "shades_share": 0.4}, EmbedderConfig, "network")


def test_training_leaves_them_as_they_are(network: EmbedderNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    assert not any(module.training for module in network.kept.modules())
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network.features(network.told(photos(4, 32))).square().sum().backward()
    optimizer.step()
    for name, value in network.state_dict().items():
        same = torch.equal(value, before[name])
        assert same or not name.startswith(("kept.", "shades.")), name
    assert not torch.equal(network.fc.weight, before["fc.weight"])


def test_parts_begin_at_the_principal_directions() -> None:
    shades = Shades(4, 48, 64)
    images = photos(30, seed=2) * torch.tensor([1.0, 0.5, 0.2]).view(1, 3, 1, 1)
    shades.settle(images)
    turned = shades.turn(shades.see(images))
    assert turned.mean(dim=0).abs().max() < 1e-4
    assert torch.allclose(shades.turn.weight @ shades.turn.weight.T, torch.eye(4), atol=1e-4)
    spread = turned.var(dim=0)
    assert spread.tolist() == sorted(spread.tolist(), reverse=True)


def test_white_ground_does_not_count_and_colour_does() -> None:
    garment = torch.tensor([200.0, 30.0, 60.0]).view(1, 3, 1, 1)
    close, far = (torch.full((1, 3, 64, 64), 255.0) for _ in range(2))
    close[:, :, 4:60, 4:60] = garment
    far[:, :, 24:40, 24:40] = garment
    other = close.flip(1)  # the same garment in another colour
    shades = Shades(4, 64, 64)
    seen = [shades.see(image)[0] for image in (close, far, other)]
    assert float(seen[0] @ seen[1]) > 0.95
    assert float(seen[0] @ seen[2]) < 0.3
    assert shades.see(torch.full((1, 3, 64, 64), 255.0)).norm() == pytest.approx(1, abs=1e-3)


def test_fewer_cells_mix_what_is_finer_than_they_are() -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[:, 0, :, ::2] = 255  # red and blue columns of one pixel
    stripes[:, 2, :, 1::2] = 255
    purple = torch.zeros(1, 3, 64, 64)
    purple[:, ::2] = 127.5
    fine, coarse = Shades(4, 64, 64), Shades(4, 64, 32)
    assert float(coarse.see(stripes)[0] @ coarse.see(purple)[0]) == pytest.approx(1, abs=1e-3)
    assert float(fine.see(stripes)[0] @ fine.see(purple)[0]) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("cells", [16, 32, 64])
def test_the_weights_are_the_same_whatever_the_cells(cells: int) -> None:
    config = EmbedderConfig(size=8, image_size=64, colour=4, shades=4, colour_cells=cells)
    network = EmbedderNetwork(config).eval()
    assert network.colour is not None
    assert network.shades is not None
    assert (network.colour.cells, network.shades.cells.size) == (cells, cells)
    network.load_state_dict(EmbedderNetwork(config.model_copy(update={"colour_cells": 64})).state_dict())
    assert network(photos(2, 64)).shape == (2, 12)


def test_shrinking_is_torchs_antialiased_resizing() -> None:
    images = photos(2, 56)
    wanted = functional.interpolate(images, (32, 32), mode="bilinear", antialias=True)
    assert torch.allclose(Shrink(56, 32)(images), wanted, atol=1e-3)


@pytest.mark.parametrize("side", [32, 64, 100, 224])
def test_cells_are_torchs_adaptive_average(side: int) -> None:
    images = photos(2, side)
    assert torch.allclose(Cells(side, 64)(images), functional.adaptive_avg_pool2d(images, 64), atol=1e-3)


def test_only_right_and_bottom_are_padded_and_names_stay() -> None:
    plain = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, stride=2, padding=1), torch.nn.Conv2d(1, 1, 3, padding=1))
    names = list(plain.state_dict())
    with torch.no_grad():
        plain[0].weight.copy_(torch.arange(9.0).view(1, 1, 3, 3))
        plain[0].bias.zero_()
    pad_as_tensorflow(plain)
    assert list(plain.state_dict()) == names
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 0, 0] = 1
    assert plain[0](image)[0, 0].tolist() == [[0.0, 0.0], [0.0, 0.0]], "the corner is under the filter's first weight"
    image[0, 0, 1, 1] = 1
    assert plain[0](image)[0, 0, 0, 0] == 4


def test_what_is_kept_is_the_start() -> None:
    torch.manual_seed(0)
    kept = Kept(CONFIG)
    assert all(not parameter.requires_grad for parameter in kept.parameters())
    assert kept.see(photos(2)).norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-4)
