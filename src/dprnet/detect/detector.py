"""The trained detector as a stage of the flow: frames in, one record of detections a frame out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from dprnet.core import int8
from dprnet.core.bundle import Bundle
from dprnet.core.classes import COARSE_CLASSES, IGNORE, class_index, coarse_class
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadBundle
from dprnet.core.graphs import Runtime as RuntimeName
from dprnet.core.graphs import chosen
from dprnet.core.images import resize_bilinear
from dprnet.core.lanes import Idle, in_order
from dprnet.core.records import Detections, Frame, Image
from dprnet.detect.config import DetectorConfig, fitted_size
from dprnet.detect.graph_runtime import GRAPHS, GraphRuntime, openvino_runtime
from dprnet.detect.runtime import Garments, Runtime, TorchRuntime

if TYPE_CHECKING:
    import torch

    from dprnet.detect.model import DetectorNetwork

TRAINING_ONLY = "boxes.heads.instance.fc3."  # the classifier of training instances; no bundle holds it


class Detector:
    """Finds the garments of frames.

    Args:
        network: in any mode; it is put into evaluation mode on ``device``. Or a runtime, which brings its own.
        device: ``cpu``, ``cuda``, ``cuda:1`` ...
        batch: frames that are looked at together; by default as many as pay on what runs the network.
        where: the bundle's folder, for messages.
    """

    def __init__(
        self,
        network: DetectorNetwork | TorchRuntime | GraphRuntime,
        device: str = "cpu",
        *,
        batch: int | None = None,
        where: Path | str = "detector",
    ) -> None:
        if not isinstance(network, (TorchRuntime, GraphRuntime)):
            network = TorchRuntime(network, device)
        self.runtime: Runtime = network
        self.config = network.config
        self.device = device
        self.batch = batch or self.runtime.batch
        self.where = where
        self._coarse = _coarse_labels(self.config.classes)

    @classmethod
    def from_bundle(
        cls, bundle: Bundle, device: str = "cpu", *, batch: int | None = None, runtime: RuntimeName | str = "auto"
    ) -> Self:
        """The detector of a bundle.

        Args:
            runtime: ``torch``, ``openvino``, ``int8``, or ``auto``: OpenVINO on a CPU where it is installed, with the
                bundle's int8 graphs where they lose next to nothing.

        Raises:
            BadBundle: no detector in it, or weights that do not fit its settings.
            BadRecipe: settings that this version does not know, or an unknown runtime.
            MissingExtra: OpenVINO was asked for and is not there.
        """
        settings = bundle.settings("detector")
        if not settings:
            raise BadBundle(bundle.folder, "holds no detector; train one with `dprnet train detector`")
        config = parse_settings(settings, DetectorConfig, f"{bundle.folder}: detector settings")

        def build() -> DetectorNetwork:
            from dprnet.detect.model import DetectorNetwork

            network = DetectorNetwork(config)
            load_weights(network, bundle.weights("detector"), bundle.folder)
            return network

        if chosen(runtime, device) != "torch":
            identity = {"weights": bundle.check_weights("detector")}
            ready = int8.ready(bundle, "detector", GRAPHS, runtime)
            return cls(openvino_runtime(config, identity, build, int8=ready), device, batch=batch, where=bundle.folder)
        return cls(build(), device, batch=batch, where=bundle.folder)

    @property
    def network(self) -> DetectorNetwork:
        """The network itself, where torch runs it.

        Raises:
            AttributeError: another runtime does.
        """
        if not isinstance(self.runtime, TorchRuntime):
            raise AttributeError(f"the detector is run by {self.runtime.name}; take runtime='torch' for its network")
        return self.runtime.network

    @property
    def short_side(self) -> int:
        """Pixels of the short side at which frames are looked at; a decoder need not give more."""
        return self.config.short_side

    @property
    def long_side(self) -> int:
        """Pixels of the long side at most: frames of 16:9 have it before their short side is reached."""
        return self.config.long_side

    def __call__(
        self, frames: Iterable[Frame], score_threshold: float | None = None, *, idle: Idle | None = None
    ) -> Iterator[Detections]:
        """Detections of each frame, in the order of the frames; boxes in pixels of the upright video.

        Args:
            frames: of any sizes; neighbours of one size are looked at together.
            score_threshold: instead of the bundle's.
            idle: counts the seconds spent waiting for frames.

        Raises:
            BadBundle: the network gave NaN or infinity.
        """
        threshold = self.config.boxes.score_threshold if score_threshold is None else score_threshold
        groups = _groups(frames, self.batch)
        for found in in_order(lambda group: self._look(group, threshold), groups, self.runtime.lanes, idle=idle):
            yield from found

    def _look(self, group: list[Frame], threshold: float) -> list[Detections]:
        images = [self.image(frame) for frame in group]
        try:
            found = self.runtime(images, threshold)
        except FloatingPointError as error:
            raise BadBundle(self.where, f"{error} at frame {group[0].index}; the weights are damaged") from None
        return [self.record(*one) for one in zip(group, images, found, strict=True)]

    def image(self, frame: Frame) -> Image:
        """A frame as the network looks at it."""
        height, width, _ = frame.image.shape
        height, width = fitted_size(height, width, self.config.short_side, self.config.long_side)
        return resize_bilinear(frame.image, width, height)

    def record(self, frame: Frame, image: Image, found: Garments) -> Detections:
        """What was found in ``image``, the frame as the network looked at it, as the frame's detections."""
        height, width = frame.image.shape[:2]
        scale = np.array([width / image.shape[1], height / image.shape[0]] * 2) / frame.scale
        count = len(found.boxes)
        everything = Detections(
            boxes_xyxy=(found.boxes * scale).astype(np.float32),
            labels=self._coarse[found.labels],
            scores=found.scores,
            viewpoint=found.answers["viewpoint"],
            occlusion=found.answers["occlusion"],
            crop=found.answers["crop"],
            embeddings=found.answers["instance"],
            frame_index=np.full(count, frame.index, np.int64),
            time_s=np.full(count, frame.time_s, np.float32),
            source=np.full(count, frame.source, np.int64),
        )
        return everything[everything.labels >= 0]


