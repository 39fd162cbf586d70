"""The colours of boxes, and how they join the embedding of Eq. 4."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dprnet.detect.colour import box_colours, joined
from dprnet.detect.model import DetectorNetwork


def painted():
    """A grey picture with a red and a blue square."""
    image = torch.full((1, 3, 64, 64), 0.5)
    image[0, :, 8:24, 8:24] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    image[0, :, 40:56, 40:56] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    return image


def test_boxes_of_one_colour_are_alike_and_of_two_are_not():
    boxes = torch.tensor([[8.0, 8, 24, 24], [10, 10, 22, 22], [40, 40, 56, 56]])
    colours = box_colours(painted(), [boxes], nodes=6)
    assert colours.shape == (3, 108)
    cosine = colours @ colours.T
    assert torch.allclose(cosine.diagonal(), torch.ones(3), atol=1e-5)
    assert cosine[0, 1] > 0.95
    assert cosine[0, 2] < 0.1


def test_each_box_is_read_from_its_own_image():
    box = torch.tensor([[8.0, 8, 24, 24]])
    flipped = painted().flip(1)
    both = box_colours(torch.cat([painted(), flipped]), [box, box], nodes=6)
    assert torch.allclose(both[0], box_colours(painted(), [box], 6)[0])
    assert torch.allclose(both[1], box_colours(flipped, [box], 6)[0])


def test_an_image_without_boxes_gives_no_rows():
    assert box_colours(painted(), [torch.zeros(0, 4)], nodes=4).shape == (0, 48)


def test_the_cosine_of_the_joined_is_the_weighted_mean():
    torch.manual_seed(0)
    embeddings, colours = torch.randn(4, 5) * 7, functional.normalize(torch.rand(4, 6), dim=1)
    both = joined(embeddings, colours, share=0.85)
    unit = functional.normalize(embeddings, dim=1)
    wanted = 0.15 * unit @ unit.T + 0.85 * colours @ colours.T
    assert torch.allclose(both @ both.T, wanted, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_network_with_colours_says_them_beside_its_embedding(config, picture, share):
    torch.manual_seed(0)
    plain = DetectorNetwork(config).eval()
    network = DetectorNetwork(config.model_copy(update={"colour": 4, "colour_share": share})).eval()
    network.load_state_dict(plain.state_dict())  # the colours bring no weights
    without = plain.detections([picture, picture], score_threshold=0.0)
    with_ = network.detections([picture, picture], score_threshold=0.0)
    for a, b in zip(without, with_, strict=True):
        assert b.answers["instance"].shape == (len(b.boxes), 12 + 48)
        unit = functional.normalize(a.answers["instance"], dim=1) * (1 - share) ** 0.5
        assert torch.allclose(b.answers["instance"][:, :12], unit, atol=1e-5)
