"""Which colours an image shows, pooled over the garment: a differentiable colour histogram (ours, not in the paper).

Networks trained on ImageNet learn to see past colour, and a few hundred products are too few to unlearn it; two
garments of one cut differ in nothing else.

Shape legend
    B  images    H, W  pixels    G  cells a side    N  nodes of a colour channel    E  numbers of an embedding
    S  numbers of its shades
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.colour import colour_roots

GRID = 64  # ours: colours are averaged to so many cells a side; 32 blurs fine shades (measured: docs/embed.md)
BELIEVED = 0.1  # ours: share of the colours before training
WHITE = 0.96  # ours: above it (all three channels) a cell is likely the ground a shop photo stands on


class ColourPool(nn.Module):
    """Images and a feature map -> (B, 3 N^2) square roots of soft histograms over garment cells.

    How much a cell counts is learned from the feature map, so that the wearer and the scene count less than the
    garment; what is counted, :func:`dprnet.core.colour.colour_roots` says.

    Args:
        channels: of the feature map.
        nodes: N.
    """

    def __init__(self, channels: int, nodes: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.size = 3 * nodes**2
        self.weigh = nn.Conv2d(channels, 1, kernel_size=1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(torch.as_tensor(self.weigh.bias))
        self.ground = nn.Parameter(torch.tensor(3.0))

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 255], feature map (B, C, h, w) -> (B, 3 N^2)."""
        cells = functional.adaptive_avg_pool2d(images.float() / 255, GRID).clamp(0, 1)
        weight = self.attention(cells, maps).flatten(1)
        weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-6)
        return colour_roots(cells.flatten(2), weight, self.nodes)

    def attention(self, cells: Tensor, maps: Tensor) -> Tensor:
        """How much each cell counts: (B, 3, G, G) and (B, C, h, w) -> (B, G, G) in (0, 1)."""
        whiteness = ((cells.amin(dim=1) - WHITE) / (1 - WHITE)).clamp(0, 1)
        seen = functional.interpolate(self.weigh(maps).float(), size=(GRID, GRID), mode="bilinear")[:, 0]
        return torch.sigmoid(seen - self.ground * whiteness)


class Shades(nn.Module):
    """Colours as numbers of their own beside an embedding, in a share that each picture decides (ours).

    An embedding that has learned to see a garment through the lights of a video no longer tells fine shades apart;
    under the even light of a studio these are what tells the colours of one product apart. The cosine of two pictures
    is ``sqrt((1-a)(1-b))`` times that of their embeddings and ``sqrt(ab)`` times that of their shades, a and b being
    how far the colours of each can be believed (measured: docs/embed.md).

    Args:
        channels: of the pooled features that decide the share.
        colours: 3 N^2.
        size: S.
    """

    def __init__(self, channels: int, colours: int, size: int) -> None:
        super().__init__()
        self.turn = nn.Linear(colours, size)
        self.believe = nn.Linear(channels, 1)
        nn.init.zeros_(self.believe.weight)
        nn.init.constant_(self.believe.bias, math.log(BELIEVED / (1 - BELIEVED)))

    def forward(self, embeddings: Tensor, pooled: Tensor, colours: Tensor) -> Tensor:
        """(B, E), (B, C) and (B, 3 N^2) -> (B, E + S), each row of length 1."""
        share = torch.sigmoid(self.believe(pooled))
        shades = functional.normalize(self.turn(colours), dim=1)
        return torch.cat([functional.normalize(embeddings, dim=1) * (1 - share).sqrt(), shades * share.sqrt()], dim=1)

    @torch.no_grad()
    def settle(self, colours: Tensor) -> None:
        """Begin at the principal directions of the (M, 3 N^2) colours of some photos."""
        middle = colours.mean(dim=0)
        directions = torch.linalg.svd(colours - middle, full_matrices=False).Vh[: self.turn.out_features]
        self.turn.weight[: len(directions)].copy_(directions)
        self.turn.bias.copy_(-self.turn.weight @ middle)
