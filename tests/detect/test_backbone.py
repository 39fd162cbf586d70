"""Backbones, their start weights and their frozen normalisation."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import mobilenet_v2

from dprnet.core.errors import BadBundle, BadRecipe
from dprnet.core.folding import fold_norms
from dprnet.detect.backbone import MOBILENET_STAGES, Backbone, Stages, settle_norms


@pytest.mark.parametrize(
    ("name", "norm"),
    [("mobilenet_v2", "folded"), ("mobilenet_v2", "batch"), ("resnet50", "frozen"), ("timm:resnet10t", "frozen")],
)
def test_maps_of_every_backbone(name, norm):
    backbone = Backbone(name, (3, 4, 5), 16, norm).eval()
    maps = backbone(torch.zeros(1, 3, 64, 96))
    assert {level: tuple(features.shape) for level, features in maps.items()} == {
        "3": (1, 16, 8, 12), "4": (1, 16, 4, 6), "5": (1, 16, 2, 3), "pool": (1, 16, 1, 2)
    }  # fmt: skip


def test_folding_changes_no_number():
    whole = mobilenet_v2(weights=None)
    body = Stages([whole.features[first:last] for first, last in MOBILENET_STAGES])
    settle_norms(body)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = body.eval()(images)
        fold_norms(body)
        after = body(images)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in body.modules())
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        assert 1e-3 < a.std() < 1e3


def test_frozen_statistics_stay_and_scales_learn():
    backbone = Backbone("resnet50", (4, 5), 8, "frozen").train()
    norm = backbone.body.stages[0][1]
    before = norm.running_mean.clone()
    sum(features.sum() for features in backbone(torch.randn(1, 3, 64, 64)).values()).backward()
    assert torch.equal(norm.running_mean, before)
    assert norm.weight.grad is not None
    trained = Backbone("mobilenet_v2", (4, 5), 8, "batch").train()
    trained(torch.randn(2, 3, 64, 64))
    assert trained.body.stages[0][0][1].running_mean.abs().sum() > 0


def test_first_stages_can_be_left_untrained():
    backbone = Backbone("mobilenet_v2", (3, 4, 5), 8, "folded").train()
    backbone.freeze(2)
    sum(features.sum() for features in backbone(torch.randn(1, 3, 64, 64)).values()).backward()
    learn = [{parameter.grad is not None for parameter in stage.parameters()} for stage in backbone.body.stages]
    assert learn == [{False}, {False}, {True}, {True}]
    with pytest.raises(BadRecipe, match="frozen_stages"):
        Backbone("timm:resnet10t", (4,), 8, "frozen").freeze(1)


def test_missing_start_weights_are_said_and_survived(caplog, tmp_path):
    with caplog.at_level(logging.WARNING):
        Backbone("mobilenet_v2", (4, 5), 8, "folded", start=str(tmp_path / "no.safetensors"))
    assert "starts at random" in caplog.text


def test_start_weights_are_used_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("DPRNET_DATA", str(tmp_path))
    whole = mobilenet_v2(weights=None)
    halves = {name: value.half() if value.is_floating_point() else value for name, value in whole.state_dict().items()}
    save_file(halves, tmp_path / "start.safetensors")
    backbone = Backbone("mobilenet_v2", (4, 5), 8, "batch", start="$DPRNET_DATA/start.safetensors")
    torch.testing.assert_close(backbone.body.stages[0][0][0].weight, whole.features[0][0].weight.half().float())
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadBundle, match="not weights of this backbone"):
        Backbone("mobilenet_v2", (4, 5), 8, "batch", start="$DPRNET_DATA/other.safetensors")


@pytest.mark.parametrize(
    ("name", "levels", "norm", "message"),
    [
        ("mobilenet", (4, 5), "frozen", "unknown 'mobilenet'"),
        ("mobilenet_v2", (5, 4), "frozen", "ascending"),
        ("mobilenet_v2", (6,), "frozen", "ascending"),
        ("timm:no_such_model", (4,), "frozen", "timm cannot make"),
        ("timm:resnet10t", (4,), "folded", "use 'frozen'"),
    ],
)
def test_wrong_settings_are_named(name, levels, norm, message):
    with pytest.raises(BadRecipe, match=message):
        Backbone(name, levels, 8, norm)


@pytest.mark.data
def test_the_imagenet_start_fits(data_root, monkeypatch, caplog):
    monkeypatch.setenv("DPRNET_DATA", str(data_root))
    backbone = Backbone(
        "mobilenet_v2", (3, 4, 5), 8, "folded", start="$DPRNET_DATA/weights/mobilenet_v2_imagenet.safetensors"
    )
    assert caplog.text == ""
    assert backbone.mean.flatten().tolist() == [127.5] * 3  # the input those weights want
    maps = backbone.body(torch.rand(1, 3, 128, 128) * 2 - 1)
    assert all(1e-3 < features.std() < 1e2 for features in maps)
