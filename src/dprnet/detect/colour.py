"""The colours inside each box, as part of what tells garments of one video apart (ours, not in the paper).

The instance branch learns what makes garments differ from the garments it has seen; within one video colour alone tells
most of them apart, also on people of whom no training photo knows anything (docs/detect.md).

Shape legend
    B  images    R  boxes    G  cells a side    N  nodes of a colour channel    E  numbers of an embedding
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align

from dprnet.core.colour import colour_roots

GRID = 24  # ours: a box is averaged to so many cells a side
SIGMA = 0.35  # ours: of a box's sides; cells near its edges show the ground more often than the garment


def box_colours(images: Tensor, boxes: Sequence[Tensor] | Tensor, nodes: int) -> Tensor:
    """The colours of boxes: (R, 3 N^2), each row of length 1.

    Args:
        images: (B, 3, H, W) RGB in [0, 1].
        boxes: of each image, (n, 4) xyxy pixels; or of all, (R, 5) image and box.
        nodes: N.
    """
    rows = boxes if isinstance(boxes, Tensor) else list(boxes)
    cells = roi_align(images, rows, GRID, sampling_ratio=2, aligned=True).clamp(0, 1)
    place = (torch.arange(GRID, device=images.device) + 0.5) / GRID - 0.5
    bell = torch.exp(-place.square() / (2 * SIGMA**2))
    weight = (bell[:, None] * bell[None, :]).flatten()
    weight = (weight / weight.sum()).expand(cells.shape[0], -1)
    return functional.normalize(colour_roots(cells.flatten(2), weight, nodes), dim=1)


def joined(embeddings: Tensor, colours: Tensor, share: float) -> Tensor:
    """Embeddings (R, E) and colours (R, C), weighed so that Eq. 4 of the two together is the weighted mean of both.

    ``cosine(joined) = (1 - share) * cosine(embeddings) + share * cosine(colours)``; returns (R, E + C) of length 1.
    """
    parts = functional.normalize(embeddings, dim=1) * (1 - share) ** 0.5, colours * share**0.5
    return torch.cat(parts, dim=1)
