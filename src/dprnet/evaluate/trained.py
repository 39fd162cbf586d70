"""The two methods that learn, several seeds each, kept under all that they were trained from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dprnet.core.errors import BadDataset
from dprnet.core.progress import Progress, Silent
from dprnet.evaluate.asymnet import AsymNet, AsymNetConfig, asymnet_method, train_asymnet
from dprnet.evaluate.baselines import Method
from dprnet.evaluate.kept import keyed_folder
from dprnet.evaluate.seam import Seam, SeamConfig, seam_method, train_seam
from dprnet.evaluate.tracklets import Tracklet

N = TypeVar("N", bound=nn.Module)


def trained_methods(
    tracklets: Sequence[Tracklet],
    *,
    key: Mapping[str, Any],
    seeds: int,
    epochs: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, list[Method]]:
    """SEAM and AsymNet by name, one method a seed.

    Args:
        tracklets: of the training sets.
        key: names what the tracklets were made of (sets, bundle, interval); part of the key of the kept weights.
        seeds: how many times each is trained.
        epochs: of each training.
        cache: folder of kept weights, or None.
        progress: shows the trainings done.

    Raises:
        BadDataset: fewer than two tracklets.
    """
    if len(tracklets) < 2:
        raise BadDataset("training sets", f"hold {len(tracklets)} garments with an item that we found; two are needed")
    size = tracklets[0].vectors.shape[1]
    seam, asymnet = SeamConfig(epochs=epochs), AsymNetConfig(epochs=epochs)
    methods: dict[str, list[Method]] = {"SEAM": [], "AsymNet": []}
    for seed in (progress or Silent()).track(range(seeds), "training SEAM and AsymNet", seeds):
        place = _place(cache, "seam", key, seam.model_dump(), seed)
        made = _kept(place, Seam(size, seam), partial(train_seam, tracklets, seam, seed))
        methods["SEAM"].append(seam_method(made))
        place = _place(cache, "asymnet", key, asymnet.model_dump(), seed)
        mixed = _kept(place, AsymNet(size, asymnet), partial(train_asymnet, tracklets, asymnet, seed))
        methods["AsymNet"].append(asymnet_method(mixed))
    return methods


def _place(cache: Path | None, kind: str, key: Mapping[str, Any], config: Mapping[str, Any], seed: int) -> Path | None:
    if cache is None:
        return None
    return keyed_folder(cache, kind, {**key, "config": config, "seed": seed}) / "weights.safetensors"


def _kept(path: Path | None, empty: N, train: Callable[[], N]) -> N:
    """The network of kept weights, or a newly trained one, which is kept."""
    if path is not None and path.is_file():
        try:
            empty.load_state_dict(load_file(path))
        except (OSError, RuntimeError, ValueError, SafetensorError):
            path.unlink()
        else:
            return empty.eval()
    made = train()
    if path is not None:
        unfinished = path.with_suffix(".partial")
        save_file({name: value.contiguous() for name, value in made.state_dict().items()}, unfinished)
        unfinished.replace(path)
    return made
