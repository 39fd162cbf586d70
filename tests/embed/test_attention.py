"""Where the embedder looks: on what is there, and on what speaks for a given vector."""

from __future__ import annotations

import pytest
import torch

from dprnet.embed.attention import attention
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork


@pytest.fixture(scope="module")
def network():
    """Its map is the image itself, averaged over cells: channel c tells how much of colour c there is."""
    made = EmbedderNetwork(
        EmbedderConfig(backbone="timm:test_resnet", size=0, image_size=32, batch_norm="frozen")
    ).eval()

    class Cells(torch.nn.Module):
        def forward(self, images):
            return [torch.nn.functional.adaptive_avg_pool2d(images / 255, 4) * self.factor]

        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(1))

    made.backbone = Cells()
    return made


def test_it_looks_where_something_is_and_at_what_the_target_shares(network):
    images = torch.zeros(1, 3, 32, 32)
    images[0, 0, :8, :8] = 255  # red, upper left
    images[0, 2, 24:, 24:] = 255  # blue, lower right
    norm = attention(network, images)
    assert norm.shape == (1, 4, 4)
    assert norm[0, 0, 0] == norm[0, 3, 3] == 1
    assert norm[0].sum() == 2
    red = attention(network, images, torch.tensor([[1.0, 0.0, 0.0]]))
    assert red[0, 0, 0] == 1
    assert red[0, 3, 3] == 0  # blue speaks against it
    torch.testing.assert_close(red[0, 1:3], torch.full((2, 4), 0.5))  # nothing speaks neither way


def test_nothing_to_see_is_no_attention_and_the_network_stays_as_it_was(network):
    assert attention(network, torch.zeros(2, 3, 32, 32)).sum() == 0
    assert not network.backbone._forward_hooks
    assert all(parameter.grad is None for parameter in network.parameters())
