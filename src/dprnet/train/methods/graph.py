"""GRNet: a graph whose nodes are the differences of two photos' regions at several scales."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.train.methods.base import Trunk
from dprnet.train.methods.matching import PairBase


class GrnetSettings(Settings):
    """Graph reasoning network (Kuang et al. 2019)."""

    channels: int = Field(default=64, ge=1)  # ours: of the regions
    scales: tuple[int, ...] = (1, 2, 3)  # ours: cells a side at each scale of the pyramid; 98 nodes
    node: int = Field(default=32, ge=1)  # ours: numbers of a node
    rounds: int = Field(default=2, ge=1)  # ours: of message passing
    margin: float = 0.3  # ours: of the embedding that makes the short list


class Grnet(PairBase):
    """GRNet (Kuang et al. 2019): features of regions at the scales of a pyramid; a node is the projected, normalised
    squared difference of a region of one photo and a region of the other at the same scale; edges are
    ``softmax(T_out^T T_in)``; messages pass; fc, binary cross-entropy.

    Gaps filled by us: regions are the cells of average pooling to 1, 2 and 3 cells a side; messages are added to the
    node (residual) after a linear layer and ReLU; the nodes' mean goes into the fc.
    """

    def __init__(self, trunk: Trunk, classes: int, settings: GrnetSettings) -> None:
        super().__init__(trunk, classes, settings.margin)
        self.settings = settings
        self.reduce = nn.Conv2d(trunk.fine, settings.channels, kernel_size=1)
        self.project = nn.ModuleList(nn.Linear(settings.channels, settings.node, bias=False) for _ in settings.scales)
        self.outgoing = nn.Linear(settings.node, settings.node, bias=False)
        self.incoming = nn.Linear(settings.node, settings.node, bias=False)
        self.messages = nn.ModuleList(nn.Linear(settings.node, settings.node) for _ in range(settings.rounds))
        self.fc = nn.Linear(settings.node, 1)

    def reduced(self, fine: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, channels, R), the regions of all scales one after the other."""
        small = self.reduce(fine)
        return torch.cat([functional.adaptive_avg_pool2d(small, s).flatten(2) for s in self.settings.scales], 2).float()

    def compare(self, queries: Tensor, items: Tensor) -> Tensor:
        """(n, channels, R) twice -> (n,)."""
        nodes = self.nodes(queries, items)
        for layer in self.messages:
            nodes = nodes + functional.relu(layer(passed(nodes, self.outgoing(nodes), self.incoming(nodes))))
        found: Tensor = self.fc(nodes.mean(dim=1))
        return found[:, 0]

    def nodes(self, queries: Tensor, items: Tensor) -> Tensor:
        """(n, sum of s^4 over the scales s, node), each of length 1."""
        sizes = [scale**2 for scale in self.settings.scales]
        found = []
        for layer, mine, other in zip(
            self.project, torch.split(queries, sizes, 2), torch.split(items, sizes, 2), strict=True
        ):
            apart = (mine.mT[:, :, None] - other.mT[:, None]).square()
            found.append(layer(apart.flatten(1, 2)))
        return functional.normalize(torch.cat(found, dim=1), dim=2)


def passed(nodes: Tensor, outgoing: Tensor, incoming: Tensor) -> Tensor:
    """What each node hears: the mean of all nodes, weighted by ``softmax`` of its ``outgoing . incoming`` with them.

    Args:
        nodes: (n, V, F).
        outgoing: (n, V, F).
        incoming: (n, V, F).

    >>> v = torch.tensor([[[1.0], [3.0]]])
    >>> passed(v, torch.zeros(1, 2, 1), v).tolist()
    [[[2.0], [2.0]]]
    """
    return (outgoing @ incoming.mT).softmax(dim=2) @ nodes
