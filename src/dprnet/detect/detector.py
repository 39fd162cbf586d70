"""The trained detector as a stage of the flow: frames in, one record of detections a frame out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dprnet.core.bundle import Bundle
from dprnet.core.classes import COARSE_CLASSES, IGNORE, class_index, coarse_class
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadBundle
from dprnet.core.records import Detections, Frame
from dprnet.detect.boxhead import Found
from dprnet.detect.model import DetectorConfig, DetectorNetwork, fit

TRAINING_ONLY = "boxes.heads.instance.fc3."  # the classifier of training instances; no bundle holds it
BATCH = 4  # ours: frames a call of the network; more gains nothing on a CPU


class Detector:
    """Finds the garments of frames.

    Args:
        network: in any mode; it is put into evaluation mode on ``device``.
        device: ``cpu``, ``cuda``, ``cuda:1`` ...
        batch: frames looked at together.
        where: the bundle's folder, for messages.
    """

    def __init__(
        self, network: DetectorNetwork, device: str = "cpu", *, batch: int = BATCH, where: Path | str = "detector"
    ) -> None:
        self.config = network.config
        self.network = network.to(device).eval().requires_grad_(False)
        self.batch = batch
        self.where = where
        self._coarse = _coarse_labels(self.config.classes)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: str = "cpu", *, batch: int = BATCH) -> Self:
        """The detector of a bundle.

        Raises:
            BadBundle: no detector in it, or weights that do not fit its settings.
            BadRecipe: settings that this version does not know.
        """
        settings = bundle.settings("detector")
        if not settings:
            raise BadBundle(bundle.folder, "holds no detector; train one with `dprnet train detector`")
        config = parse_settings(settings, DetectorConfig, f"{bundle.folder}: detector settings")
        network = DetectorNetwork(config)
        load_weights(network, bundle.weights("detector"), bundle.folder)
        return cls(network, device, batch=batch, where=bundle.folder)

    @property
    def short_side(self) -> int:
        """Pixels of the short side at which frames are looked at; a decoder need not give more."""
        return self.config.short_side

    def __call__(self, frames: Iterable[Frame], score_threshold: float | None = None) -> Iterator[Detections]:
        """Detections of each frame, in the order of the frames; boxes in pixels of the upright video.

        Args:
            frames: of any sizes; neighbours of one size are looked at together.
            score_threshold: instead of the bundle's.

        Raises:
            BadBundle: the network gave NaN or infinity.
        """
        for group in _groups(frames, self.batch):
            images = [self._image(frame) for frame in group]
            try:
                found = self.network.detections(images, score_threshold)
            except FloatingPointError as error:
                raise BadBundle(self.where, f"{error} at frame {group[0].index}; the weights are damaged") from None
            for frame, image, garments in zip(group, images, found, strict=True):
                yield self._record(frame, image, garments)

    def _image(self, frame: Frame) -> torch.Tensor:
        pixels = torch.from_numpy(np.require(frame.image, requirements=["C", "W"])).permute(2, 0, 1)
        return fit(pixels, self.config.short_side, self.config.long_side)

    def _record(self, frame: Frame, image: torch.Tensor, found: Found) -> Detections:
        height, width = frame.image.shape[:2]
        scale = np.array([width / image.shape[2], height / image.shape[1]] * 2) / frame.scale
        answers = {name: values.float().cpu().numpy() for name, values in found.answers.items()}
        count = len(found.boxes)
        everything = Detections(
            boxes_xyxy=(found.boxes.cpu().numpy() * scale).astype(np.float32),
            labels=self._coarse[found.labels.cpu().numpy()],
            scores=found.scores.float().cpu().numpy(),
            viewpoint=answers["viewpoint"],
            occlusion=answers["occlusion"],
            crop=answers["crop"],
            embeddings=answers["instance"],
            frame_index=np.full(count, frame.index, np.int64),
            time_s=np.full(count, frame.time_s, np.float32),
            source=np.full(count, frame.source, np.int64),
        )
        return everything[everything.labels >= 0]


def load_weights(network: DetectorNetwork, weights: Mapping[str, NDArray[Any]], where: Path | str) -> None:
    """Put stored arrays (float16 or float32) into a network.

    Raises:
        BadBundle: naming the first that is missing, unknown or of another shape.
    """
    own = network.state_dict()
    for name in sorted(set(own) ^ set(weights)):
        raise BadBundle(where, f"detector weights and settings disagree: '{name}' is in only one of them")
    for name, value in own.items():
        if tuple(value.shape) != weights[name].shape:
            raise BadBundle(
                where, f"detector weights: '{name}' has shape {weights[name].shape}, wanted {tuple(value.shape)}"
            )
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
