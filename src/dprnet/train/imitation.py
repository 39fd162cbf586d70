"""What a head that imitates the start weights is to give: their features of every photo to train on (ours).

Of the photo as it is, while the head sees it augmented: so it learns to see past the augmentation, too.

Shape legend
    N  photos    K  numbers of the kept features
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dprnet.core.bundle import MANIFEST, Bundle
from dprnet.core.errors import BadRecipe
from dprnet.core.progress import SILENT, Progress
from dprnet.embed.embedder import Embedder
from dprnet.train.photos import PhotoCache
from dprnet.train.retrieval import EmbedderRecipe
from dprnet.train.runs import write_atomic

FILE = "kept.safetensors"
BATCH = 256  # photos between two signs of progress


def kept_features(
    recipe: EmbedderRecipe, cache: PhotoCache, folder: Path, *, resume: bool, progress: Progress = SILENT
) -> Tensor:
    """Kept features (N, K) float16 of every photo, by the bundle that the recipe starts from; (N, 0) if none imitates.

    Made once in a run's folder.

    Args:
        recipe: of the run.
        cache: the N photos.
        folder: of the run.
        resume: the run goes on, so it reads what it made; one that begins may find those of another start there.
        progress: shows the photos done.

    Raises:
        BadRecipe: the start is no bundle that keeps its start weights, or keeps other numbers of them.
    """
    config = recipe.network
    if config.kept_by == "start" or not config.kept:
        return torch.zeros(len(cache), 0, dtype=torch.float16)
    path = folder / FILE
    if resume:
        with contextlib.suppress(OSError, SafetensorError, KeyError):  # gone or damaged: made again
            found = load_file(path)["kept"]
            if found.shape == (len(cache), config.kept):
                return found
    teacher, numbers = _teacher(recipe)
    rows = []
    firsts = range(0, len(cache), BATCH)
    for first in progress.track(firsts, "kept features", len(firsts)):
        told = teacher(cache.images[first : first + BATCH])[:, numbers]
        rows.append(told / np.linalg.norm(told, axis=1, keepdims=True))
    made = torch.from_numpy(np.concatenate(rows).astype(np.float16))
    write_atomic(path, save({"kept": made}))
    return made


def _teacher(recipe: EmbedderRecipe) -> tuple[Embedder, slice]:
    """The embedder of the start's bundle, and which numbers of its vectors are the kept features."""
    path = Path(os.path.expandvars(recipe.start))
    if (path / MANIFEST).is_file():
        found = Embedder.from_bundle(Bundle.from_pretrained(path))
        config, count = found.config, recipe.network.kept
        if config.kept_by == "start" and config.kept == count and config.kept_share > 0:
            first = found.size - config.kept - config.shades
            return found, slice(first, first + count)
    wanted = f"'trained' imitates what a bundle keeps; start = {recipe.start!r} is none that keeps"
    raise BadRecipe("network.kept_by", f"{wanted} {recipe.network.kept} numbers")
