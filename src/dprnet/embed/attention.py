"""Where the embedder looks (paper, figure 8; how its map was made is not stated).

Shape legend
    B  images    H, W  pixels    C  channels    h, w  cells of the last feature map    D  numbers of a vector
"""

from __future__ import annotations

import torch
from torch import Tensor

from dprnet.embed.model import EmbedderNetwork


def attention(network: EmbedderNetwork, images: Tensor, targets: Tensor | None = None) -> Tensor:
    """How much each cell of the last feature map counts, (B, h, w) in [0, 1], the largest of each image 1.

    Without targets: the length of the cell's features (activation norm), what the pooling averages over. With targets:
    how much the cell adds to the similarity with another vector (Grad-CAM, Selvaraju et al. 2017), from 0 for the cell
    that adds least (or takes most away) to 1; the source cuts at no contribution, but an fc that centres its features
    can make all of them negative. Colours that a network counts beside this map are not in it.

    Args:
        network: in evaluation mode.
        images: (B, 3, H, W) float in [0, 255].
        targets: (B, D) of length 1, such as the vectors of the items found.
    """
    seen: list[Tensor] = []
    hook = network.backbone.register_forward_hook(lambda _, __, maps: seen.append(maps[-1]))
    try:
        with torch.enable_grad():
            vectors = network(images.detach().clone().requires_grad_())
            last = seen[0]
            if targets is None:
                strength = last.norm(dim=1)
            else:
                (slope,) = torch.autograd.grad((vectors * targets).sum(), last)
                strength = (slope.mean(dim=(2, 3), keepdim=True) * last).sum(dim=1)
                strength = strength - strength.amin(dim=(1, 2), keepdim=True)
    finally:
        hook.remove()
    strength = strength.detach().float()
    share: Tensor = strength / strength.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    return share
