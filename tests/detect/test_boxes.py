"""Geometry in numpy against torchvision's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import batched_nms
from torchvision.ops.poolers import LevelMapper

from dprnet.detect import boxes as geometry


def some_boxes(count, seed=0, side=300):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, side, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, side, (count, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize(("sizes", "ratios"), [((24.0, 40.0), (0.5, 1.0, 2.0)), ((512,), (0.3, 1.7))])
def test_anchors_are_torchvisions(sizes, ratios):
    generator = AnchorGenerator((sizes,), (ratios,))
    cells = geometry.cell_anchors(sizes, ratios)
    np.testing.assert_array_equal(cells, generator.cell_anchors[0].numpy())
    strides = [[torch.tensor(8), torch.tensor(16)]]
    wanted = generator.grid_anchors([[3, 4]], strides)[0].numpy()
    place = np.arange(3 * 4 * len(cells))
    cell, kind = np.divmod(place, len(cells))
    np.testing.assert_array_equal(geometry.anchors(cells, *np.divmod(cell, 4), kind, (8, 16)), wanted)


def test_offsets_are_torchvisions():
    boxes = some_boxes(200)
    offsets = np.random.default_rng(1).normal(0, 4, (200, 4)).astype(np.float32)  # some beyond the largest growth
    wanted = BoxCoder((10.0, 10.0, 5.0, 5.0)).decode_single(torch.tensor(offsets * 5), torch.tensor(boxes)).numpy()
    np.testing.assert_allclose(geometry.decoded(offsets * 5, boxes, (10, 10, 5, 5)), wanted, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("overlap", [0.3, 0.7])
def test_suppression_is_torchvisions(overlap):
    boxes = some_boxes(300, side=80)
    rng = np.random.default_rng(2)
    scores, groups = rng.permutation(300).astype(np.float32), rng.integers(0, 3, 300)
    wanted = batched_nms(torch.tensor(boxes), torch.tensor(scores), torch.tensor(groups), overlap).numpy()
    assert 10 < len(wanted) < 290
    np.testing.assert_array_equal(geometry.suppressed(boxes, scores, groups, overlap, 300), wanted)
    np.testing.assert_array_equal(geometry.suppressed(boxes, scores, groups, overlap, 7), wanted[:7])


def test_nothing_is_suppressed_of_nothing():
    none = np.zeros((0, 4), np.float32)
    assert len(geometry.suppressed(none, none[:, 0], np.zeros(0, np.int64), 0.5, 5)) == 0


def test_levels_are_torchvisions():
    boxes = np.concatenate([some_boxes(300, side=40), some_boxes(300, side=900), np.float32([[0, 0, 224, 224]])])
    wanted = LevelMapper(3, 5)([torch.tensor(boxes)]).numpy() + 3
    np.testing.assert_array_equal(geometry.levels(boxes, 3, 5), wanted)
    assert set(wanted) == {3, 4, 5}
