"""A clip that never leaves its device: torchcodec decodes it there (NVDEC on CUDA), and pixels go nowhere else.

An option of ``dprnet benchmark``, for trusted files: what `dprnet search` opens is decoded in a process of its own.

Shape legend
    F  frames    H, W  their size    S  side of a prepared crop    D  numbers of an embedding
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.errors import MissingExtra
from dprnet.core.records import Detections, FloatArray, Frame
from dprnet.decode import Every
from dprnet.decode.sampling import Wanted
from dprnet.detect import Detector
from dprnet.detect.config import fitted_size
from dprnet.detect.runtime import TorchRuntime as DetectorRuntime
from dprnet.detect.runtime import garments
from dprnet.embed.config import EmbedderConfig
from dprnet.embed.runtime import TorchRuntime as EmbedderRuntime
from dprnet.pick import PickConfig, pick

if TYPE_CHECKING:
    import torch

HOW = "not here; get it with: pip install torchcodec (0.10 or newer) and the system's FFmpeg libraries"


class OnDevice:
    """Decode, detect, pick and embed with frames and crops on one device.

    Raises:
        MissingExtra: torchcodec cannot be loaded.
    """

    def __init__(
        self, bundle: Bundle, detector: Detector, embedder: EmbedderRuntime, device: str, batch: int = 32
    ) -> None:
        if importlib.util.find_spec("torchcodec") is None:
            raise MissingExtra("torchcodec", HOW)
        try:
            import torchcodec.decoders  # noqa: F401
        except (ImportError, OSError, RuntimeError):
            raise MissingExtra("torchcodec", f"{HOW} (it is installed, and cannot be loaded)") from None
        assert isinstance(detector.runtime, DetectorRuntime), "frames on a device are for torch"
        self._detector, self._runtime, self._embedder = detector, detector.runtime, embedder
        self._picking = parse_settings(dict(bundle.settings("picking")), PickConfig, f"{bundle.name}.picking")
        self._device, self._batch = device, batch

    def wanted(self, path: Path, every: str) -> list[int]:
        """Indices of the wanted frames of a clip of constant rate."""
        metadata = self._decoder(path).metadata
        targets = Wanted(Every.parse(every)).targets()
        rate = float(metadata.average_fps)
        return [index for index in range(metadata.num_frames) if targets.take(index, index / rate)]

    def decode(self, path: Path, every: str) -> int:
        """Decode the wanted frames; how many."""
        decoder = self._decoder(path)
        return sum(len(decoder.get_frames_at(part).data) for part in self._parts(self.wanted(path, every)))

    def search(self, path: Path, every: str) -> FloatArray:
        """The embeddings of the picks of a clip: (garments, D)."""
        decoder, threshold = self._decoder(path), self._runtime.config.boxes.score_threshold
        found: list[Detections] = []
        for part in self._parts(self.wanted(path, every)):
            taken = decoder.get_frames_at(part)
            height, width = taken.data.shape[2:]
            config = self._runtime.config
            small = _resized(taken.data, *fitted_size(height, width, config.short_side, config.long_side))
            looks = self._runtime.found(list(small), threshold)
            found += [
                self._detector.record(
                    _stand_in(taken.data, index, time_s), _stand_in(small, 0, 0.0).image, garments(one)
                )
                for index, time_s, one in zip(part, taken.pts_seconds.tolist(), looks, strict=True)
            ]
        picks = pick(Detections.concatenate(found), self._picking)
        rows = picks.best[picks.picked]
        if not len(rows):
            return np.zeros((0, self._embedder.size), np.float32)
        crops = self._crops(decoder, picks.detections[rows])
        parts = [
            self._embedder.vectors(crops[first : first + self._batch]) for first in range(0, len(crops), self._batch)
        ]
        vectors: FloatArray = np.concatenate([part.cpu().numpy() for part in parts])
        return vectors

    def _crops(self, decoder: Any, best: Detections) -> torch.Tensor:
        """(garments, S, S, 3) uint8 on the device."""
        import torch

        indices = sorted({int(index) for index in best.frame_index})
        place = {index: number for number, index in enumerate(indices)}
        frames = decoder.get_frames_at(indices).data
        made = []
        for index, box in zip(best.frame_index.tolist(), best.boxes_xyxy, strict=True):
            height, width = frames.shape[2:]
            left, top = (int(max(0, np.floor(value))) for value in box[:2])
            right, bottom = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
            made.append(_prepared(frames[place[index], :, top:bottom, left:right], self._embedder.config))
        return torch.stack(made)

    def _decoder(self, path: Path) -> Any:
        from torchcodec.decoders import VideoDecoder

        return VideoDecoder(str(path), device=self._device, seek_mode="exact")

    def _parts(self, indices: Sequence[int]) -> list[list[int]]:
        return [list(indices[first : first + self._batch]) for first in range(0, len(indices), self._batch)]


def _resized(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    from torchvision.transforms.v2 import functional

    found: torch.Tensor = functional.resize(images, [height, width], antialias=True)
    return found


def _prepared(crop: torch.Tensor, config: EmbedderConfig) -> torch.Tensor:
    """(3, h, w) -> (S, S, 3), as :func:`dprnet.embed.config.prepare`; bilinear where that is bicubic."""
    size = config.image_size
    height, width = crop.shape[1:]
    factor = size / max(height, width)
    inner = (max(1, round(height * factor)), max(1, round(width * factor)))
    inner = inner if config.fit == "letterbox" else (size, size)
    square = crop.new_full((3, size, size), config.fill)
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    square[:, top : top + inner[0], left : left + inner[1]] = _resized(crop, *inner)
    return square.permute(1, 2, 0)


def _stand_in(frames: torch.Tensor, index: int, time_s: float) -> Frame:
    """A frame of the right size without its pixels, which stay where they are."""
    return Frame(np.broadcast_to(np.uint8(0), (*frames.shape[2:], 3)), index, time_s)
