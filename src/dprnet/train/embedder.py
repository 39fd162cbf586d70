"""Trains the retrieval network from a recipe: P x K batches, paper 3.3, Eq. 5 to 8.

What step s trains on depends on seed and s alone, so a run that was interrupted goes on exactly as if it had not been.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import parse_settings
from dprnet.core.errors import MissingExtra, MissingFile
from dprnet.core.progress import SILENT
from dprnet.core.progress import Progress as Tracker
from dprnet.embed.embedder import as_batch, export_weights
from dprnet.embed.model import EmbedderNetwork
from dprnet.train.imitation import kept_features
from dprnet.train.photos import PhotoCache, load_photos
from dprnet.train.retrieval import EmbedderRecipe, RetrievalTraining, make_sampler, start_network
from dprnet.train.runs import RECIPE, Run, blend, read_checkpoint
from dprnet.train.shots import PhotoSource, read_sources
from dprnet.train.state import Average, check_finite, learning_rate, pack, part, unpack

__all__ = ["EmbedderRecipe", "export_embedder", "train_embedder"]

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with the step, the number of steps and the logged values."""


FRONT = 0  # index into VIEWPOINTS
FIGURES = ("validation_recall_1", "validation_recall_1_shop", "validation_recall_1_video")


def train_embedder(
    recipe: EmbedderRecipe,
    out: Path,
    resume: bool = True,
    progress: Progress | None = None,
    tracker: Tracker = SILENT,
    stop_at: int | None = None,
) -> Path:
    """Train, writing recipe, log and checkpoint into a folder; goes on where an earlier run of the recipe stopped.

    Args:
        recipe: what to train.
        out: folder of the run.
        resume: go on from the folder's checkpoint; False starts anew.
        progress: told about every logged step.
        tracker: shows the reading of the photos.
        stop_at: end after this step, as if stopped there (the schedule stays that of the whole run).

    Returns:
        The final checkpoint; :func:`export_embedder` makes a bundle of it.

    Raises:
        BadRecipe, MissingFile, BadDataset: recipe or data are wrong.
        TrainingDiverged: the loss is not finite; the message names the batch's photos.
        MissingExtra: lightning is not installed.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError:
        raise MissingExtra("lightning", "training needs it: pip install 'dprnet[train]'") from None
    run = Run(out, recipe, resume=resume)
    cache, validation = read_photos(recipe, tracker)
    kept = kept_features(recipe, cache, out, resume=run.step > 0, progress=tracker)
    sampler = make_sampler(recipe, cache)
    logger.info("%d photos, %d classes, from step %d of %d", len(cache), sampler.classes, run.step, recipe.steps)
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed"}[recipe.precision]
    fabric = Fabric(accelerator=recipe.device, devices=1, precision=precision)
    training, average, optimizer = _begin(recipe, run, sampler.classes, cache)
    module, optimizer = fabric.setup(training, optimizer)
    module.mark_forward_method("losses")
    average.state = {name: value.to(fabric.device) for name, value in average.state.items()}
    meter = _Meter(recipe, run, progress)
    last = min(recipe.steps, stop_at or recipe.steps)
    for step in range(run.step, last):
        torch.manual_seed(hash((recipe.seed, step)))  # whatever the network itself draws, such as dropout
        rate = learning_rate(step, steps=recipe.steps, warmup=recipe.warmup, final=0.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["full_lr"]
        batch = sampler(step)
        names = [str(cache.shots[row].photo.path) for row in dict.fromkeys(batch.photos.tolist())]
        images = training.images(cache, batch, step, fabric.device)
        # A dyed garment looks like nothing the start weights were asked about.
        wanted = kept[batch.photos] * torch.from_numpy(batch.variants == 0)[:, None]
        terms = module.losses(images, torch.from_numpy(batch.classes).to(fabric.device), wanted.to(fabric.device))
        check_finite(step, terms, names)
        optimizer.zero_grad()
        fabric.backward(terms["total"])
        norm = fabric.clip_gradients(module, optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        check_finite(step, {"gradient": norm}, names)
        optimizer.step()
        average.update(training, step)
        done = step + 1
        if validation is not None and (done % recipe.validate_every == 0 or done == recipe.steps):
            meter.figures |= validation_figures(_averaged(recipe, average).to(fabric.device), validation)
        meter.add(done, rate * recipe.lr, terms)
        if done % recipe.checkpoint_every == 0 or done == last:
            run.save(done, pack(training, average, optimizer))
    return run.checkpoint


def _begin(
    recipe: EmbedderRecipe, run: Run, classes: int, cache: PhotoCache
) -> tuple[RetrievalTraining, Average, torch.optim.Optimizer]:
    """Network, moving average and optimiser as they are before the step the run stands at."""
    torch.manual_seed(recipe.seed)
    training = RetrievalTraining(recipe, classes).train()
    if not run.step:
        start_network(training.network, recipe, cache)
        if recipe.blend:
            run.keep_start(training.network.state_dict())
    average = Average(training, recipe.average)
    optimizer = _optimizer(training, recipe)
    if run.step:
        unpack(run.state, training, average, optimizer)
        run.state = {}
    return training, average, optimizer


def export_embedder(out: Path, bundle: Path, name: str = "tiny") -> Bundle:
    """Put the embedder of a run into a bundle; other parts of the bundle stay.

    Its averaged weights, blended with its start where the recipe says so, as float16.
    The classification branch is left behind.

    Raises:
        MissingFile: no checkpoint in the folder.
        BadBundle, BadRecipe: checkpoint or recipe are damaged.
    """
    run = out / "checkpoint.safetensors"
    if not run.is_file():
        raise MissingFile(run, "no checkpoint here; train one with `dprnet train embedder`")
    recipe = parse_settings(json.loads((out / RECIPE).read_text(encoding="utf-8")), EmbedderRecipe, str(out / RECIPE))
    state, step = read_checkpoint(run)
    network = EmbedderNetwork(recipe.network)
    network.load_state_dict(blend(out, part(part(state, "average"), "network"), recipe.blend))
    network = network.folded()
    settings = network.config.model_dump(mode="json")
    origin = {"embedder": {"recipe": recipe.model_dump(mode="json"), "step": step, "seed": recipe.seed}}
    return save_pretrained(bundle, name, {"embedder": settings}, {"embedder": export_weights(network)}, origin=origin)


def read_photos(recipe: EmbedderRecipe, tracker: Tracker = SILENT) -> tuple[PhotoCache, PhotoCache | None]:
    """The photos to train on, and those of the validation sources (None without any)."""

    def read(sources: tuple[PhotoSource, ...]) -> PhotoCache:
        fit, fill = recipe.network.fit, recipe.network.fill
        return load_photos(read_sources(sources), recipe.cache_size, fit=fit, fill=fill, progress=tracker)

    return read(recipe.data), read(recipe.validation) if recipe.validation else None


def validation_figures(network: EmbedderNetwork, cache: PhotoCache, batch: int = 64) -> dict[str, float]:
    """Recall@1 of held-out photos: each instance's first frontal shop photo (else its first) is the gallery, all other
    photos of it are queries.
    """
    gallery: dict[str, int] = {}
    for row, shot in enumerate(cache.shots):
        photo, known = shot.photo, gallery.get(shot.photo.instance)
        better = known is not None and photo.viewpoint == FRONT and cache.shots[known].photo.viewpoint != FRONT
        if photo.domain == "shop" and (known is None or better):
            gallery[photo.instance] = row
    shown = set(gallery.values())
    queries = [row for row, shot in enumerate(cache.shots) if row not in shown and shot.photo.instance in gallery]
    if not queries:
        return {}
    vectors = []
    with torch.inference_mode():
        for first in range(0, len(cache), batch):
            images = as_batch(cache.images[first : first + batch], next(network.parameters()).device)
            size = network.config.image_size
            vectors.append(network(functional.interpolate(images, (size, size), mode="bilinear", antialias=True)).cpu())
    joined = torch.cat(vectors)
    names = list(gallery)
    rows = torch.tensor([gallery[name] for name in names])
    found = (joined[torch.tensor(queries)] @ joined[rows].T).argmax(dim=1).tolist()
    right = [names[best] == cache.shots[row].photo.instance for row, best in zip(queries, found, strict=True)]
    figures = {"validation_recall_1": float(np.mean(right))}
    for domain in ("shop", "video"):
        mine = [ok for ok, row in zip(right, queries, strict=True) if cache.shots[row].photo.domain == domain]
        if mine:
            figures[f"validation_recall_1_{domain}"] = float(np.mean(mine))
    return figures


def _averaged(recipe: EmbedderRecipe, average: Average) -> EmbedderNetwork:
    network = EmbedderNetwork(recipe.network).eval()
    network.load_state_dict(part(average.state, "network"))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _optimizer(training: RetrievalTraining, recipe: EmbedderRecipe) -> torch.optim.Optimizer:
    """Backbone and heads at their own rates; no decay of biases, scales and of normalisation."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in training.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.lr * (1.0 if name.startswith("network.backbone.") else recipe.head_lr)
        groups.setdefault((rate, recipe.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    described: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "full_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    return torch.optim.AdamW(described, lr=recipe.lr)


class _Meter:
    """Means of the logged values since the last row, and the latest validation figures."""

    def __init__(self, recipe: EmbedderRecipe, run: Run, progress: Progress | None) -> None:
        self.recipe = recipe
        self.run = run
        self.progress = progress
        self.figures = dict.fromkeys(FIGURES, float("nan"))
        self._restart()

    def add(self, done: int, rate: float, values: Mapping[str, Tensor]) -> None:
        self.values.append(torch.stack([value.detach().float() for value in values.values()]).cpu())
        if done % self.recipe.log_every and done != self.recipe.steps:
            return
        row = dict(zip(values, torch.stack(self.values).mean(dim=0).tolist(), strict=True)) | self.figures
        images = len(self.values) * self.recipe.sampling.p * self.recipe.sampling.k
        speed = images / max(time.monotonic() - self.since, 1e-9)
        self.run.log({"step": done, "lr": rate, "images_per_s": speed, **row})
        recall = row["validation_recall_1"]
        logger.info(
            "step %d of %d: loss %.3f, R@1 %.3f, %.0f images/s", done, self.recipe.steps, row["total"], recall, speed
        )
        if self.progress is not None:
            self.progress(done, self.recipe.steps, row)
        self._restart()

    def _restart(self) -> None:
        self.since, self.values = time.monotonic(), list[Tensor]()
