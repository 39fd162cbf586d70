"""The detections of a video while it runs, in as little memory as they may take.

Two hours give some hundred thousand detections, and nearly all of their bytes are instance embeddings. Picking asks
only for their directions (Eq. 4), which float16 keeps to within 1e-4 of a cosine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dprnet.core.records import Detections, FloatArray

FRAMES = 256  # joined at once: a record of one frame costs more than what is in it


class Gathering:
    """Detections of one frame after another; :meth:`whole` gives them as one record, and can be asked once."""

    def __init__(self) -> None:
        self._blocks: list[Detections] = []
        self._frames: list[Detections] = []
        self._size = 0

    def add(self, found: Detections) -> None:
        """Keep the detections of a frame; their embeddings become directions (length 1) in float16."""
        self._size = found.embeddings.shape[1]
        if len(found):
            self._frames.append(replace(found, embeddings=_directions(found.embeddings)))
        if len(self._frames) == FRAMES:
            self._join()

    def whole(self) -> Detections:
        """All of them, in the order in which they came."""
        self._join()
        blocks, self._blocks = self._blocks, []
        embeddings = [block.embeddings for block in blocks]
        rest = Detections.concatenate([replace(one, embeddings=np.zeros((len(one), 0), np.float16)) for one in blocks])
        blocks.clear()
        joined: Any = np.empty((len(rest), self._size), np.float16)
        end = len(rest)
        while embeddings:  # each block goes as soon as it is copied
            block = embeddings.pop()
            joined[end - len(block) : end] = block
            end -= len(block)
        return replace(rest, embeddings=joined)

    def _join(self) -> None:
        if self._frames:
            self._blocks.append(Detections.concatenate(self._frames))
            self._frames = []


def _directions(embeddings: FloatArray) -> Any:
    """Rows of length 1 in float16; a row without a direction stays as it is, for picking to refuse."""
    length = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    good = np.isfinite(length) & (length > 0)
    return np.where(good, embeddings / np.where(good, length, 1), embeddings).astype(np.float16)
