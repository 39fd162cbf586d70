"""The detector's network as graphs of OpenVINO: backbone, pooling and heads compiled, the rest in numpy. No torch.

Shape legend:  B images of one size (H, W)   N garments of an image   R boxes of a batch   P proposals of an image
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core import graphs
from dprnet.core.records import Image
from dprnet.detect import boxes as geometry
from dprnet.detect.boxes import Floats, Ints
from dprnet.detect.config import BOX_WEIGHTS, MIN_SIDE, STRIDE, DetectorConfig
from dprnet.detect.runtime import Garments

if TYPE_CHECKING:
    from dprnet.detect.model import DetectorNetwork

GRAPHS = ("first", "boxes", "views")
MIN_PROPOSAL = 1e-3  # pixels; torchvision


class GraphRuntime:
    """Backbone, pooling and heads as compiled graphs; the few thousand numbers between them in numpy. Needs no torch.

    Args:
        runs: the graphs by name (:data:`GRAPHS`).
        config: of the network they were made from.
        lanes: calls at once.
        name: of what runs the graphs.
    """

    batch = 2  # ours: a tenth less work an image than alone, since weights are read once for both; 4 gain no more

    def __init__(
        self, runs: Mapping[str, graphs.Run], config: DetectorConfig, lanes: int = 1, name: str = "openvino"
    ) -> None:
        self.config = config
        self.lanes = lanes
        self.name = name
        self._graphs = runs
        first = config.proposals
        self._cells = [geometry.cell_anchors(sizes, first.ratios) for sizes in first.sizes]

    def __call__(self, images: Sequence[Image], score_threshold: float) -> list[Garments]:
        """See :class:`Runtime`."""
        batch = np.stack(images) if len(images) > 1 else np.ascontiguousarray(images[0])[None]
        height, width = batch.shape[1:3]
        answers = self._graphs["first"](batch)
        count = len(self.config.levels)
        maps, scores, offsets = answers[:count], answers[count : 2 * count + 1], answers[2 * count + 1 :]
        for level, values in zip(self.config.levels, maps, strict=True):
            _finite(f"map {level}", values)
        proposals = [self._proposals(scores, offsets, row, height, width) for row in range(len(batch))]
        chances, deltas = self._on_boxes("boxes", maps, proposals)
        _finite("class", chances)
        _finite("box", deltas)
        ends = np.cumsum([len(boxes) for boxes in proposals])[:-1]
        kept = [
            self._survivors(*parts, height, width, score_threshold)
            for parts in zip(proposals, np.split(chances, ends), np.split(deltas, ends), strict=True)
        ]
        found = [boxes for boxes, _, _ in kept]
        views = dict(zip(_VIEWS, self._on_boxes("views", [batch, *maps], found), strict=True))
        for name, values in views.items():
            _finite(name, values)
        ends = np.cumsum([len(boxes) for boxes in found])[:-1]
        rows = {name: np.split(values, ends) for name, values in views.items()}
        return [Garments(*parts, {name: rows[name][row] for name in rows}) for row, parts in enumerate(kept)]

    def _proposals(self, scores: list[Floats], offsets: list[Floats], row: int, height: int, width: int) -> Floats:
        """(P, 4) boxes of one image that may show something, best first (Faster R-CNN's first stage)."""
        config = self.config.proposals
        padded = [-(-side // STRIDE) * STRIDE for side in (height, width)]
        boxes, chances, groups = [], [], []
        for level, (map_, offset, cells) in enumerate(zip(scores, offsets, self._cells, strict=True)):
            kinds, rows, columns = map_.shape[1:]
            flat = map_[row].transpose(1, 2, 0).ravel()  # torchvision's order: cell by cell
            top = _largest(flat, config.before)
            cell, kind = np.divmod(top, kinds)
            y, x = np.divmod(cell, columns)
            moves = offset[row].reshape(kinds, 4, rows, columns)[kind, :, y, x]
            start = geometry.anchors(cells, y, x, kind, (padded[0] // rows, padded[1] // columns))
            boxes.append(geometry.decoded(moves, start))
            chances.append(flat[top])
            groups.append(np.full(len(top), level))
        every = geometry.clipped(np.concatenate(boxes), height, width)
        large = (every[:, 2:] - every[:, :2] >= MIN_PROPOSAL).all(axis=1)
        every, chance, group = every[large], np.concatenate(chances)[large], np.concatenate(groups)[large]
        with np.errstate(over="ignore"):
            chance = 1 / (1 + np.exp(-chance))
        return every[geometry.suppressed(every, chance, group, config.suppress_iou, config.kept)]

    def _on_boxes(self, graph: str, arrays: Sequence[NDArray[Any]], found: Sequence[Floats]) -> list[Floats]:
        """Run a graph that takes boxes by level; its answers in the order of the boxes."""
        every = np.concatenate(found)
        image = np.repeat(np.arange(len(found)), [len(boxes) for boxes in found])
        rows = np.concatenate([image[:, None], every], axis=1).astype(np.float32)
        level = geometry.levels(every, self.config.levels[0], self.config.levels[-1])
        order = np.argsort(level, kind="stable")
        tables = [rows[level == one] for one in self.config.levels]
        # A graph wants at least one box a level; what it says of these is dropped.
        spare = [np.zeros((int(not len(table)), 5), np.float32) + _SOMEWHERE for table in tables]
        real = np.concatenate([np.arange(len(t) + len(s)) < len(t) for t, s in zip(tables, spare, strict=True)])
        given = [np.concatenate(pair) for pair in zip(tables, spare, strict=True)]
        answers = self._graphs[graph](*arrays, *given)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return [answer[real][back] for answer in answers]

    def _survivors(
        self, proposals: Floats, chances: Floats, deltas: Floats, height: int, width: int, score_threshold: float
    ) -> tuple[Floats, Ints, Floats]:
        config = self.config.boxes
        row, label = np.nonzero(chances > score_threshold)
        score = chances[row, label]
        column = label if deltas.shape[1] > 1 else np.zeros_like(label)
        boxes = geometry.clipped(geometry.decoded(deltas[row, column], proposals[row], BOX_WEIGHTS), height, width)
        large = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(axis=1)
        boxes, label, score = boxes[large], label[large], score[large]
        kept = geometry.suppressed(boxes, score, label, config.suppress_iou, len(boxes))
        if config.suppress_classes_iou is not None:
            everyone = np.zeros(len(kept), np.int64)
            first = kept[
                geometry.suppressed(boxes[kept], score[kept], everyone, config.suppress_classes_iou, len(kept))
            ]
            second = np.setdiff1d(kept, first)
            score[second] *= np.float32(config.score_threshold)
            kept = np.concatenate([first, second[score[second] > score_threshold]])
            kept = kept[np.argsort(-score[kept], kind="stable")]
        kept = kept[: config.detections]
        return boxes[kept], label[kept], score[kept]


_VIEWS = ("viewpoint", "occlusion", "crop", "instance")
_SOMEWHERE = np.array([0, 0, 0, 8, 8], np.float32)


def openvino_runtime(
    config: DetectorConfig,
    identity: Mapping[str, object],
    build: Callable[[], DetectorNetwork],
    lanes: int | None = None,
    int8: Mapping[str, Path] | None = None,
) -> GraphRuntime:
    """The runtime of a network, from graphs that were kept or are made now.

    Args:
        config: of the network.
        identity: what its weights follow from.
        build: makes the network, where no graphs are kept.
        int8: graphs by name that are taken instead of those in float32.
    """
    paths = dict(int8 or {})
    if set(paths) != set(GRAPHS):
        paths = graphs.of_network("dprnet.detect", GRAPHS, config, identity, lambda: _parts(build())) | paths
    return compiled(paths, config, lanes, name="int8" if int8 else "openvino")


def compiled(
    paths: Mapping[str, Path], config: DetectorConfig, lanes: int | None = None, name: str = "openvino"
) -> GraphRuntime:
    """The runtime of OpenVINO graphs in files, in as many lanes as there are cores unless said otherwise."""
    lanes = lanes or graphs.lanes()
    return GraphRuntime({name: graphs.Graph(paths[name], lanes) for name in GRAPHS}, config, graphs.calls(lanes), name)


def _parts(network: DetectorNetwork) -> Mapping[str, graphs.Part]:
    from dprnet.detect.graphs import parts  # with it comes torch

    return parts(network)


def _largest(values: Floats, count: int) -> Ints:
    """Places of the largest values, largest first."""
    if len(values) <= count:
        return np.argsort(-values, kind="stable")
    top = np.argpartition(-values, count - 1)[:count]
    return top[np.argsort(-values[top], kind="stable")]


def _finite(name: str, values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        raise FloatingPointError(f"the detector's {name} output holds NaN or infinity")
