"""The embedder as one graph, for runtimes other than torch: prepared images as bytes in, embeddings out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dprnet.embed.model import EmbedderNetwork


class EmbedGraph(nn.Module):
    """Prepared images (B, S, S, 3) uint8 -> embeddings (B, D) of length 1."""

    def __init__(self, network: EmbedderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings."""
        vectors: Tensor = self.network(images.permute(0, 3, 1, 2).float())
        return vectors


def parts(network: EmbedderNetwork) -> dict[str, tuple[nn.Module, list[Tensor], list[str], list[str]]]:
    """The graph as a module, with example inputs, names of inputs and names of outputs."""
    side = network.config.image_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8, generator=generator)
    return {"embedder": (EmbedGraph(network.cpu().eval()), [images], ["images"], ["embeddings"])}