def start_from(network: DetectorNetwork, bundle: Bundle) -> None:
    """Begin training with the weights of a bundle's detector; only the classifier of training instances is new.

    Raises:
        BadBundle: no detector in it, or one of other settings.
    """
    if not bundle.settings("detector"):
        raise BadBundle(bundle.folder, "holds no detector to start from")
    own = {name: value for name, value in network.state_dict().items() if name.startswith(TRAINING_ONLY)}
    load_weights(network, bundle.weights("detector") | {name: v.numpy() for name, v in own.items()}, bundle.folder)


def load_weights(network: DetectorNetwork, weights: Mapping[str, NDArray[Any]], where: Path | str) -> None:
    """Put stored arrays (float16 or float32) into a network.

    Raises:
        BadBundle: naming the first that is missing, unknown, of another shape, or holds NaN or infinity (which
            not every runtime carries through to its answers).
    """
    import torch

    own = network.state_dict()
    for name in sorted(set(own) ^ set(weights)):
        raise BadBundle(where, f"detector weights and settings disagree: '{name}' is in only one of them")
    for name, value in own.items():
        if tuple(value.shape) != weights[name].shape:
            raise BadBundle(
                where, f"detector weights: '{name}' has shape {weights[name].shape}, wanted {tuple(value.shape)}"
            )
        if not np.isfinite(weights[name]).all():
            raise BadBundle(where, f"detector weights: '{name}' holds NaN or infinity; fetch or train the bundle again")
    network.load_state_dict({name: torch.from_numpy(np.array(weights[name], np.float32)) for name in own})


def export_parts(
    config: DetectorConfig, state: Mapping[str, torch.Tensor]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Settings and weights of a detector as a bundle stores them: without the classifier of training instances."""
    settings = config.model_copy(update={"instances": 0}).model_dump(mode="json")
    weights = {name: value.float().cpu().numpy() for name, value in state.items() if not name.startswith(TRAINING_ONLY)}
    return settings, weights


def _groups(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Neighbouring frames of one shape, at most ``size`` together."""
    group: list[Frame] = []
    for frame in frames:
        if group and frame.image.shape != group[0].image.shape:
            yield group
            group = []
        group.append(frame)
        if len(group) == size:  # at once: the next frame of a live source may be long in coming
            yield group
            group = []
    if group:
        yield group


def _coarse_labels(classes: tuple[str, ...]) -> NDArray[np.int64]:
    """(C,) coarse class of each of the detector's classes; -1 for one that is no garment of ours."""
    if classes == COARSE_CLASSES:
        return np.arange(len(classes), dtype=np.int64)
    names = [name if name in COARSE_CLASSES else coarse_class("deepfashion2", name) for name in classes]
    return np.array([-1 if name in (None, IGNORE) else class_index(str(name)) for name in names], np.int64)
