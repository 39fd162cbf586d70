"""Trains the detector from a recipe: paper, Eq. 1-3.

What step s trains on depends on seed and s alone, never on what was drawn before: a run that was interrupted goes on
exactly as if it had not been.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import Settings, parse_settings
from dprnet.core.errors import BadDataset, BadRecipe, MissingExtra, MissingFile
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import Truth
from dprnet.data.labelled import LabelledImage
from dprnet.data.transforms import DetectionAugment, DetectionAugmentConfig
from dprnet.detect.detector import export_parts
from dprnet.detect.losses import LossWeights, total_loss
from dprnet.detect.model import DetectorConfig, DetectorNetwork, fit
from dprnet.train.runs import (
    RECIPE,
    Average,
    Run,
    check_finite,
    learning_rate,
    pack,
    part,
    read_checkpoint,
    unpack,
)

logger = logging.getLogger(__name__)

Example = tuple[Tensor, Truth, str]
"""uint8 (3, H, W), what is true of it, and its path."""


class DataSource(Settings):
    """One set of images to draw from."""

    kind: Literal["ccp", "shopset"]
    path: str  # $DPRNET_DATA is expanded
    split: str = "train"  # of ccp
    weight: float = Field(default=1.0, gt=0)  # how often it is drawn, relative to the others


class DetectorRecipe(Settings):
    """How a detector is trained. The paper names no optimiser, schedule or batch: every default here is ours."""

    data: tuple[DataSource, ...] = Field(min_length=1)
    network: DetectorConfig = DetectorConfig()
    start: str = "none"  # backbone weights: none, pretrained, or a path
    augment: DetectionAugmentConfig = DetectionAugmentConfig()
    short_sides: tuple[int, ...] = ()  # px, one drawn a step; none: always that of the network
    loss: LossWeights = LossWeights()
    seed: int = 0
    steps: int = Field(default=90_000, ge=1)  # the usual length for Faster R-CNN
    batch: int = Field(default=16, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=0.02, gt=0)
    backbone_lr: float = Field(default=1.0, ge=0)  # relative to lr
    momentum: float = 0.9  # of sgd
    weight_decay: float = 1e-4
    warmup: int = 1000  # steps
    final_lr: float = 0.0  # relative to lr, where the cosine ends
    clip: float = Field(default=10.0, gt=0)  # length of the gradient, at most
    average: float = Field(default=0.0, ge=0, lt=1)  # decay of the moving average that is exported; 0: none
    precision: Literal["32", "bf16", "16"] = "32"
    device: str = "auto"  # auto, cpu, cuda
    devices: int = 1
    workers: int = 2
    checkpoint_every: int = Field(default=500, ge=1)  # steps
    log_every: int = Field(default=20, ge=1)  # steps


def train_detector(recipe: DetectorRecipe, out: Path, resume: bool = True, progress: Progress | None = None) -> Path:
    """Train, writing recipe, log and checkpoint into a folder; goes on where an earlier run of the recipe stopped.

    Returns:
        The final checkpoint; :func:`export_detector` makes a bundle of it.

    Raises:
        BadRecipe, MissingFile, BadDataset: recipe or data are wrong.
        TrainingDiverged: a loss is not finite; the message names the batch's images.
        MissingExtra: lightning is not installed.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError:
        raise MissingExtra("lightning", "training needs it: pip install 'dprnet[train]'") from None
    images, weights, instances = gather(recipe.data)
    config = recipe.network.model_copy(update={"instances": instances})
    run = Run(out, recipe, resume=resume)
    if run.step >= recipe.steps:
        return run.checkpoint
    logger.info("%d images, %d instances, from step %d of %d", len(images), instances, run.step, recipe.steps)
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[recipe.precision]
    fabric = Fabric(accelerator=recipe.device, devices=recipe.devices, precision=precision)
    fabric.launch()
    torch.manual_seed(recipe.seed)
    network = DetectorNetwork(config, "none" if run.step else recipe.start).train()
    average = Average(network, recipe.average)
    optimizer = _optimizer(network, recipe)
    if run.step:
        unpack(run.state, network, average, optimizer)
        run.state = {}
    module, optimizer = fabric.setup(network, optimizer)
    module.mark_forward_method("losses")
    average.state = {name: value.to(fabric.device) for name, value in average.state.items()}
    loader = _loader(Examples(images, weights, recipe), recipe, run.step, fabric.global_rank, fabric.world_size)
    meter = _Meter(recipe, run)
    batches = (progress or Silent()).track(loader, "training the detector", len(loader))
    for step, (pictures, truths, names) in enumerate(batches, start=run.step):
        torch.manual_seed(hash((recipe.seed, step, fabric.global_rank)))
        rate = learning_rate(step, steps=recipe.steps, warmup=recipe.warmup, final=recipe.final_lr)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["full_lr"]
        terms = module.losses(pictures, truths)
        sums = total_loss(terms, recipe.loss)
        check_finite(step, {**terms, "total": sums["total"]}, names)
        optimizer.zero_grad()
        fabric.backward(sums["total"])
        norm = fabric.clip_gradients(module, optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        if recipe.precision != "16":  # the scaler of 16 bits skips such a step by itself
            check_finite(step, {"gradient": norm}, names)
        optimizer.step()
        average.update(network, step)
        done = step + 1
        meter.add(done, len(pictures), rate * recipe.lr, {**terms, **sums})
        if fabric.is_global_zero and (done % recipe.checkpoint_every == 0 or done == recipe.steps):
            run.save(done, pack(network, average, optimizer))
    return run.checkpoint


def export_detector(out: Path, bundle: Path, name: str = "tiny") -> Bundle:
    """Put the detector of a run (its averaged weights, as float16) into a bundle; other parts of the bundle stay.

    Raises:
        MissingFile: no checkpoint in the folder.
        BadBundle, BadRecipe: checkpoint or recipe are damaged.
    """
    import json

    run = out / "checkpoint.safetensors"
    if not run.is_file():
        raise MissingFile(run, "no checkpoint here; train one with `dprnet train detector`")
    recipe = parse_settings(json.loads((out / RECIPE).read_text(encoding="utf-8")), DetectorRecipe, str(out / RECIPE))
    state, step = read_checkpoint(run)
    settings, weights = export_parts(recipe.network, part(state, "average"))
    origin = {"detector": {"recipe": recipe.model_dump(mode="json"), "step": step, "seed": recipe.seed}}
    return save_pretrained(bundle, name, {"detector": settings}, {"detector": weights}, origin=origin)


def gather(sources: tuple[DataSource, ...]) -> tuple[list[LabelledImage], np.ndarray[Any, Any], int]:
    """Images of all sources, the chance of drawing each, and the number of instances.

    Instances of several sources are numbered through: (source, number) -> 0, 1, 2 ...
    """
    images: list[LabelledImage] = []
    chances: list[np.ndarray[Any, Any]] = []
    instances = 0
    for source in sources:
        found = read_source(source)
        if not found:
            raise BadDataset(source.path, f"no labelled images ({source.kind}, split '{source.split}')")
        known = np.unique(np.concatenate([image.truth.instance for image in found]))
        known = known[known >= 0]
        for image in found:
            own = image.truth.instance
            number = np.where(own >= 0, np.searchsorted(known, own) + instances, -1).astype(np.int64)
            images.append(replace(image, truth=replace(image.truth, instance=number)))
        instances += len(known)
        chances.append(np.full(len(found), source.weight / len(found)))
    weights = np.concatenate(chances)
    return images, weights / weights.sum(), instances


def read_source(source: DataSource) -> list[LabelledImage]:
    """The labelled images of one source."""
    path = Path(os.path.expandvars(source.path))
    if not path.is_dir():
        raise MissingFile(path, "no such data folder (is DPRNET_DATA set?); see [[data]] in the recipe")
    if source.kind == "ccp":
        from dprnet.data import ccp

        return ccp.labelled_images(path, source.split)
    from dprnet.data.shopset import ShopSet

    return ShopSet.open(path).stills()


class Examples(Dataset[Example]):
    """Draws, loads and augments; the example of (step, slot) is the same in every run of a recipe."""

    def __init__(self, images: list[LabelledImage], weights: np.ndarray[Any, Any], recipe: DetectorRecipe) -> None:
        self.images = images
        self.cumulated = np.cumsum(weights)
        self.seed = recipe.seed
        self.short_sides = recipe.short_sides or (recipe.network.short_side,)
        self.long_side = recipe.network.long_side / recipe.network.short_side
        self.augment = DetectionAugment(recipe.augment)

    def __getitem__(self, place: tuple[int, int]) -> Example:
        step, slot = place
        rng = np.random.default_rng((self.seed, step, slot))
        row = min(int(np.searchsorted(self.cumulated, rng.random(), side="right")), len(self.images) - 1)
        image = self.images[row]
        pixels, truth = self.augment(image.load(), image.truth, rng)
        short = int(np.random.default_rng((self.seed, step)).choice(self.short_sides))  # one for the whole batch
        whole = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)
        picture = fit(whole, short, round(short * self.long_side))
        scale = np.array([picture.shape[2] / whole.shape[2], picture.shape[1] / whole.shape[1]] * 2, np.float32)
        truth = replace(truth, boxes_xyxy=truth.boxes_xyxy * scale, ignore_xyxy=truth.ignore_xyxy * scale)
        return picture, truth, str(image.path)


