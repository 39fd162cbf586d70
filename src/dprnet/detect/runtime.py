"""What runs the detector's network: torch, the reference, or OpenVINO, on a CPU.

Both take images as they are decoded and answer the same :class:`Garments`; a test compares them on real frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dprnet.core import graphs
from dprnet.core.records import Image
from dprnet.core.transfer import lanes_of, own_stream, sent
from dprnet.detect.boxes import Floats, Ints
from dprnet.detect.config import DetectorConfig

if TYPE_CHECKING:
    import torch

    from dprnet.detect.boxhead import Found
    from dprnet.detect.model import DetectorNetwork

# Shape legend:  N garments of an image


@dataclass(frozen=True, slots=True, eq=False)
class Garments:
    """The garments of one image, best first."""

    boxes: Floats
    """(N, 4) xyxy pixels of the image that went in."""
    labels: Ints
    """(N,) class."""
    scores: Floats
    """(N,) probability of the class."""
    answers: Mapping[str, Floats]
    """(N, ...) viewpoint, occlusion, crop (probabilities), instance (embedding)."""


class Runtime(Protocol):
    """A detector's network that can be asked."""

    name: str
    """torch, openvino or int8."""
    lanes: int
    """Calls that may run at once, each in a thread of its own."""
    batch: int
    """Images that pay in one call."""
    config: DetectorConfig

    def __call__(self, images: Sequence[Image], score_threshold: float) -> list[Garments]:
        """The garments of each image (H, W, 3) uint8, all of one size.

        Raises:
            FloatingPointError: NaN or infinity where numbers should be (damaged weights).
        """
        ...


class TorchRuntime:
    """The reference; on any device.

    Args:
        network: in any mode; it is put into evaluation mode on ``device``.
        device: ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``bf16`` lets torch multiply in bfloat16 where it deems that safe, with channels last in memory.
    """

    name = "torch"
    batch = 4  # ours

    def __init__(self, network: DetectorNetwork, device: str = "cpu", precision: graphs.Precision = "float32") -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.config = network.config
        self.device = device
        self.lanes = lanes_of(device)
        self.precision = precision
        if precision == "bf16":
            import torch

            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, images: Sequence[Image], score_threshold: float) -> list[Garments]:
        """See :class:`Runtime`."""
        with own_stream(self.device):
            tensors = [sent(image, self.device).permute(2, 0, 1) for image in images]
            return [garments(found) for found in self.found(tensors, score_threshold)]

    def found(self, images: Sequence[torch.Tensor], score_threshold: float) -> list[Found]:
        """The garments of images (3, H, W) uint8 that may already be on the device; all stays there."""
        import torch

        device = self.network.backbone.mean.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.network.detections(images, score_threshold)


def garments(found: Found) -> Garments:
    """What the network found in an image, off the device."""
    return Garments(
        found.boxes.float().cpu().numpy(),
        found.labels.cpu().numpy(),
        found.scores.float().cpu().numpy(),
        {name: values.float().cpu().numpy() for name, values in found.answers.items()},
    )
