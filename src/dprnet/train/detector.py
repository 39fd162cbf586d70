"""Trains the detector from a recipe: paper, Eq. 1-3.

What step s trains on depends on seed and s alone, never on what was drawn before: a run that was interrupted goes on
exactly as if it had not been.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader

from dprnet.core.bundle import MANIFEST, Bundle, save_pretrained
from dprnet.core.config import Settings, parse_settings
from dprnet.core.errors import MissingExtra, MissingFile
from dprnet.core.progress import Progress, Silent
from dprnet.data.labelled import LabelledImage
from dprnet.data.transforms import DetectionAugment, DetectionAugmentConfig
from dprnet.detect.detector import export_parts, start_from
from dprnet.detect.losses import LossWeights, total_loss
from dprnet.detect.model import DetectorConfig, DetectorNetwork
from dprnet.train.examples import DataSource, Examples, Steps, as_lists, gather
from dprnet.train.runs import RECIPE, Run, read_checkpoint
from dprnet.train.state import Average, check_finite, learning_rate, pack, part, unpack
from dprnet.train.watch import Watch

logger = logging.getLogger(__name__)


class DetectorRecipe(Settings):
    """How a detector is trained. The paper names no optimiser, schedule or batch: every default here is ours."""

    data: tuple[DataSource, ...] = Field(min_length=1)
    network: DetectorConfig = DetectorConfig()
    start: str = "none"  # backbone weights (none, pretrained, or a file), or a bundle's folder: all but its instances
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
    frozen_stages: int = Field(default=0, ge=0, le=4)  # of the backbone, the first ones; a third of the time at 2
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
    images, chances, instances = gather(recipe.data)
    config = recipe.network.model_copy(update={"instances": instances})
    run = Run(out, recipe, resume=resume) if is_first_process() else None
    if run is not None and run.step >= recipe.steps:
        return run.checkpoint
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[recipe.precision]
    fabric = Fabric(accelerator=recipe.device, devices=recipe.devices, precision=precision)
    fabric.launch()
    for turn in range(1, fabric.world_size):  # one after another: they write the same recipe
        if turn == fabric.global_rank:
            run = Run(out, recipe)
        fabric.barrier()
    assert run is not None, "every process has had its turn"
    logger.info("%d images, %d instances, from step %d of %d", len(images), instances, run.step, recipe.steps)
    network, average, optimizer = _begin(recipe, config, run)
    module, optimizer = fabric.setup(network, optimizer)
    module.mark_forward_method("losses")
    average.state = {name: value.to(fabric.device) for name, value in average.state.items()}
    run.watch = Watch(config, images, average)
    steps = Steps(run.step, recipe.steps, recipe.batch, fabric.global_rank, fabric.world_size)
    loader = _loader(images, chances, recipe, steps)
    meter = _Meter(recipe, run)
    shown = progress if progress is not None and fabric.is_global_zero else Silent()
    batches = shown.track(loader, "training the detector", len(loader))
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
        if not fabric.is_global_zero:
            continue
        meter.add(done, recipe.batch, rate * recipe.lr, {**terms, **sums})
        if done % recipe.checkpoint_every == 0 or done == recipe.steps:
            run.save(done, pack(network, average, optimizer))
    fabric.barrier()  # the checkpoint is there for whoever asks next
    return run.checkpoint


def is_first_process() -> bool:
    """False in the further processes that training on several devices starts: each runs the same command again."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _begin(
    recipe: DetectorRecipe, config: DetectorConfig, run: Run
) -> tuple[DetectorNetwork, Average, torch.optim.Optimizer]:
    """Network, moving average and optimiser as they are before the step the run stands at."""
    torch.manual_seed(recipe.seed)
    network = _network(config, "none" if run.step else recipe.start)
    network.backbone.freeze(recipe.frozen_stages)
    network.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.6 times as fast on a CPU
    average = Average(network, recipe.average)
    optimizer = _optimizer(network, recipe)
    if run.step:
        unpack(run.state, network, average, optimizer)
        run.state = {}
    return network, average, optimizer


def _network(config: DetectorConfig, start: str) -> DetectorNetwork:
    folder = Path(os.path.expandvars(start))
    if not (folder / MANIFEST).is_file():
        return DetectorNetwork(config, start).train()
    network = DetectorNetwork(config)
    start_from(network, Bundle.from_pretrained(folder))
    return network.train()


def export_detector(out: Path, bundle: Path, name: str = "tiny") -> Bundle:
    """Put the detector of a run (its averaged weights, as float16) into a bundle; other parts of the bundle stay.

    Raises:
        MissingFile: no checkpoint in the folder.
        BadBundle, BadRecipe: checkpoint or recipe are damaged.
    """
    run = out / "checkpoint.safetensors"
    if not run.is_file():
        raise MissingFile(run, "no checkpoint here; train one with `dprnet train detector`")
    recipe = parse_settings(json.loads((out / RECIPE).read_text(encoding="utf-8")), DetectorRecipe, str(out / RECIPE))
    state, step = read_checkpoint(run)
    settings, weights = export_parts(recipe.network, part(state, "average"))
    origin = {"detector": {"recipe": recipe.model_dump(mode="json"), "step": step, "seed": recipe.seed}}
    return save_pretrained(bundle, name, {"detector": settings}, {"detector": weights}, origin=origin)


def _loader(
    images: list[LabelledImage], chances: NDArray[np.float64], recipe: DetectorRecipe, steps: Steps
) -> DataLoader[Any]:
    examples = Examples(
        images,
        chances,
        DetectionAugment(recipe.augment),
        short_sides=recipe.short_sides or (recipe.network.short_side,),
        elongation=recipe.network.long_side / recipe.network.short_side,
        seed=recipe.seed,
    )
    return DataLoader(examples, batch_sampler=steps, num_workers=recipe.workers, collate_fn=as_lists)


def _optimizer(network: DetectorNetwork, recipe: DetectorRecipe) -> torch.optim.Optimizer:
    """Backbone and the rest at their own rates; no decay of biases and of normalisation."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
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
