"""What stands beside the trained embedding: what the start weights knew already, and plain colours (ours).

A few thousand garments teach a network to see them through pose and light, and it forgets what it knew of everything
else: products unlike those it was trained on come out alike. The start weights, kept as they were, still tell these
apart, and plain colours tell apart what differs in nothing else (measured: docs/embed.md).

Shape legend
    B, M  images    H, W  pixels    L  cells of an image    N  nodes of a colour channel    K  numbers of a part
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.colour import joint_colours
from dprnet.embed.backbone import build_backbone, pad_as_tensorflow
from dprnet.embed.config import BatchNorm, EmbedderConfig

CHANNELS = 3
NODES = 8  # ours: as the floor's histogram
HIDDEN = 1024  # ours: numbers between the two layers that imitate
WHITE = 0.96  # ours: a cell whose channels all reach it is the ground a shop photo stands on


class Resample(nn.Module):
    """Squares (B, 3, H, H) -> (B, 3, S, S) by two products with a fixed matrix (S, H), which every runtime has."""

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.size, self.side = matrix.shape
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The smaller squares."""
        # Reshaped, since OpenVINO would fuse what comes after, number by channel, into the product, and then refuse it;
        # to sizes that are known, since ONNX pools no map whose size it cannot tell.
        flat = self.matrix @ images.reshape(-1, self.side, self.side) @ self.matrix.T
        return flat.reshape(-1, CHANNELS, self.size, self.size)


class Shrink(Resample):
    """As torch's antialiased bilinear resizing."""

    def __init__(self, side: int, size: int) -> None:
        matrix = functional.interpolate(torch.eye(side)[None, None], (size, side), mode="bilinear", antialias=True)
        super().__init__(matrix[0, 0])


class Cells(Resample):
    """As torch's adaptive average pooling, which ONNX lacks for sides that are no multiple of the cells."""

    def __init__(self, side: int, cells: int) -> None:
        super().__init__(functional.adaptive_avg_pool1d(torch.eye(side)[None], cells)[0].T.contiguous())


class Part(nn.Module):
    """Images (B, 3, H, W) in [0, 255] -> (B, K) of length 1: what is seen, turned to its principal directions."""

    def __init__(self, seen: int, size: int) -> None:
        super().__init__()
        self.turn = nn.Linear(seen, size)

    def see(self, images: Tensor) -> Tensor:
        """(B, seen) of length 1."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """The part of each image."""
        # A length of 1 in float32, whatever the products before it were computed in.
        return functional.normalize(self.turn(self.see(images)).float(), dim=1)

    @torch.no_grad()
    def settle(self, images: Tensor, batch: int = 64) -> None:
        """Take the mean and the principal directions of (M, 3, H, W) photos, M above K."""
        seen = torch.cat([self.see(images[first : first + batch]) for first in range(0, len(images), batch)])
        middle = seen.mean(dim=0)
        directions = torch.linalg.svd(seen - middle, full_matrices=False).Vh[: self.turn.out_features]
        self.turn.weight[: len(directions)].copy_(directions)
        self.turn.weight[len(directions) :].zero_()
        self.turn.bias.copy_(-self.turn.weight @ middle)


class Kept(Part):
    """The pooled features of the start weights, which training leaves as they are."""

    def __init__(self, config: EmbedderConfig) -> None:
        batch_norm: BatchNorm = "folded" if config.batch_norm == "folded" else "frozen"
        backbone = build_backbone(config.backbone, (32,), batch_norm=batch_norm)
        super().__init__(backbone.channels[0], config.kept)
        self.backbone = backbone
        if config.backbone == "mobilenet_v2":
            pad_as_tensorflow(self.backbone)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """As it was, whatever is trained around it."""
        return super().train(False)

    def see(self, images: Tensor) -> Tensor:
        """(B, C) pooled features."""
        return functional.normalize(self.backbone(images)[0].mean(dim=(2, 3)), dim=1)


class Imitation(nn.Module):
    """What the trained network tells, (B, C) -> (B, K) of length 1: the kept features as it imitates them.

    Trained to give of a photo, however it is augmented, what :class:`Kept` gives of it as it is (distillation, Hinton
    et al. 2015, of features). One backbone then does what two do.
    """

    def __init__(self, told: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(told, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, size))

    def forward(self, told: Tensor) -> Tensor:
        """The part of each image."""
        return functional.normalize(self.layers(told).float(), dim=1)


class Shades(Part):
    """The colours of an image without the white ground of shop photos."""

    def __init__(self, size: int, side: int, cells: int) -> None:
        super().__init__(NODES**3, size)
        self.cells = Cells(side, cells)
        self.requires_grad_(False)

    def see(self, images: Tensor) -> Tensor:
        """(B, N^3) roots of a histogram."""
        cells = self.cells(images.float() / 255).clamp(0, 1).flatten(2)
        counts = ((1 - cells.amin(dim=1)) / (1 - WHITE)).clamp(0, 1)
        counts = counts + 1e-4  # an image that is white throughout has its colour too
        return joint_colours(cells, counts / counts.sum(dim=1, keepdim=True), NODES)
