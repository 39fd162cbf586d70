"""Backbone and feature pyramid: images (B, 3, H, W) -> maps of M channels at strides 4 to 64."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from dprnet.core.errors import BadBundle, BadRecipe
from dprnet.core.folding import fold_norms

logger = logging.getLogger(__name__)

Norm = Literal["batch", "frozen", "folded"]
MOBILENET_STAGES = ((0, 4), (4, 7), (7, 14), (14, 18))  # layers that end at strides 4, 8, 16, 32
MOBILENET_CHANNELS = (24, 32, 96, 320)
RESNET_CHANNELS = (256, 512, 1024, 2048)
LEVELS = (2, 3, 4, 5)  # level l has stride 2 ** l

# Input normalisation: (x - mean) / std of 0..255 values.
SIGNED = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))  # TensorFlow's MobileNetV2
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


class Stages(nn.Module):
    """A body cut into four stages; gives the output of each."""

    def __init__(self, stages: list[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> maps of strides 4, 8, 16 and 32."""
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps


class Backbone(nn.Module):
    """Normalisation, body and feature pyramid, with one coarser level pooled on top.

    Args:
        name: ``mobilenet_v2``, ``resnet50`` or ``timm:NAME``.
        levels: pyramid levels, of 2 to 5 (stride 2 ** level).
        channels: of every pyramid map.
        norm: what becomes of the body's batch normalisation: ``batch`` trains it, ``frozen`` keeps its statistics
            and trains scale and shift, ``folded`` puts it into the convolutions (the same function, less work).
        start: ``none``, ``pretrained`` (fetched by torchvision or timm) or the path of a safetensors file.

    Raises:
        BadRecipe: unknown backbone, or levels that it does not have.
        BadBundle: the start weights do not fit.
    """

    def __init__(self, name: str, levels: tuple[int, ...], channels: int, norm: Norm, start: str = "none") -> None:
        super().__init__()
        if not levels or any(level not in LEVELS for level in levels) or list(levels) != sorted(set(levels)):
            raise BadRecipe("levels", f"must be ascending and of {LEVELS}, got {levels}")
        self.levels = levels
        body, widths = build_body(name, norm, start)
        self.body = body
        self.pyramid = FeaturePyramidNetwork(
            [widths[LEVELS.index(level)] for level in levels], channels, extra_blocks=LastLevelMaxPool()
        )
        self.norm = norm
        mean, std = SIGNED if name == "mobilenet_v2" else IMAGENET
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def train(self, mode: bool = True) -> Backbone:
        """Training mode; statistics of batch normalisation stay as they are unless ``norm`` is ``batch``."""
        super().train(mode)
        if self.norm != "batch":
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def freeze(self, stages: int) -> None:
        """Leave the first stages of the body (0 to 4, of strides 4 to 32) as they are: they are not trained.

        Raises:
            BadRecipe: a body that does not come in stages.
        """
        if not stages:
            return
        if not isinstance(self.body, Stages):
            raise BadRecipe("frozen_stages", "is for mobilenet_v2 and resnet50; leave it 0 with a timm backbone")
        for stage in list(self.body.stages)[:stages]:
            stage.requires_grad_(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (B, 3, H, W) -> maps by level name, finest first, the pooled one last."""
        maps = self.body(images)
        chosen = {str(level): maps[LEVELS.index(level)] for level in self.levels}
        features: dict[str, Tensor] = self.pyramid(chosen)
        return features


def build_body(name: str, norm: Norm, start: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The body with its start weights, and the channels of its four levels."""
    path = _start_path(start)
    widths: tuple[int, ...]
    if name == "mobilenet_v2":
        whole = mobilenet_v2(weights="DEFAULT" if start == "pretrained" else None)
        _load(whole, path)
        body: nn.Module = Stages([whole.features[first:last] for first, last in MOBILENET_STAGES])
        widths = MOBILENET_CHANNELS
    elif name == "resnet50":
        whole = resnet50(weights="DEFAULT" if start == "pretrained" else None)
        _load(whole, path)
        stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool, whole.layer1)
        body = Stages([stem, whole.layer2, whole.layer3, whole.layer4])
        widths = RESNET_CHANNELS
    elif name.startswith("timm:"):
        body, widths = _timm(name.removeprefix("timm:"), path, pretrained=start == "pretrained")
    else:
        raise BadRecipe("backbone", f"unknown '{name}'; known: mobilenet_v2, resnet50, timm:NAME")
    if norm == "folded":
        if name.startswith("timm:"):
            raise BadRecipe("norm", "'folded' is for mobilenet_v2 and resnet50; use 'frozen' with a timm backbone")
        if path is None and start != "pretrained":
            settle_norms(body)
        fold_norms(body)
    return body, widths


def settle_norms(body: nn.Module) -> None:
    """Set the statistics of a random body's batch normalisation from noise, so that folding them keeps it trainable."""
    norms = [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in norms:
        module.momentum = 1.0
    with torch.no_grad():
        body.train()(torch.randn(2, 3, 128, 128))
    for module in norms:
        module.momentum = 0.1


def _start_path(start: str) -> Path | None:
    if start in ("none", "pretrained"):
        return None
    path = Path(os.path.expandvars(start))
    if path.is_file():
        return path
    logger.warning("%s: no start weights here (is DPRNET_DATA set?); the backbone starts at random", path)
    return None


def _load(body: nn.Module, path: Path | None) -> None:
    if path is None:
        return
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        body.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    except (RuntimeError, SafetensorError) as error:
        raise BadBundle(path, f"not weights of this backbone: {str(error).splitlines()[0]}") from None


def _timm(name: str, path: Path | None, pretrained: bool) -> tuple[nn.Module, tuple[int, ...]]:
    import timm

    try:
        body: Any = timm.create_model(name, pretrained=pretrained, features_only=True)
    except (RuntimeError, ValueError) as error:
        raise BadRecipe("backbone", f"timm cannot make '{name}': {error}") from None
    channels, strides = body.feature_info.channels(), body.feature_info.reduction()
    wanted = [strides.index(2**level) for level in LEVELS if 2**level in strides]
    if len(wanted) != len(LEVELS):
        raise BadRecipe("backbone", f"timm:{name} has maps at strides {strides}; strides 4, 8, 16 and 32 are needed")
    _load(body, path)
    return _Chosen(body, wanted), tuple(channels[index] for index in wanted)


class _Chosen(nn.Module):
    """The maps of a timm body that have the strides of our levels."""

    def __init__(self, body: nn.Module, chosen: list[int]) -> None:
        super().__init__()
        self.body = body
        self.chosen = chosen

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.body(images)
        return [maps[index] for index in self.chosen]
