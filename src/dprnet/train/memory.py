"""Embeddings of earlier batches, for a loss that wants more garments than one batch holds (Wang et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Memory(nn.Module):
    """The embeddings of the latest batches, oldest overwritten first; part of the checkpoint, so a run resumes exactly.

    Args:
        size: embeddings kept, M.
        numbers: of an embedding, D.
    """

    vectors: Tensor
    classes: Tensor
    count: Tensor

    def __init__(self, size: int, numbers: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(size, numbers))
        self.register_buffer("classes", torch.full((size,), -1))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def content(self) -> tuple[Tensor, Tensor]:
        """(M', D) and (M',): what has been put in and not overwritten."""
        filled = min(int(self.count), len(self.classes))
        return self.vectors[:filled], self.classes[:filled]

    @torch.no_grad()
    def add(self, vectors: Tensor, classes: Tensor) -> None:
        """Put a batch in, (B, D) and (B,)."""
        if not len(self.classes):
            return
        rows = (int(self.count) + torch.arange(len(classes), device=self.classes.device)) % len(self.classes)
        # Replaced, not written into: the graph of the step still holds the old ones.
        self.vectors = self.vectors.index_copy(0, rows, vectors.detach().float())
        self.classes = self.classes.index_copy(0, rows, classes)
        self.count = self.count + len(classes)
