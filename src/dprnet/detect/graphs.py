"""The detector as three graphs, for runtimes other than torch; what lies between them is in ``openvino.py``.

    first   images                       -> maps, objectness and offsets of every anchor
    boxes   maps, boxes by level         -> class probabilities, offsets
    views   images, maps, boxes by level -> viewpoint, occlusion, crop, instance

Images go in as they are decoded; scaling, padding and normalising is part of the graphs.

Shape legend
    B  images    H, W  their size    R  boxes of a batch    M  channels of the pyramid    L  pooled levels    C  classes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from dprnet.detect.colour import box_colours, joined
from dprnet.detect.config import STRIDE
from dprnet.detect.model import DetectorNetwork

ANSWERS = ("viewpoint", "occlusion", "crop", "instance")


class _Part(nn.Module):
    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network
        self.levels = network.config.levels

    def padded(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H', W') normalised, sides multiples of STRIDE, 0 beyond the picture."""
        body = self.network.backbone
        whole = (images.permute(0, 3, 1, 2).float() - body.mean) / body.std
        down, right = ((side + STRIDE - 1) // STRIDE * STRIDE - side for side in (whole.shape[2], whole.shape[3]))
        return functional.pad(whole, (0, right, 0, down))

    def pooled(self, maps: Sequence[Tensor], rows: Sequence[Tensor]) -> Tensor:
        """RoIAlign, a level after the other: rows (R_l, 5) of image and box -> (R, M, S, S)."""
        side = self.network.config.pooled_side
        parts = [
            roi_align(map_, row, (side, side), 1.0 / 2**level, 2)
            for map_, row, level in zip(maps, rows, self.levels, strict=True)
        ]
        return torch.cat(parts)


class FirstStage(_Part):
    """Images (B, H, W, 3) uint8 -> L maps, then objectness and offsets of L + 1 levels."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The maps come first, finest first."""
        maps = list(self.network.backbone(self.padded(images)).values())
        scores, deltas = self.network.proposals.head(maps)
        return (*maps[:-1], *scores, *deltas)


class BoxGraph(_Part):
    """L maps and L tables of boxes -> class probabilities (R, C), offsets (R, K, 4)."""

    def forward(self, *arrays: Tensor) -> tuple[Tensor, Tensor]:
        """Rows in the order of the levels."""
        boxes, count = self.network.boxes, len(self.levels)
        vectors = boxes.features(self.pooled(arrays[:count], arrays[count:]))
        return torch.softmax(boxes.heads["class"](vectors), dim=1)[:, :-1], boxes.heads["box"](vectors)


class ViewGraph(_Part):
    """Images, L maps and L tables of boxes -> what the scoring branches and the instance branch say of each box."""

    def forward(self, images: Tensor, *arrays: Tensor) -> tuple[Tensor, ...]:
        """Rows in the order of the levels."""
        config, count = self.network.config, len(self.levels)
        pooled = self.pooled(arrays[:count], arrays[count:])
        inputs = {"map": pooled, "vector": self.network.boxes.features(pooled)}
        heads: dict[str, Any] = dict(self.network.boxes.heads.items())
        answers = {name: heads[name].answer(inputs[heads[name].reads]) for name in ANSWERS}
        if config.colour:
            body = self.network.backbone
            pictures = (self.padded(images) * body.std + body.mean) / 255
            colours = box_colours(pictures, torch.cat(arrays[count:]), config.colour)
            answers["instance"] = joined(answers["instance"], colours, config.colour_share)
        return tuple(answers.values())


def parts(network: DetectorNetwork) -> dict[str, tuple[_Part, list[Tensor], list[str], list[str]]]:
    """Each graph as a module, with example inputs, names of inputs and names of outputs."""
    network = network.cpu().eval()
    levels = [str(level) for level in network.config.levels]
    every = [*levels, "pooled"]
    first = FirstStage(network)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 100, 170, 3), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        maps = list(first(images)[: len(levels)])
    rows = [torch.tensor([[0.0, 10, 10, 90, 90], [1.0, 5, 20, 60, 80]]) for _ in levels]
    map_names, row_names = [f"map{name}" for name in levels], [f"boxes{name}" for name in levels]
    outputs = [*map_names, *(f"objectness{name}" for name in every), *(f"offsets{name}" for name in every)]
    views = ViewGraph(network)
    return {
        "first": (first, [images], ["images"], outputs),
        "boxes": (BoxGraph(network), [*maps, *rows], [*map_names, *row_names], ["probabilities", "offsets"]),
        "views": (views, [images, *maps, *rows], ["images", *map_names, *row_names], list(ANSWERS)),
    }
