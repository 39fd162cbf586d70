"""The CNN of the retrieval network (paper 3.3: "a CNN backbone"; which one is not stated).

Shape legend
    B  images of a batch    H, W  height and width in pixels    C  channels of a feature map
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.errors import BadRecipe
from dprnet.core.folding import fold_norms
from dprnet.embed.config import BatchNorm

TIMM = "timm:"
OPEN_CLIP = "open_clip:"
STRIDES = (4, 8, 16, 32)
# Torchvision's numbering: the block whose output is the last at each stride.
MOBILENET_V2_STRIDES = {4: 3, 8: 6, 16: 13, 32: 18}
RESNET50_STRIDES = {4: "layer1", 8: "layer2", 16: "layer3", 32: "layer4"}
# The mobilenet weights at hand were made for x / 127.5 - 1.
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Backbone(nn.Module):
    """Images (B, 3, H, W) float, RGB in [0, 255] -> a feature map (B, C, H / s, W / s) for each stride s asked for."""

    channels: tuple[int, ...]
    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Not persistent: they follow from the backbone's name, and float16 would round them.
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps, in the order of the strides."""
        return self.maps((images - self.mean) / self.std)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Feature maps of normalised images."""
        raise NotImplementedError

    def freeze(self, stages: int) -> None:
        """Leave the first stages (0 to 4, of strides 4 to 32) as they are, statistics too: they are not trained.

        Raises:
            BadRecipe: a ready-made model, which does not come in stages.
        """
        if stages:
            raise BadRecipe("frozen_stages", "is for mobilenet_v2 and resnet50; leave it 0 with a ready-made model")


class _Stages(Backbone):
    """A chain of stages of which some outputs are kept."""

    def __init__(
        self,
        stages: nn.Sequential,
        kept: Sequence[int],
        ends: Sequence[int],
        norm: tuple[Sequence[float], Sequence[float]],
        size: int = 64,
    ) -> None:
        super().__init__(*norm)
        self.stages = nn.Sequential(*list(stages)[: max(kept) + 1])
        self.kept = tuple(kept)
        self.ends = tuple(ends)
        self.frozen = 0
        was = self.training
        with torch.no_grad():
            self.eval()
            self.channels = tuple(map_.shape[1] for map_ in self.maps(torch.zeros(1, 3, size, size)))
        self.train(was)

    def maps(self, x: Tensor) -> list[Tensor]:
        found = {}
        for number, stage in enumerate(self.stages.children()):
            x = stage(x)
            if number in self.kept:
                found[number] = x
        return [found[number] for number in self.kept]

    def freeze(self, stages: int) -> None:
        self.frozen = self.ends[stages - 1] + 1 if stages else 0
        self.stages[: self.frozen].requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.stages[: self.frozen].eval()
        return self


class _Timm(Backbone):
    """Any timm model: its pooled features as a map of one cell (so every pooling of ours leaves them as they are)."""

    def __init__(self, name: str, pretrained: bool) -> None:
        import timm  # a second of start-up that no other backbone should cost

        try:
            model = timm.create_model(name, pretrained=pretrained, num_classes=0)
        except RuntimeError as error:
            raise BadRecipe(f"{TIMM}{name}", f"timm cannot make it: {error}") from None
        data = timm.data.resolve_model_data_config(model)
        super().__init__(data["mean"], data["std"])
        self.model = model
        self.channels = (model.num_features,)
        self.image_size = int(data["input_size"][-1])
        was = model.training
        with torch.no_grad():
            model.eval()
            # Some models widen after pooling: only a run tells.
            self.channels = (model(torch.zeros(1, *data["input_size"])).shape[1],)
        model.train(was)

    def maps(self, x: Tensor) -> list[Tensor]:
        pooled: Tensor = self.model(x)
        return [pooled[:, :, None, None]]


def build_backbone(
    name: str, strides: Sequence[int] = (32,), *, batch_norm: BatchNorm = "live", pretrained: bool = False
) -> Backbone:
    """A backbone by name: ``mobilenet_v2``, ``resnet50``, ``timm:NAME`` or ``open_clip:NAME``.

    Args:
        name: which network.
        strides: of the feature maps to hand out, each of 4, 8, 16, 32 (a timm or open_clip model has only 32).
        batch_norm: ``folded`` into the convolutions (the network has none), or a layer (``frozen`` and ``live``).
        pretrained: fetch timm's or open_clip's own weights (a network or a cache); the others start at random.

    Raises:
        BadRecipe: unknown name or stride.
    """
    if name.startswith((TIMM, OPEN_CLIP)):
        if tuple(strides) != (32,) or batch_norm == "folded":
            raise BadRecipe(name, "a ready-made backbone takes strides = [32] and batch_norm = 'live' or 'frozen'")
        if name.startswith(TIMM):
            return _Timm(name.removeprefix(TIMM), pretrained)
        from dprnet.embed.openclip import OpenClip

        return OpenClip(name.removeprefix(OPEN_CLIP), pretrained=pretrained)
    if unknown := sorted(set(strides) - set(MOBILENET_V2_STRIDES)) or not strides:
        raise BadRecipe(name, f"strides {unknown if strides else '[]'} unknown, expecting some of 4, 8, 16, 32")
    if name == "mobilenet_v2":
        stages = torchvision.models.mobilenet_v2().features
        norm = SYMMETRIC
        ends = list(MOBILENET_V2_STRIDES.values())
    elif name == "resnet50":
        net = torchvision.models.resnet50()
        stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        stages = nn.Sequential(stem, *(getattr(net, layer) for layer in RESNET50_STRIDES.values()))
        norm = IMAGENET
        ends = list(range(1, 1 + len(RESNET50_STRIDES)))
    else:
        raise BadRecipe(name, "unknown backbone, expecting mobilenet_v2, resnet50, timm:NAME or open_clip:NAME")
    if batch_norm == "folded":
        fold_norms(stages)
    kept = [ends[STRIDES.index(stride)] for stride in strides]
    return _Stages(stages, kept, ends, norm)


def load_imagenet(backbone: Backbone, weights: Mapping[str, Tensor], *, batch_norm: BatchNorm = "live") -> None:
    """Start a mobilenet_v2 or resnet50 backbone from torchvision-named weights of a classifier.

    With ``batch_norm="folded"`` the statistics in the file are folded into the convolutions first.

    Raises:
        BadRecipe: the weights are not of this network.
    """
    if not isinstance(backbone, _Stages):
        raise BadRecipe("start", "only mobilenet_v2 and resnet50 start from a file; ready-made models bring their own")
    mobile = any(key.startswith("features.") for key in weights)
    renamed: dict[str, Any] = {}
    parts = {"conv1": "0.0", "bn1": "0.1", **{name: str(i + 1) for i, name in enumerate(RESNET50_STRIDES.values())}}
    for key, value in weights.items():
        head, _, rest = key.partition(".")
        if mobile and head == "features":
            renamed[rest] = value
        elif not mobile and head in parts:
            renamed[f"{parts[head]}.{rest}"] = value
    full = build_backbone("mobilenet_v2" if mobile else "resnet50")
    assert isinstance(full, _Stages)
    try:
        full.stages.load_state_dict({key: value.float() for key, value in renamed.items()})
        if batch_norm == "folded":
            fold_norms(full.stages)
        own = backbone.stages.state_dict()
        backbone.stages.load_state_dict({key: full.stages.state_dict()[key] for key in own})
    except (RuntimeError, KeyError) as error:
        raise BadRecipe("start", f"not the weights of this backbone: {str(error).splitlines()[0]}") from None


def freeze_batch_norm(network: nn.Module) -> None:
    """Keep the statistics of every BatchNorm as they are (call after every ``network.train()``)."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


class _RightPadded(nn.Conv2d):
    """A convolution padded at the right and bottom only."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


def pad_as_tensorflow(network: nn.Module) -> None:
    """Pad convolutions of stride 2 at the right and bottom only, as the ImageNet MobileNetV2 at hand was made.

    Training forgets the difference; weights that stay as they are need it. Names of weights stay.
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Conv2d and child.stride == (2, 2):
                padded = _RightPadded(
                    child.in_channels,
                    child.out_channels,
                    child.kernel_size,  # type: ignore[arg-type]
                    stride=2,
                    groups=child.groups,
                    bias=child.bias is not None,
                )
                padded.load_state_dict(child.state_dict())
                setattr(module, name, padded)
