"""What a detector in training finds on a few fixed images, drawn for TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.errors import DprnetError
from dprnet.core.images import shrink
from dprnet.core.records import Detections, Frame, Image
from dprnet.data.labelled import LabelledImage
from dprnet.detect.detector import TRAINING_ONLY, Detector
from dprnet.detect.model import DetectorConfig, DetectorNetwork

logger = logging.getLogger(__name__)

WATCHED = 6  # ours: images, evenly spaced in the order of the sources
SHOWN = 0.3  # ours: score from which a detection is drawn
SIDE = 480  # ours: pixels of the longer side of a picture
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080")  # of the coarse classes


class Watch:
    """What the averaged network finds on a few fixed images: boxes, classes and the three scores, drawn.

    Args:
        config: of the network in training.
        images: of all sources; a few are taken.
        average: holds the weights (``state``) as they are when asked.
    """

    def __init__(self, config: DetectorConfig, images: Sequence[LabelledImage], average: Any) -> None:
        places = np.unique(np.linspace(0, len(images) - 1, min(WATCHED, len(images))).round().astype(int))
        self.images = [images[int(place)] for place in places]
        self.config = config.model_copy(update={"instances": 0})
        self.average = average
        self._network: DetectorNetwork | None = None

    def __call__(self) -> dict[str, Image]:
        """The pictures by name; empty, with a warning, where the weights give no numbers or an image is gone."""
        state = {k: v for k, v in self.average.state.items() if not k.startswith(TRAINING_ONLY)}
        device = next(iter(state.values())).device
        if self._network is None:
            with torch.random.fork_rng(devices=[]):  # training draws what it would have drawn
                self._network = DetectorNetwork(self.config)
        self._network.load_state_dict(state)
        detector = Detector(self._network, str(device))
        try:
            frames = [Frame(image.load(), index=number, time_s=0.0) for number, image in enumerate(self.images)]
            found = list(detector(frames, score_threshold=SHOWN))
        except DprnetError as error:
            logger.warning("no pictures for TensorBoard: %s", error)
            return {}
        return {
            f"detections/{number} {image.source}": drawn(frame.image, seen)
            for number, (image, frame, seen) in enumerate(zip(self.images, frames, found, strict=True))
        }


def drawn(image: Image, detections: Detections) -> Image:
    """The image, at most 480 px, with each detection's box, class, score and quality (viewpoint, occlusion, crop)."""
    small = shrink(image, SIDE)
    scale = small.shape[1] / image.shape[1]
    picture = Pil.fromarray(small)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for box, label, score, quality in zip(
        detections.boxes_xyxy, detections.labels, detections.scores, detections.quality, strict=True
    ):
        colour = COLOURS[int(label)]
        x1, y1, x2, y2 = (float(value) * scale for value in box)
        pen.rectangle((x1, y1, max(x2, x1), max(y2, y1)), outline=colour, width=2)
        scores = " ".join(f"{name[0]}{value:.2f}" for name, value in zip(QUALITIES, quality, strict=True))
        text = f"{COARSE_CLASSES[int(label)]} {score:.2f}\n{scores}"
        area = pen.multiline_textbbox((x1 + 3, y1 + 2), text, font=font)
        pen.rectangle((area[0] - 2, area[1] - 1, area[2] + 2, area[3] + 1), fill=colour)
        pen.multiline_text((x1 + 3, y1 + 2), text, font=font, fill="white")
    return np.asarray(picture, np.uint8)
