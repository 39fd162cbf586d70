"""The retrieval network (paper 3.3, figure 4): backbone, global pooling, fc; and the branch that only training has.

Shape legend
    B  images of a batch    H, W  pixels    C  channels over all levels    D  numbers of an embedding    N  instances
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.embed.backbone import BatchNorm, build_backbone, freeze_batch_norm


class EmbedderConfig(Settings):
    """What is needed to rebuild the network and to prepare its images."""

    backbone: str = "mobilenet_v2"  # ours; the paper does not state it (resnet50 in the paper-size recipe)
    size: int = Field(default=256, ge=0, le=8192)  # ours; D, and 0 leaves out the fc (a ready-made embedder)
    image_size: int = Field(default=128, ge=16, le=1024)  # ours; measured, see docs/embed.md
    fit: Literal["letterbox", "squash"] = "letterbox"  # ours: the shape of a garment is kept
    fill: int = Field(default=255, ge=0, le=255)  # ours: shop photos stand on white
    pooling: Literal["average", "gem"] = "average"  # paper, figure 4 (GAP)
    strides: tuple[int, ...] = (32,)  # ours; several: pooled features of earlier levels are joined, for colour, cloth
    batch_norm: BatchNorm = "live"  # ours; folded for weights that come without statistics


class EmbedderNetwork(nn.Module):
    """Images (B, 3, H, W) float RGB in [0, 255] -> embeddings (B, D) float32 of Euclidean length 1."""

    def __init__(self, config: EmbedderConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(
            config.backbone, config.strides, batch_norm=config.batch_norm, pretrained=pretrained
        )
        self.pools = nn.ModuleList(
            GeneralizedMean() if config.pooling == "gem" else GlobalAverage() for _ in self.backbone.channels
        )
        self.scales = nn.ParameterList(
            nn.Parameter(torch.ones(count)) for count in self.backbone.channels if len(self.backbone.channels) > 1
        )
        pooled = sum(self.backbone.channels)
        self.fc = nn.Linear(pooled, config.size) if config.size else nn.Identity()
        self.size = config.size or pooled

    def features(self, images: Tensor) -> Tensor:
        """(B, D) embeddings before normalisation."""
        maps = self.backbone(images)
        pooled = [pool(map_) for pool, map_ in zip(self.pools, maps, strict=True)]
        if len(pooled) > 1:
            pooled = [part * scale for part, scale in zip(pooled, self.scales, strict=True)]
        joined: Tensor = self.fc(torch.cat(pooled, dim=1))
        return joined.float()

    def forward(self, images: Tensor) -> Tensor:
        """(B, D) embeddings, each of length 1."""
        return functional.normalize(self.features(images), dim=1)

    def train(self, mode: bool = True) -> EmbedderNetwork:
        """As in torch, but frozen statistics stay frozen."""
        super().train(mode)
        if self.config.batch_norm == "frozen":
            freeze_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def even_out(self, images: Tensor) -> None:
        """Bring the pooled features of all levels to the same spread, so that no level drowns the others.

        Called once before training with (B, 3, H, W) images; only a network with several levels has anything to do.
        """
        for scale, pool, map_ in zip(self.scales, self.pools, self.backbone(images), strict=False):
            part = pool(map_)
            scale.copy_(1 / part.std(dim=0).clamp_min(1e-3))


class GlobalAverage(nn.Module):
    """(B, C, H, W) -> (B, C) mean over the image (paper, figure 4: GAP)."""

    def forward(self, maps: Tensor) -> Tensor:
        """The mean of each channel."""
        return maps.mean(dim=(2, 3))


class GeneralizedMean(nn.Module):
    """(B, C, H, W) -> (B, C) mean of the p-th powers, p-th root (GeM; Radenovic et al. 2018); p is learned."""

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))  # 3: the source's start

    def forward(self, maps: Tensor) -> Tensor:
        """The generalised mean of each channel (values below 1e-6 count as 1e-6)."""
        return maps.float().clamp_min(1e-6).pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


class InstanceClassifier(nn.Module):
    """The classification branch: (B, D) features -> (B, N) logits. Training only, never exported.

    With a neck (BNNeck, Luo et al. 2019) the features pass a BatchNorm first, so that the triplet loss and the
    classification loss each work in a space that suits them.
    """

    def __init__(self, size: int, instances: int, *, neck: bool = False, scale: float = 0.0) -> None:
        super().__init__()
        self.neck: nn.Module = nn.BatchNorm1d(size) if neck else nn.Identity()
        self.fc = nn.Linear(size, instances, bias=False)
        nn.init.normal_(self.fc.weight, std=0.01)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Logits; with ``scale`` > 0 they are ``scale`` times the cosine with each instance's weight vector."""
        features = self.neck(features)
        if self.scale:
            return self.scale * functional.linear(
                functional.normalize(features, dim=1), functional.normalize(self.fc.weight, dim=1)
            )
        logits: Tensor = self.fc(features)
        return logits
