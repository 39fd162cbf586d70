"""The floor every trained embedder must beat in the same run: a colour histogram beside frozen ImageNet features."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from dprnet.core.errors import MissingFile
from dprnet.core.images import letterbox, shrink
from dprnet.core.records import FloatArray, Image
from dprnet.embed.backbone import load_imagenet, pad_as_tensorflow
from dprnet.embed.embedder import as_batch
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork

WEIGHTS = "$DPRNET_DATA/weights/mobilenet_v2_imagenet.safetensors"
IMAGE_SIZE = 224  # what the weights were trained at
BINS = 8  # ours, a channel
WHITE = 245  # ours: a pixel whose channels all reach it is the ground of a shop photo, and is not counted
BATCH = 32


class Floor:
    """Images -> (N, 512 + 1280) vectors of length 1; colours and ImageNet features weigh the same.

    Args:
        weights: the ImageNet MobileNetV2 (see data/README.md of the real data).

    Raises:
        MissingFile: no weights there.
    """

    def __init__(self, weights: str | Path = WEIGHTS) -> None:
        path = Path(os.path.expandvars(str(weights)))
        if not path.is_file():
            raise MissingFile(path, "no ImageNet weights here; set DPRNET_DATA to the folder of real data")
        network = EmbedderNetwork(EmbedderConfig(size=0, image_size=IMAGE_SIZE, batch_norm="folded"))
        load_imagenet(network.backbone, load_file(path), batch_norm="folded")
        pad_as_tensorflow(network)
        self.network = network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def __call__(self, images: Iterable[Image]) -> FloatArray:
        """Images (uint8 RGB (H, W, 3)) -> (N, 1792); (0, 1792) for none."""
        parts = []
        source = iter(images)
        while taken := list(itertools.islice(source, BATCH)):
            ready = np.stack([letterbox(image, IMAGE_SIZE) for image in taken])
            with torch.inference_mode():
                seen = self.network(as_batch(ready)).numpy()
            colours = np.stack([colour_histogram(image) for image in taken])
            parts.append(np.concatenate([colours, seen], axis=1) / np.float32(np.sqrt(2)))
        return np.concatenate(parts) if parts else np.zeros((0, BINS**3 + self.network.size), np.float32)


def describe(images: Iterable[Image], weights: str | Path = WEIGHTS) -> FloatArray:
    """The floor's vectors of some images, (N, 1792)."""
    return Floor(weights)(images)


def colour_histogram(image: Image) -> FloatArray:
    """(H, W, 3) -> (512,) square roots of the shares of 8 x 8 x 8 colours, of length 1; white ground is not counted.

    >>> red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    >>> int(colour_histogram(red).argmax()), float(colour_histogram(red).max())
    (448, 1.0)
    """
    pixels = shrink(image, IMAGE_SIZE).reshape(-1, 3)
    coloured = pixels[(pixels < WHITE).any(axis=1)]
    bins = (coloured if len(coloured) else pixels).astype(np.int64) // (256 // BINS)
    counts = np.bincount(bins @ np.array([BINS * BINS, BINS, 1]), minlength=BINS**3)
    shares: FloatArray = np.sqrt(counts / counts.sum()).astype(np.float32)
    return shares
