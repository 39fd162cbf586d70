"""What a head that imitates the start weights is to give: their features of every photo to train on (ours).

Of the photo as it is, while the head sees it augmented: so it learns to see past the augmentation, too.

Shape legend
    N  photos    S  side of a photo in memory    K  numbers of the kept features
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from dprnet.core.bundle import MANIFEST, Bundle
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadRecipe
from dprnet.core.progress import SILENT, Progress
from dprnet.embed.beside import Kept
from dprnet.embed.embedder import as_batch, load_weights
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.train.photos import PhotoCache
from dprnet.train.retrieval import EmbedderRecipe
from dprnet.train.runs import write_atomic

FILE = "kept.safetensors"
BATCH = 32


def kept_features(recipe: EmbedderRecipe, cache: PhotoCache, folder: Path, progress: Progress = SILENT) -> Tensor:
    """Kept features (N, K) float16 of every photo, by the bundle that the recipe starts from; (N, 0) if none imitates.

    Made once in a run's folder: a run that goes on reads them.

    Raises:
        BadRecipe: the start is no bundle that keeps its start weights, or keeps other numbers of them.
    """
    config = recipe.network
    if config.kept_by == "start" or not config.kept:
        return torch.zeros(len(cache), 0, dtype=torch.float16)
    path = folder / FILE
    try:
        found = load_file(path)["kept"]
        if found.shape == (len(cache), config.kept):
            return found
    except (OSError, SafetensorError, KeyError):  # not made yet, or damaged: made again
        pass
    kept, side = _teacher(recipe)
    rows = []
    firsts = range(0, len(cache), BATCH)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
        for first in progress.track(firsts, "kept features", len(firsts)):
            images = as_batch(cache.images[first : first + BATCH])
            sized = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
            rows.append(kept(sized).to(torch.float16))
    made = torch.cat(rows)
    write_atomic(path, save({"kept": made}))
    return made


def _teacher(recipe: EmbedderRecipe) -> tuple[Kept, int]:
    """The start weights as the start's bundle keeps them, and the side of the squares they see."""
    path = Path(os.path.expandvars(recipe.start))
    if (path / MANIFEST).is_file():
        bundle = Bundle.from_pretrained(path)
        config = parse_settings(dict(bundle.settings("embedder")), EmbedderConfig, str(path))
        network = EmbedderNetwork(config)
        load_weights(network, bundle.weights("embedder"), str(path))
        if network.kept is not None and config.kept == recipe.network.kept:
            return network.kept.eval().to(memory_format=torch.channels_last), config.image_size  # type: ignore[call-overload]
    wanted = f"'trained' imitates what a bundle keeps; start = {recipe.start!r} is none that keeps"
    raise BadRecipe("network.kept_by", f"{wanted} {recipe.network.kept} numbers")
