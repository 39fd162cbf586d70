"""Which colours an image shows, pooled over the garment: a differentiable colour histogram (ours, not in the paper).

Networks trained on ImageNet learn to see past colour, and a few hundred products are too few to unlearn it; two
garments of one cut differ in nothing else.

Shape legend
    B  images    H, W  pixels    G  cells a side    N  nodes of a colour channel
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.colour import colour_roots

WHITE = 0.96  # ours: above it (all three channels) a cell is likely the ground a shop photo stands on


class ColourPool(nn.Module):
    """Images and a feature map -> (B, 3 N^2) square roots of soft histograms over garment cells.

    How much a cell counts is learned from the feature map, so that the wearer and the scene count less than the
    garment; what is counted, :func:`dprnet.core.colour.colour_roots` says.

    Args:
        channels: of the feature map.
        nodes: N.
        cells: G; colours are averaged to so many a side (measured: docs/embed.md).
    """

    def __init__(self, channels: int, nodes: int, cells: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.cells = cells
        self.size = 3 * nodes**2
        self.weigh = nn.Conv2d(channels, 1, kernel_size=1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(torch.as_tensor(self.weigh.bias))
        self.ground = nn.Parameter(torch.tensor(3.0))

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 255], feature map (B, C, h, w) -> (B, 3 N^2)."""
        cells = self._cells(images.float() / 255).clamp(0, 1)
        weight = self.attention(cells, maps).flatten(1)
        weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-6)
        return colour_roots(cells.flatten(2), weight, self.nodes)

    def _cells(self, images: Tensor) -> Tensor:
        """Squares (B, 3, H, H) -> means of (B, 3, G, G) cells."""
        side = int(images.shape[-1])
        if side % self.cells == 0:  # ONNX takes no adaptive pooling of what was made smaller inside the graph
            return functional.avg_pool2d(images, side // self.cells)
        return functional.adaptive_avg_pool2d(images, self.cells)

    def attention(self, cells: Tensor, maps: Tensor) -> Tensor:
        """How much each cell counts: (B, 3, G, G) and (B, C, h, w) -> (B, G, G) in (0, 1)."""
        whiteness = ((cells.amin(dim=1) - WHITE) / (1 - WHITE)).clamp(0, 1)
        size = (self.cells, self.cells)
        seen = functional.interpolate(self.weigh(maps).float(), size=size, mode="bilinear")[:, 0]
        return torch.sigmoid(seen - self.ground * whiteness)
