"""What runs the embedder's network: torch, the reference, or OpenVINO, on a CPU. Both answer the same vectors.

Shape legend
    B  images    S  their side in pixels    D  numbers of an embedding
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dprnet.core import graphs
from dprnet.core.records import FloatArray
from dprnet.core.transfer import lanes_of, own_stream, sent
from dprnet.embed.config import EmbedderConfig

if TYPE_CHECKING:
    import torch

    from dprnet.embed.model import EmbedderNetwork

GRAPH = "embedder"


class Runtime(Protocol):
    """An embedder's network that can be asked."""

    name: str
    """torch, openvino or int8."""
    lanes: int
    """Calls that may run at once, each in a thread of its own."""
    config: EmbedderConfig
    size: int
    """D."""

    def __call__(self, images: NDArray[np.uint8]) -> FloatArray:
        """Prepared images (B, S, S, 3) -> (B, D), each row of length 1."""
        ...


class TorchRuntime:
    """The reference; on any device.

    Args:
        network: in any mode; it is put into evaluation mode on ``device``.
        device: ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``bf16`` lets torch multiply in bfloat16 where it deems that safe.
    """

    name = "torch"

    def __init__(
        self, network: EmbedderNetwork, device: torch.device | str = "cpu", precision: graphs.Precision = "float32"
    ) -> None:
        import torch

        self.config = network.config
        self.size = network.size
        self.device = torch.device(device)
        self.lanes = lanes_of(self.device)
        moved = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: EmbedderNetwork = moved.eval()
        self.precision = precision

    def __call__(self, images: NDArray[np.uint8]) -> FloatArray:
        """See :class:`Runtime`."""
        with own_stream(self.device):
            vectors: FloatArray = self.vectors(sent(images, self.device)).cpu().numpy()
        return vectors

    def vectors(self, images: torch.Tensor) -> torch.Tensor:
        """Prepared images (B, S, S, 3) uint8 on any device -> (B, D) float32 on this one's."""
        import torch

        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            found: torch.Tensor = self.network(images.to(self.device).permute(0, 3, 1, 2).float())
        return found.float()


class GraphRuntime:
    """The whole network as one compiled graph. Needs no torch.

    Args:
        run: the graph.
        config: of the network it was made from.
        lanes: calls at once.
        name: of what runs the graph.
    """

    def __init__(self, run: graphs.Run, config: EmbedderConfig, lanes: int = 1, name: str = "openvino") -> None:
        self.config = config
        self.lanes = lanes
        self.name = name
        self._run = run
        blank = np.zeros((1, config.image_size, config.image_size, 3), np.uint8)
        self.size = int(run(blank)[0].shape[1])

    def __call__(self, images: NDArray[np.uint8]) -> FloatArray:
        """See :class:`Runtime`."""
        vectors: FloatArray = self._run(images)[0].copy()
        return vectors


def openvino_runtime(
    config: EmbedderConfig,
    identity: Mapping[str, object],
    build: Callable[[], EmbedderNetwork],
    lanes: int | None = None,
    int8: Mapping[str, Path] | None = None,
) -> GraphRuntime:
    """The runtime of a network, from the graph that was kept or is made now.

    Args:
        config: of the network.
        identity: what its weights follow from.
        build: makes the network, where no graph is kept.
        int8: graphs by name that are taken instead of those in float32.
    """
    paths = int8 or graphs.of_network("dprnet.embed", [GRAPH], config, identity, lambda: _parts(build()))
    return compiled(paths[GRAPH], config, lanes, name="int8" if int8 else "openvino")


def compiled(path: Path, config: EmbedderConfig, lanes: int | None = None, name: str = "openvino") -> GraphRuntime:
    """The runtime of an OpenVINO graph in a file, in as many lanes as there are cores unless said otherwise."""
    lanes = lanes or graphs.lanes()
    return GraphRuntime(graphs.Graph(path, lanes), config, graphs.calls(lanes), name)


def _parts(network: EmbedderNetwork) -> Mapping[str, graphs.Part]:
    from dprnet.embed.graphs import parts  # with it comes torch

    return parts(network)


def as_batch(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> torch.Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float32 in [0, 255], channels last in memory (twice as fast on a CPU)."""
    import torch

    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
