"""Trains one method of Table 2: what step s shows depends on seed and s alone, so all methods see the same batches."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dprnet.core.errors import MissingFile
from dprnet.core.progress import SILENT, Progress
from dprnet.data.photo_batch import BatchAugment
from dprnet.data.sampling import PKSampler
from dprnet.embed.backbone import build_backbone, load_imagenet
from dprnet.embed.embedder import as_batch
from dprnet.train.methods.base import STRIDES, Method, Shown, Trunk
from dprnet.train.methods.marks import Marks, follow, read_marks
from dprnet.train.methods.recipe import MethodOptions, Terms, UnitRecipe, make_method
from dprnet.train.photos import PhotoCache, load_photos
from dprnet.train.retrieval import EmbedderRecipe, make_sampler
from dprnet.train.runs import Run
from dprnet.train.shots import read_sources
from dprnet.train.state import Average, check_finite, learning_rate, pack, unpack

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 100  # ours: steps, about a minute on two cores

MakeTrunk = Callable[[], Trunk]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The photos that all methods of a comparison learn from, read once."""

    cache: PhotoCache
    marks: Marks


def read_material(terms: Terms, progress: Progress = SILENT) -> Material:
    """Read the training photos.

    Raises:
        MissingFile, BadDataset: a source is not there, or has no photos.
    """
    sources = [found[: terms.most_photos or None] for found in read_sources(terms.data)]
    cache = load_photos(sources, terms.cache_size, progress=progress)
    return Material(cache, read_marks(terms.data, cache))


def make_trunk(terms: Terms) -> Trunk:
    """The common backbone from its start weights, with a random fc.

    Raises:
        MissingFile: no start weights there.
        BadRecipe: they are of another network.
    """
    t = terms.trunk
    backbone = build_backbone(t.backbone, STRIDES, batch_norm=t.batch_norm)
    if t.start != "none":
        path = Path(os.path.expandvars(t.start))
        if not path.is_file():
            raise MissingFile(path, "no start weights here (is DPRNET_DATA set?); start = 'none' begins at random")
        load_imagenet(backbone, load_file(path), batch_norm=t.batch_norm)
    backbone.freeze(t.frozen_stages)
    return Trunk(backbone, t.size)


def device_of(name: str) -> torch.device:
    """``auto`` is the accelerator where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def train_unit(
    unit: UnitRecipe,
    folder: Path,
    material: Material,
    *,
    trunk: MakeTrunk | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    stop_at: int | None = None,
) -> Method:
    """Train one method; goes on where an earlier run of the same recipe in the folder stopped.

    Args:
        unit: what to train.
        folder: of its checkpoint and log.
        material: the photos.
        trunk: makes what it stands on; by default as the recipe says.
        device: auto, cpu, cuda.
        progress: shows the steps.
        stop_at: end after this step, as if stopped there.

    Returns:
        The trained method, in evaluation mode.

    Raises:
        BadRecipe: the folder holds a run of another recipe.
        TrainingDiverged: the loss is not finite.
    """
    run, where = Run(folder, unit), device_of(device)
    sampling = unit.terms.sampling
    sampler = make_sampler(EmbedderRecipe(data=unit.terms.data, sampling=sampling, seed=unit.seed), material.cache)
    steps = max(1, unit.images // (sampling.p * sampling.k))
    torch.manual_seed(unit.seed)
    options = MethodOptions.model_validate({unit.method: unit.options})
    made = (trunk or (lambda: make_trunk(unit.terms)))()
    method = make_method(unit.method, made, sampler.classes, options, len(material.marks.names)).train()
    method.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(method, unit)
    plain = Average(method, 0.0)
    if run.step:
        unpack(run.state, method, plain, optimizer)
        run.state = {}
    batches = Batches(unit, material, sampler, where)
    last = min(steps, stop_at or steps)
    since = time.monotonic()
    for step in progress.track(range(run.step, last), f"{unit.method}, seed {unit.seed}", last - run.step):
        rate = learning_rate(step, steps=steps, warmup=int(steps * unit.terms.warmup), final=0.0)
        terms = _step(method, optimizer, batches, step, rate, unit)
        done = step + 1
        if done % CHECKPOINT_EVERY == 0 or done == last:
            plain.update(method, step)
            run.save(done, pack(method, plain, optimizer))
            speed = sampling.p * sampling.k * CHECKPOINT_EVERY / max(time.monotonic() - since, 1e-9)
            run.log(
                {"step": done, "lr": rate * unit.lr, "images_per_s": speed}
                | {n: float(v.detach()) for n, v in terms.items()}
            )
            since = time.monotonic()
    return method.eval()


class Batches:
    """Step -> what it shows."""

    def __init__(self, unit: UnitRecipe, material: Material, sampler: PKSampler, device: torch.device) -> None:
        self.unit, self.material, self.sampler, self.device = unit, material, sampler, device
        self.augment = BatchAugment(unit.terms.augment, unit.terms.trunk.image_size)

    def names(self, step: int) -> list[str]:
        """Files of a step's photos, for whoever has to look at them."""
        return [
            str(self.material.cache.shots[row].photo.path) for row in dict.fromkeys(self.sampler(step).photos.tolist())
        ]

    def __call__(self, step: int, *, marks: bool) -> Shown:
        """The batch of a step, augmented; with landmarks and attributes where the method asks."""
        batch, cache, known = self.sampler(step), self.material.cache, self.material.marks
        seed = self.unit.seed * 1_000_003 + step
        variants, seeds = torch.from_numpy(batch.variants), torch.from_numpy(batch.instances)
        raw = as_batch(cache.images[batch.photos], self.device)
        images = self.augment(raw, variants, seeds, torch.Generator().manual_seed(seed))
        landmarks = attributes = None
        if marks and known.names:
            points = torch.from_numpy(known.landmarks[batch.photos])
            landmarks = follow(points, self.augment, cache.images.shape[1], seed).to(self.device)
            attributes = torch.from_numpy(known.attributes[batch.photos]).to(self.device)
        classes = torch.from_numpy(batch.classes).to(self.device)
        return Shown(images.contiguous(memory_format=torch.channels_last), classes, landmarks, attributes)


def _step(
    method: Method, optimizer: torch.optim.Optimizer, batches: Batches, step: int, rate: float, unit: UnitRecipe
) -> dict[str, Tensor]:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["full_lr"]
    shown = batches(step, marks=method.wants_marks)
    torch.manual_seed(hash((unit.seed, step)))  # whatever the method itself draws: triplets, grids, drops
    method.turn(step)
    with torch.autocast(shown.images.device.type, torch.bfloat16, enabled=unit.terms.precision == "bf16"):
        terms = method.losses(shown)
    if not all(bool(torch.isfinite(value.detach())) for value in terms.values()):
        check_finite(step, terms, batches.names(step))
    optimizer.zero_grad()
    terms["total"].backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(method.parameters(), unit.terms.clip)
    optimizer.step()
    return terms


def _optimizer(method: Method, unit: UnitRecipe) -> torch.optim.Optimizer:
    """As for the embedder: no decay of biases, scales and normalisation."""
    t = unit.terms
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in method.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = unit.lr * (1.0 if "backbone." in name else t.head_lr)
        groups.setdefault((rate, t.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    described: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "full_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    return torch.optim.AdamW(described, lr=unit.lr)
