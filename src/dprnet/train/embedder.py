"""Trains the retrieval network from a recipe: P x K batches, paper 3.3, Eq. 5 to 8.

What step s trains on depends on seed and s alone, so a run that was interrupted goes on exactly as if it had not been.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import Settings, parse_settings
from dprnet.core.errors import BadRecipe, MissingExtra, MissingFile
from dprnet.core.progress import SILENT
from dprnet.core.progress import Progress as Tracker
from dprnet.data.photo_batch import BatchAugment, BatchAugmentSettings
from dprnet.data.sampling import PKBatch, PKSampler
from dprnet.embed.backbone import load_imagenet
from dprnet.embed.embedder import as_batch, export_weights
from dprnet.embed.losses import batch_hard, centroid_triplet, retrieval_loss, smoothed_cross_entropy
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork, InstanceClassifier
from dprnet.train.photos import PhotoCache, PhotoSource, load_photos, read_sources
from dprnet.train.runs import RECIPE, Average, Run, check_finite, learning_rate, pack, part, read_checkpoint, unpack

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with the step, the number of steps and the logged values."""


FIGURES = ("validation_recall_1", "validation_recall_1_shop", "validation_recall_1_video")


SETTLE_ON = 1024  # ours: photos from which fc begins; four times its 256 rows


class LossSettings(Settings):
    """Eq. 5 to 8 and their options."""

    margin: float = 0.3  # re-id strong baseline; the paper does not state alpha
    epsilon: float = Field(default=0.1, ge=0, lt=1)  # Szegedy et al. 2016; the paper: "a small constant"
    squared: bool = False  # Hermans et al. 2017; d in Eq. 6
    distance: Literal["batch_hard", "centroid"] = "batch_hard"  # paper, Eq. 6; centroid: CTL
    normalise: bool = True  # ours: the triplet loss sees what the search sees
    neck: bool = False  # not in the paper; True: BNNeck of the re-id strong baseline
    scale: float = Field(default=0.0, ge=0)  # 0: plain softmax (paper); above: scaled cosines


class SamplingSettings(Settings):
    """Which photos make a batch."""

    p: int = Field(default=16, ge=2)  # re-id strong baseline
    k: int = Field(default=4, ge=2)  # re-id strong baseline
    hard: float = Field(default=0.3, ge=0, le=1)  # ours; see PKSampler
    together: int = Field(default=4, ge=2)  # ours
    variants: int = Field(default=0, ge=0)  # ours; recolourings that count as instances of their own


class EmbedderRecipe(Settings):
    """How an embedder is trained. The paper names no optimiser, schedule or batch."""

    data: tuple[PhotoSource, ...] = Field(min_length=1)
    validation: tuple[PhotoSource, ...] = ()  # never trained on
    network: EmbedderConfig = EmbedderConfig()
    start: str = "none"  # backbone weights: none, pretrained (timm's own), or a path; $DPRNET_DATA is expanded
    settle: float = Field(default=0.0, ge=0)  # ours: weight of colours in EmbedderNetwork.settle; 0: fc starts random
    cache_size: int = Field(default=160, ge=16)  # ours: px, squares kept in memory, a little above image_size
    augment: BatchAugmentSettings = BatchAugmentSettings()
    sampling: SamplingSettings = SamplingSettings()
    loss: LossSettings = LossSettings()
    seed: int = 0
    steps: int = Field(default=6000, ge=1)
    lr: float = Field(default=3.5e-4, gt=0)  # re-id strong baseline, Adam
    head_lr: float = Field(default=1.0, gt=0)  # ours: of fc and classification branch, relative to lr
    weight_decay: float = Field(default=5e-4, ge=0)  # re-id strong baseline
    warmup: int = Field(default=100, ge=0)  # steps; ours
    clip: float = Field(default=5.0, gt=0)  # length of the gradient, at most; ours
    average: float = Field(default=0.998, ge=0, lt=1)  # decay of the moving average that is exported; ours
    precision: Literal["32", "bf16"] = "32"
    device: str = "auto"  # auto, cpu, cuda
    validate_every: int = Field(default=500, ge=1)  # steps
    checkpoint_every: int = Field(default=250, ge=1)  # steps
    log_every: int = Field(default=20, ge=1)  # steps


