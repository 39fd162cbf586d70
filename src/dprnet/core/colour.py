"""Which colours an area shows: soft histograms of colour pairs, as tensors (ours, not in the paper).

Both networks use them: the retrieval network with weights it learned, the detector with plain ones.

Shape legend
    B  areas    L  cells of an area    N  nodes of a colour channel
"""

from __future__ import annotations

import torch
from torch import Tensor


def colour_roots(cells: Tensor, weight: Tensor, nodes: int) -> Tensor:
    """Square roots of three histograms (red-green, green-blue, red-blue): (B, 3 N^2).

    Each cell's colour is shared out among the four nearest nodes of an N x N grid. The dot product of two such roots
    is the sum of their Bhattacharyya coefficients: nearly 3 for equal colours, 0 for none in common.

    Args:
        cells: (B, 3, L) in [0, 1].
        weight: (B, L) how much each cell counts; its sum is 1 for each area.
        nodes: N.
    """
    red, green, blue = _shares(cells, nodes)
    pairs = ((red, green), (green, blue), (red, blue))
    counted = torch.cat([((a * weight[:, None]) @ b.transpose(1, 2)).flatten(1) for a, b in pairs], dim=1)
    # The root has no slope at 0.
    return (counted + 1e-4).sqrt() - 1e-2


def joint_colours(cells: Tensor, weight: Tensor, nodes: int) -> Tensor:
    """Square roots of one histogram over all three channels together, of length 1: (B, N^3).

    Each cell's colour is shared out among the eight nearest nodes of an N x N x N grid.

    Args:
        cells: (B, 3, L) in [0, 1].
        weight: (B, L) how much each cell counts; its sum is 1 for each area.
        nodes: N.
    """
    red, green, blue = _shares(cells, nodes)
    both = ((red * weight[:, None])[:, :, None] * green[:, None]).flatten(1, 2)
    return (both @ blue.transpose(1, 2)).flatten(1).clamp_min(0).sqrt()


def _shares(cells: Tensor, nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, N, L) of each channel: how each cell's value is shared out between its two nearest nodes."""
    place = cells * (nodes - 1)
    grid = torch.arange(nodes, device=cells.device, dtype=cells.dtype)
    red, green, blue = (1 - (place[:, :, None, :] - grid[None, None, :, None]).abs()).clamp_min(0).unbind(dim=1)
    return red, green, blue
