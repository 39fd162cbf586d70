"""The retrieval network (paper 3.3, figure 4): backbone, global pooling, fc; and the branch that only training has.

Shape legend
    B  images of a batch    H, W  pixels    C  channels over all levels    D  numbers of an embedding    N  instances
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_linear_bn_eval

from dprnet.embed.backbone import build_backbone, freeze_batch_norm
from dprnet.embed.beside import Imitation, Kept, Shades, Shrink
from dprnet.embed.colour import ColourPool
from dprnet.embed.config import EmbedderConfig

__all__ = ["EmbedderConfig", "EmbedderNetwork", "GeneralizedMean", "GlobalAverage", "InstanceClassifier"]


class EmbedderNetwork(nn.Module):
    """Images (B, 3, H, W) float RGB in [0, 255] -> embeddings (B, D) float32 of Euclidean length 1."""

    def __init__(self, config: EmbedderConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(
            config.backbone, config.strides, batch_norm=config.batch_norm, pretrained=pretrained
        )
        widths = list(self.backbone.channels)
        self.pools = nn.ModuleList(
            GeneralizedMean() if config.pooling == "gem" else GlobalAverage() for _ in self.backbone.channels
        )
        self.colour = ColourPool(widths[-1], config.colour, config.colour_cells) if config.colour else None
        if self.colour is not None:
            widths.append(self.colour.size)
        # One factor a channel, so that no level drowns the others; a single level needs none.
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(width)) for width in widths if len(widths) > 1)
        self.fc = nn.Linear(sum(widths), config.size) if config.size else nn.Identity()
        # Pooled features are never negative: a step of Adam moves all embeddings the same way, and within a hundred
        # steps all of them are one. With the batch's mean taken off they cannot (docs/embed.md).
        self.standard = nn.BatchNorm1d(config.size) if config.standard and config.size else nn.Identity()
        self.trained = config.size or sum(widths)
        smaller = 0 < config.trained_image_size < config.image_size
        self.shrink = Shrink(config.image_size, config.trained_image_size) if smaller else None
        self.kept = Kept(config) if config.kept and config.kept_by == "start" else None
        self.imitation = Imitation(sum(widths), config.kept) if config.kept and self.kept is None else None
        self.shades = Shades(config.shades, config.image_size, config.colour_cells) if config.shades else None
        self.size = self.trained + config.kept + config.shades

    def pooled(self, images: Tensor) -> list[Tensor]:
        """(B, C) of each level, and the colours where they are asked for."""
        if self.shrink is not None and images.shape[-1] == self.config.image_size:
            images = self.shrink(images)
        maps = self.backbone(images)
        found = [pool(map_) for pool, map_ in zip(self.pools, maps, strict=True)]
        if self.colour is not None:
            found.append(self.colour(images, maps[-1]))
        return found

    def told(self, images: Tensor) -> Tensor:
        """(B, C) what all levels tell, each with its scale: what the heads read."""
        parts = self.pooled(images)
        if len(parts) > 1:
            parts = [part * scale for part, scale in zip(parts, self.scales, strict=True)]
        return torch.cat(parts, dim=1)

    def features(self, told: Tensor) -> Tensor:
        """(B, D') what is trained, before normalisation."""
        joined: Tensor = self.fc(told).float()
        with torch.autocast(joined.device.type, enabled=False):
            standard: Tensor = self.standard(joined)
        return standard

    def parts(self, images: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What is trained, the kept features and the shades: (B, K) each of length 1, None where there is none."""
        told = self.told(images)
        kept = self.kept(images) if self.kept is not None else None
        if self.imitation is not None:
            kept = self.imitation(told)
        shades = self.shades(images) if self.shades is not None else None
        return functional.normalize(self.features(told), dim=1), kept, shades

    def forward(self, images: Tensor) -> Tensor:
        """(B, D) embeddings, each of length 1."""
        # Roots, so that the cosine of two images is the mean of the parts' cosines, weighted with their shares.
        weighed = zip(self.parts(images), self.config.shares, strict=True)
        return torch.cat([part * share**0.5 for part, share in weighed if part is not None], dim=1)

    def folded(self) -> EmbedderNetwork:
        """A network of the same answers in evaluation mode, without the BatchNorm after fc: what a bundle holds."""
        made = EmbedderNetwork(self.config.model_copy(update={"standard": False}))
        state = {name: value for name, value in self.state_dict().items() if not name.startswith("standard.")}
        if isinstance(self.standard, nn.BatchNorm1d) and isinstance(self.fc, nn.Linear):
            fused = fuse_linear_bn_eval(copy.deepcopy(self.fc).eval(), copy.deepcopy(self.standard).eval())
            state |= {"fc.weight": fused.weight.detach(), "fc.bias": fused.bias.detach()}
        made.load_state_dict(state)
        return made.eval()

    def train(self, mode: bool = True) -> EmbedderNetwork:
        """As in torch, but frozen statistics stay frozen."""
        super().train(mode)
        if self.config.batch_norm == "frozen":
            freeze_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def settle(self, images: Tensor, colour: float = 1.0, batch: int = 64) -> None:
        """Begin from what the start weights and the colours already tell, instead of a random projection.

        Every level is made to say equally much, whatever its number of channels and their size, and fc becomes the
        principal directions of what they say together. Called once, before training, with (M, 3, H, W) images.

        Args:
            images: photos of the training set; some four times D are enough.
            colour: how much the colours say against all other levels together.
            batch: images run at once.
        """
        was = self.training
        self.eval()
        runs = [self.pooled(images[first : first + batch]) for first in range(0, len(images), batch)]
        levels = [torch.cat(parts).float() for parts in zip(*runs, strict=True)]
        for number, (scale, level) in enumerate(zip(self.scales, levels, strict=False)):
            share = colour**2 if self.colour is not None and number == len(levels) - 1 else 1 / len(self.pools)
            spread = (level - level.mean(dim=0)).square().sum(dim=1).mean().sqrt().clamp_min(1e-6)
            scale.fill_(float(share**0.5 / spread))
        if len(levels) > 1:
            levels = [level * scale for level, scale in zip(levels, self.scales, strict=True)]
        told = torch.cat(levels, dim=1)
        if isinstance(self.fc, nn.Linear) and len(told) >= self.fc.out_features:
            middle = told.mean(dim=0)
            directions = torch.linalg.svd(told - middle, full_matrices=False).Vh[: self.fc.out_features]
            self.fc.weight.copy_(directions)
            self.fc.bias.copy_(-directions @ middle)
            if isinstance(self.standard, nn.BatchNorm1d):
                spread = ((told - middle) @ directions.T).square().mean(dim=0)
                self.standard.running_var.copy_(spread)  # type: ignore[union-attr]
                self.standard.weight.copy_(spread.sqrt())
        self.train(was)

    @torch.no_grad()
    def settle_standard(self, images: Tensor, batch: int = 64) -> None:
        """Let the BatchNorm after fc change nothing yet, with the statistics of (M, 3, H, W) photos: to train on."""
        if not isinstance(self.standard, nn.BatchNorm1d):
            return
        was = self.training
        self.eval()
        standard, self.standard = self.standard, nn.Identity()
        firsts = range(0, len(images), batch)
        found = torch.cat([self.features(self.told(images[first : first + batch])) for first in firsts])
        self.standard = standard
        mean, variance = found.mean(dim=0), found.var(dim=0)
        standard.running_mean.copy_(mean)  # type: ignore[union-attr]
        standard.running_var.copy_(variance)  # type: ignore[union-attr]
        standard.weight.copy_((variance + standard.eps).sqrt())
        standard.bias.copy_(mean)
        self.train(was)

    def settle_beside(self, images: Tensor) -> None:
        """Let what stands beside the trained part take its directions from (M, 3, H, W) photos."""
        for part in (self.kept, self.shades):
            if part is not None:
                part.settle(images)


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
