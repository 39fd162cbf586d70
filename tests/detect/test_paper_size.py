"""The whole detector of section 3.1 in its size: shapes and counts, without memory for its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dprnet.core.config import load_recipe
from dprnet.data.deepfashion2_files import CATEGORIES
from dprnet.detect.model import build_features, build_heads
from dprnet.train.detector import DetectorRecipe

BOXES = 5
CLASSES = {"viewpoint": 3, "occlusion": 3, "crop": 2}
INSTANCES = 43_000


@pytest.fixture(scope="module")
def config(request):
    recipe = load_recipe(request.config.rootpath / "recipes" / "detector-deepfashion2.toml", DetectorRecipe)
    return recipe.network.model_copy(update={"instances": INSTANCES})


@pytest.fixture(scope="module")
def heads(config):
    with torch.device("meta"):
        return build_heads(config)


def test_the_recipe_names_the_data_sets_classes_in_their_order(config):
    assert config.classes == CATEGORIES


def test_three_branches_of_four_convolutions_a_pool_and_one_fc(config, heads):
    maps = torch.empty(BOXES, config.channels, config.pooled_side, config.pooled_side, device="meta")
    branches = [name for name in heads if name in CLASSES]
    assert len(branches) == 3
    for name in branches:
        shapes = []
        for layer in heads[name].modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(
                    lambda _layer, _given, output, seen=shapes: seen.append(tuple(output.shape))
                )
        assert heads[name](maps).shape == (BOXES, CLASSES[name])
        side = config.pooled_side
        assert shapes == [(BOXES, 1024, side, side)] * 4 + [(BOXES, CLASSES[name])]
        assert heads[name].fc.in_features == 1024


def test_three_fc_from_1024_to_the_number_of_instances(config, heads):
    with torch.device("meta"):
        features = build_features(config)(torch.empty(BOXES, config.channels, config.pooled_side, config.pooled_side))
    assert features.shape == (BOXES, 1024)
    layers = [layer for layer in heads["instance"].modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [
        (1024, config.instance_hidden),
        (config.instance_hidden, config.embedding),
        (config.embedding, INSTANCES),
    ]
    assert heads["instance"](features).shape == (BOXES, INSTANCES)
    assert heads["instance"].embed(features).shape == (BOXES, config.embedding)


def test_class_and_box_of_thirteen_classes(heads):
    features = torch.empty(BOXES, 1024, device="meta")
    assert heads["class"](features).shape == (BOXES, 13 + 1)
    assert heads["box"](features).shape == (BOXES, 13, 4)
