"""Soft colour histograms: by hand, and what their dot products mean."""

from __future__ import annotations

import pytest
import torch

from dprnet.core.colour import colour_roots, joint_colours


def plain(colour, cells=5):
    return torch.tensor(colour)[None, :, None].expand(1, 3, cells)


def even(cells=5):
    return torch.full((1, cells), 1 / cells)


def test_a_colour_on_a_node_fills_one_cell_of_each_pair():
    roots = colour_roots(plain([1.0, 0.0, 0.5]), even(), nodes=3)[0].view(3, 3, 3)
    red_green, green_blue, red_blue = roots
    for found, (a, b) in ((red_green, (2, 0)), (green_blue, (0, 1)), (red_blue, (2, 1))):
        wanted = torch.zeros(3, 3)
        wanted[a, b] = 1.0
        assert torch.allclose(found, wanted, atol=1e-2)


def test_a_colour_between_nodes_is_shared():
    roots = colour_roots(plain([0.25, 0.0, 0.0]), even(), nodes=3)[0].view(3, 3, 3)
    assert roots[0, :, 0].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 0.0], abs=1e-2)


def test_the_dot_product_is_nearly_three_for_equal_colours_and_none_for_others():
    red, blue = (colour_roots(plain(colour), even(), nodes=4) for colour in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]))
    assert float((red * red).sum()) == pytest.approx(3 * (1.0001**0.5 - 0.01) ** 2, abs=1e-4)
    assert float((red * blue).sum()) == pytest.approx(0.0, abs=0.05)


def test_a_cell_without_weight_does_not_count():
    cells = torch.cat([plain([1.0, 0.0, 0.0], 2), plain([0.0, 1.0, 0.0], 2)], dim=2)
    weight = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    assert torch.allclose(colour_roots(cells, weight, 4), colour_roots(plain([1.0, 0.0, 0.0], 2), even(2), 4))


def test_the_joint_histogram_by_hand():
    roots = joint_colours(plain([1.0, 0.0, 0.25]), even(), nodes=3)[0].view(3, 3, 3)
    wanted = torch.zeros(3, 3, 3)
    wanted[2, 0, 0] = wanted[2, 0, 1] = 0.5**0.5
    assert torch.allclose(roots, wanted, atol=1e-4)
    assert float(roots.square().sum()) == pytest.approx(1, abs=1e-4)
