"""Vectors of views, each embedded once whatever asks for it: picks, all views of a cluster, whole frames.

A view is a frame and a box; its vector is kept under set, embedder, frame and box, so that every method of a
comparison looks at the same numbers, and a second run embeds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from dprnet.core.images import cut_out
from dprnet.core.records import FloatArray, Image, IntArray
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.kept import Arrays, keyed_folder, load_arrays, save_arrays

WHOLE_FRAME = np.array([0, 0, 1e6, 1e6], np.float32)  # cut_out clips it to the image


Describe = Callable[[Iterable[Image]], FloatArray]
"""Images (uint8 RGB (H, W, 3)) -> (N, D) vectors of length 1: an embedder, a floor, a baseline."""


class Embeds(Protocol):
    """What turns images into vectors: :class:`dprnet.embed.embedder.Embedder` and what looks like it."""

    identity: str
    size: int

    def __call__(self, images: Iterable[Image]) -> FloatArray:
        """Images -> (N, D), each row of length 1."""
        ...


def of_views(embedder: Describe) -> Describe:
    """What it says of garments in videos, where that differs from what it says of shop photos."""
    found: Describe = getattr(embedder, "views", embedder)
    return found


class ViewVectors:
    """(frame, box) -> vector for the videos of one set.

    Args:
        shopset: where the videos are.
        embedder: makes the vectors.
        cache: folder that keeps them, or None to keep them in memory only.
    """

    def __init__(self, shopset: ShopSet, embedder: Embeds, cache: Path | None = None) -> None:
        self._shopset, self._embedder = shopset, embedder
        key = {"set": shopset.id, "embedder": embedder.identity}
        self._folder = keyed_folder(cache, "views", key) if cache is not None else None
        self._known: dict[str, dict[bytes, FloatArray]] = {}

    def __call__(self, video: str, frame_index: IntArray, boxes_xyxy: FloatArray) -> FloatArray:
        """Vectors of views of one video, (N,) frames and (N, 4) boxes in upright pixels -> (N, D).

        Raises:
            BadVideo: a frame cannot be decoded.
        """
        keys = _keys(frame_index, boxes_xyxy)
        known = self._of(video)
        missing = [row for row, key in enumerate(keys) if key not in known]
        if missing:
            rows = np.array(missing, np.int64)
            crops, order = _crops(self._shopset.video_path(video), frame_index[rows], boxes_xyxy[rows])
            vectors = of_views(self._embedder)(crops())
            for row, vector in zip(rows[order], vectors, strict=True):
                known[keys[row]] = vector
            self._keep(video)
        if not keys:
            return np.zeros((0, self._embedder.size), np.float32)
        return np.stack([known[key] for key in keys])

    def whole_frames(self, video: str, frame_index: IntArray) -> FloatArray:
        """Vectors of whole frames, (N,) -> (N, D)."""
        return self(video, frame_index, np.tile(WHOLE_FRAME, (len(frame_index), 1)))

    def _of(self, video: str) -> dict[bytes, FloatArray]:
        if video not in self._known:
            kept = self._kept(video)
            self._known[video] = (
                dict(zip((key.tobytes() for key in kept["keys"]), kept["vectors"], strict=True)) if kept else {}
            )
        return self._known[video]

    def _kept(self, video: str) -> Arrays | None:
        if self._folder is None:
            return None
        return load_arrays(self._folder / f"{video}.npz", of=self._shopset.video_path(video))

    def _keep(self, video: str) -> None:
        if self._folder is None:
            return
        known = self._known[video]
        keys = np.frombuffer(b"".join(known), np.float32).reshape(-1, 5)
        arrays = {"keys": keys, "vectors": np.stack(list(known.values()))}
        save_arrays(self._folder / f"{video}.npz", arrays, of=self._shopset.video_path(video))


def _keys(frame_index: IntArray, boxes_xyxy: FloatArray) -> list[bytes]:
    # float32 holds every frame number below 16 million exactly
    table = np.concatenate([frame_index[:, None].astype(np.float32), boxes_xyxy.astype(np.float32)], axis=1)
    return [row.tobytes() for row in np.ascontiguousarray(table)]


def _crops(path: Path, frame_index: IntArray, boxes_xyxy: FloatArray) -> tuple[Callable[[], Iterator[Image]], IntArray]:
    """A stream of the crops, ascending by frame, and which row each crop belongs to."""
    from dprnet.decode import frames_at

    order = np.argsort(frame_index, kind="stable").astype(np.int64)

    def crops() -> Iterator[Image]:
        for frame in frames_at(path, frame_index.tolist()):
            for row in order[frame_index[order] == frame.index]:
                yield cut_out(frame.image, boxes_xyxy[row])

    return crops, order