class RetrievalTraining(nn.Module):
    """Network and classification branch; the loss of a batch (Eq. 8)."""

    def __init__(self, recipe: EmbedderRecipe, classes: int) -> None:
        super().__init__()
        self.recipe = recipe
        network = EmbedderNetwork(recipe.network, pretrained=recipe.start == "pretrained")
        self.network: EmbedderNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.branch = InstanceClassifier(network.size, classes, neck=recipe.loss.neck, scale=recipe.loss.scale)
        self.augment = BatchAugment(recipe.augment, recipe.network.image_size)

    def losses(self, images: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Terms of Eq. 8 and their sum: images (B, 3, T, T) as augmented, classes (B,)."""
        settings = self.recipe.loss
        features = self.network.features(images)
        vectors = functional.normalize(features, dim=1) if settings.normalise else features
        if settings.distance == "centroid":
            distance = centroid_triplet(vectors, classes, settings.margin)
        else:
            distance = batch_hard(vectors, classes, settings.margin, squared=settings.squared)
        classification = smoothed_cross_entropy(self.branch(features), classes, settings.epsilon)
        total = retrieval_loss(classification, distance)
        return {"classification": classification, "distance": distance, "total": total}

    def images(self, cache: PhotoCache, batch: PKBatch, step: int, device: torch.device) -> Tensor:
        """(B, 3, T, T) the photos of a batch, augmented; the same whenever this step comes."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        variants, seeds = torch.from_numpy(batch.variants), torch.from_numpy(batch.instances)
        images = self.augment(as_batch(cache.images[batch.photos], device), variants, seeds, generator)
        return images.contiguous(memory_format=torch.channels_last)


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
    sampler = make_sampler(recipe, cache)
    logger.info("%d photos, %d classes, from step %d of %d", len(cache), sampler.classes, run.step, recipe.steps)
    fabric = Fabric(
        accelerator=recipe.device, devices=1, precision="bf16-mixed" if recipe.precision == "bf16" else "32-true"
    )
    torch.manual_seed(recipe.seed)
    training = RetrievalTraining(recipe, sampler.classes).train()
    if not run.step:
        _start(training.network, recipe, cache)
    average = Average(training, recipe.average)
    optimizer = _optimizer(training, recipe)
    if run.step:
        unpack(run.state, training, average, optimizer)
        run.state = {}
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
        terms = module.losses(images, torch.from_numpy(batch.classes).to(fabric.device))
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


def export_embedder(out: Path, bundle: Path, name: str = "tiny") -> Bundle:
    """Put the embedder of a run (its averaged weights, as float16) into a bundle; other parts of the bundle stay.

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
    network.load_state_dict(part(part(state, "average"), "network"))
    settings = recipe.network.model_dump(mode="json")
    origin = {"embedder": {"recipe": recipe.model_dump(mode="json"), "step": step, "seed": recipe.seed}}
    return save_pretrained(bundle, name, {"embedder": settings}, {"embedder": export_weights(network)}, origin=origin)


def read_photos(recipe: EmbedderRecipe, tracker: Tracker = SILENT) -> tuple[PhotoCache, PhotoCache | None]:
    """The photos to train on, and those of the validation sources (None without any)."""

    def read(sources: tuple[PhotoSource, ...]) -> PhotoCache:
        fit, fill = recipe.network.fit, recipe.network.fill
        return load_photos(read_sources(sources), recipe.cache_size, fit=fit, fill=fill, progress=tracker)

    return read(recipe.data), read(recipe.validation) if recipe.validation else None


def make_sampler(recipe: EmbedderRecipe, cache: PhotoCache) -> PKSampler:
    """The sampler over a cache; every source gets its weight's share of the draws."""
    names = {name: number for number, name in enumerate(dict.fromkeys(s.photo.instance for s in cache.shots))}
    owner = np.array([names[shot.photo.instance] for shot in cache.shots])
    photos = np.bincount(owner)
    source = np.zeros(len(names), np.int64)
    source[owner] = cache.source
    weights = np.where(photos > 1, [recipe.data[number].paired for number in source], 1.0)
    for number, settings in enumerate(recipe.data):
        if (mine := source == number).any():
            weights[mine] *= settings.weight / weights[mine].sum()
    words = {word: number for number, word in enumerate(dict.fromkeys(s.group for s in cache.shots if s.group))}
    groups = np.full(len(names), -1)
    for row, shot in enumerate(cache.shots):
        if shot.group:
            groups[owner[row]] = words[shot.group]
    s = recipe.sampling
    try:
        return PKSampler(
            owner,
            s.p,
            s.k,
            domains=[int(shot.photo.domain == "video") for shot in cache.shots],
            weights=weights,
            groups=groups,
            hard=s.hard,
            together=s.together,
            variants=s.variants,
            seed=recipe.seed,
        )
    except ValueError as error:
        raise BadRecipe("sampling", str(error)) from None


def validation_figures(network: EmbedderNetwork, cache: PhotoCache, batch: int = 64) -> dict[str, float]:
    """Recall@1 of held-out photos: each instance's first shop photo is the gallery, all others of it are queries."""
    gallery, queries = {}, []
    for row, shot in enumerate(cache.shots):
        if shot.photo.domain == "shop" and shot.photo.instance not in gallery:
            gallery[shot.photo.instance] = row
        else:
            queries.append(row)
    queries = [row for row in queries if cache.shots[row].photo.instance in gallery]
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


def _start(network: EmbedderNetwork, recipe: EmbedderRecipe, cache: PhotoCache) -> None:
    if recipe.start not in ("none", "pretrained"):
        path = Path(os.path.expandvars(recipe.start))
        if not path.is_file():
            raise MissingFile(path, "no start weights here (is DPRNET_DATA set?); start = 'none' begins at random")
        load_imagenet(network.backbone, load_file(path), batch_norm=recipe.network.batch_norm)
    if recipe.settle:
        rows = np.random.default_rng(recipe.seed).choice(len(cache), min(SETTLE_ON, len(cache)), replace=False)
        size = (recipe.network.image_size,) * 2
        images = functional.interpolate(as_batch(cache.images[rows]), size, mode="bilinear", antialias=True)
        network.settle(images, colour=recipe.settle)


def _optimizer(training: RetrievalTraining, recipe: EmbedderRecipe) -> torch.optim.Optimizer:
    """Backbone and heads at their own rates; no decay of biases, scales and of normalisation."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in training.named_parameters():
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