class Steps(Sampler[list[tuple[int, int]]]):
    """The (step, slot) pairs of each step from ``first`` on; each of several devices takes its share of the slots."""

    def __init__(self, first: int, recipe: DetectorRecipe, rank: int, world: int) -> None:
        self.steps = range(first, recipe.steps)
        self.slots = range(rank, recipe.batch, world)
        if recipe.batch < world:
            raise BadRecipe("batch", f"{recipe.batch} is less than the number of devices, {world}")

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in self.steps:
            yield [(step, slot) for slot in self.slots]

    def __len__(self) -> int:
        return len(self.steps)


def _loader(examples: Examples, recipe: DetectorRecipe, first: int, rank: int, world: int) -> DataLoader[Any]:
    steps = Steps(first, recipe, rank, world)
    return DataLoader(examples, batch_sampler=steps, num_workers=recipe.workers, collate_fn=_lists)


def _lists(batch: list[Example]) -> tuple[list[Tensor], list[Truth], list[str]]:
    pictures, truths, names = zip(*batch, strict=True)
    return list(pictures), list(truths), list(names)


def _optimizer(network: DetectorNetwork, recipe: DetectorRecipe) -> torch.optim.Optimizer:
    """Backbone and the rest at their own rates; no decay of biases and of normalisation."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = recipe.lr * (recipe.backbone_lr if name.startswith("backbone.body.") else 1.0)
        groups.setdefault((rate, recipe.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    described: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "full_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(described, lr=recipe.lr)
    return torch.optim.SGD(described, lr=recipe.lr, momentum=recipe.momentum)


class _Meter:
    """Means of the logged values since the last row."""

    def __init__(self, recipe: DetectorRecipe, run: Run) -> None:
        self.recipe = recipe
        self.run = run
        self._restart()

    def add(self, done: int, images: int, rate: float, values: Mapping[str, Tensor]) -> None:
        self.images += images
        self.values.append(torch.stack([value.detach().float() for value in values.values()]).cpu())
        if done % self.recipe.log_every and done != self.recipe.steps:
            return
        means = torch.stack(self.values).mean(dim=0).tolist()
        row = dict(zip(values, means, strict=True))
        speed = self.images / max(time.monotonic() - self.since, 1e-9)
        self.run.log({"step": done, "lr": rate, "images_per_s": speed, **row})
        logger.info("step %d of %d: loss %.3f, %.1f images/s", done, self.recipe.steps, row["total"], speed)
        self._restart()

    def _restart(self) -> None:
        self.since, self.images, self.values = time.monotonic(), 0, list[Tensor]()
