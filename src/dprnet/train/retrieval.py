"""What is trained of the retrieval network, and on what: recipe, losses of a batch, sampler, start (paper 3.3)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from dprnet.core.bundle import MANIFEST, Bundle
from dprnet.core.config import Settings
from dprnet.core.errors import BadRecipe, MissingFile
from dprnet.data.photo_batch import BatchAugment, BatchAugmentSettings
from dprnet.data.sampling import PKBatch, PKSampler
from dprnet.embed.backbone import load_imagenet
from dprnet.embed.embedder import as_batch, load_weights
from dprnet.embed.losses import (
    batch_hard,
    centroid_triplet,
    contrast,
    imitation,
    retrieval_loss,
    smoothed_cross_entropy,
)
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork, InstanceClassifier
from dprnet.train.memory import Memory
from dprnet.train.methods.losses import centre
from dprnet.train.photos import PhotoCache
from dprnet.train.shots import PhotoSource

SETTLE_ON = 1024  # ours: photos from which fc begins; four times its 256 rows


class LossSettings(Settings):
    """Eq. 5 to 8 and their options."""

    margin: float = 0.3  # re-id strong baseline; the paper does not state alpha
    epsilon: float = Field(default=0.1, ge=0, lt=1)  # Szegedy et al. 2016; the paper: "a small constant"
    squared: bool = False  # Hermans et al. 2017; d in Eq. 6
    distance: Literal["batch_hard", "centroid", "contrast"] = "batch_hard"  # paper, Eq. 6; centroid: CTL
    temperature: float = Field(default=0.1, gt=0)  # of contrast; Khosla et al. 2020
    memory: int = Field(default=0, ge=0)  # of contrast: embeddings of earlier batches that take part; 0: none
    classification: float = Field(default=1.0, ge=0)  # paper: 1; weight of Eq. 7, 0 leaves the branch out
    normalise: bool = True  # ours: the triplet loss sees what the search sees
    neck: bool = False  # not in the paper; True: BNNeck of the re-id strong baseline
    scale: float = Field(default=0.0, ge=0)  # 0: plain softmax (paper); above: scaled cosines
    imitation: float = Field(default=1.0, ge=0)  # ours; of the head of kept_by = "trained", where there is one
    centre: float = Field(default=0.0, ge=0)  # not in the paper; Wen et al. 2016, 5e-4 in the strong baseline and CTL


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
    start: str = "none"  # backbone weights (none, pretrained: timm's own, a file), or a bundle's folder: all
    kept_start: str = "$DPRNET_DATA/weights/mobilenet_v2_imagenet.safetensors"  # what network.kept keeps
    frozen_stages: int = Field(default=0, ge=0, le=4)  # of the backbone, the first ones; at 2 training is twice as fast
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
    blend: float = Field(default=0.0, ge=0, lt=1)  # ours; share of the start in what is exported, see runs.blend
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
        network.backbone.freeze(recipe.frozen_stages)
        self.network: EmbedderNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        loss = recipe.loss
        # Without its term the branch would only cost memory.
        rows = classes if loss.classification else 0
        self.branch = InstanceClassifier(network.trained, rows, neck=loss.neck, scale=loss.scale) if rows else None
        self.memory = Memory(loss.memory if loss.distance == "contrast" else 0, network.trained)
        self.augment = BatchAugment(recipe.augment, recipe.network.trained_image_size or recipe.network.image_size)
        self.light = torch.tensor([source.light for source in recipe.data])
        self.centres = nn.Parameter(torch.randn(classes, network.trained)) if loss.centre else None

    def losses(self, images: Tensor, classes: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        """Terms of Eq. 8, what is added to them, and their sum.

        Args:
            images: (B, 3, T, T) as augmented.
            classes: (B,).
            kept: (B, K) what the head that imitates is to give, 0 throughout where nothing.
        """
        told = self.network.told(images)
        features = self.network.features(told)
        loss = self.recipe.loss
        with torch.autocast(features.device.type, enabled=False):  # cosines of 8 bits cannot tell look-alikes apart
            terms = self._terms(features, classes)
            added = {}
            if self.centres is not None:
                added["centre"] = loss.centre * centre(features, classes, self.centres)
            if self.network.imitation is not None and kept is not None:
                added["imitation"] = loss.imitation * imitation(self.network.imitation(told.float()), kept.float())
            return {**terms, **added, "total": torch.stack([terms["total"], *added.values()]).sum()}

    def _terms(self, features: Tensor, classes: Tensor) -> dict[str, Tensor]:
        settings = self.recipe.loss
        vectors = functional.normalize(features, dim=1) if settings.normalise else features
        if settings.distance == "centroid":
            distance = centroid_triplet(vectors, classes, settings.margin)
        elif settings.distance == "contrast":
            vectors = functional.normalize(features, dim=1)
            distance = contrast(vectors, classes, *self.memory.content(), settings.temperature)
            self.memory.add(vectors, classes)
        else:
            distance = batch_hard(vectors, classes, settings.margin, squared=settings.squared)
        if self.branch is None:
            return {"distance": distance, "total": distance}
        classification = smoothed_cross_entropy(self.branch(features), classes, settings.epsilon)
        total = retrieval_loss(settings.classification * classification, distance)
        return {"classification": classification, "distance": distance, "total": total}

    def images(self, cache: PhotoCache, batch: PKBatch, step: int, device: torch.device) -> Tensor:
        """(B, 3, T, T) the photos of a batch, augmented; the same whenever this step comes."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        variants, seeds = torch.from_numpy(batch.variants), torch.from_numpy(batch.instances)
        light = self.light[torch.from_numpy(cache.source[batch.photos])]
        images = self.augment(as_batch(cache.images[batch.photos], device), variants, seeds, generator, light)
        return images.contiguous(memory_format=torch.channels_last)


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


def start_network(network: EmbedderNetwork, recipe: EmbedderRecipe, cache: PhotoCache) -> None:
    """The start weights of the recipe, and a first fc from some photos (unless a bundle brings one).

    Raises:
        MissingFile: no start weights there.
        BadRecipe, BadBundle: they are of another network.
    """
    path = Path(os.path.expandvars(recipe.start))
    some = _some(recipe, cache)
    beside = network.kept is not None or network.shades is not None
    if (path / MANIFEST).is_file():
        bundle = Bundle.from_pretrained(path)
        known = {name: bundle.settings("embedder").get(name, 0) for name in ("kept", "shades")}
        by = bundle.settings("embedder").get("kept_by", "start")
        plain = EmbedderNetwork(recipe.network.model_copy(update={"standard": False, "kept_by": by, **known}))
        load_weights(plain, bundle.weights("embedder"), str(path))
        network.load_state_dict(plain.state_dict(), strict=False)
        network.settle_standard(some)
        beside = any(getattr(recipe.network, name) != size for name, size in known.items())
    elif recipe.start not in ("none", "pretrained"):
        load_imagenet(network.backbone, _weights(recipe.start), batch_norm=recipe.network.batch_norm)
    if beside:
        if network.kept is not None:
            load_imagenet(network.kept.backbone, _weights(recipe.kept_start), batch_norm=recipe.network.batch_norm)
        network.settle_beside(some)
    if recipe.settle:
        network.settle(some, colour=recipe.settle)


def _weights(start: str) -> dict[str, Tensor]:
    path = Path(os.path.expandvars(start))
    if not path.is_file():
        raise MissingFile(path, "no start weights here (is DPRNET_DATA set?); start = 'none' begins at random")
    return load_file(path)


def _some(recipe: EmbedderRecipe, cache: PhotoCache) -> Tensor:
    """Some photos of the training set, (M, 3, S, S)."""
    rows = np.random.default_rng(recipe.seed).choice(len(cache), min(SETTLE_ON, len(cache)), replace=False)
    size = (recipe.network.image_size,) * 2
    return functional.interpolate(as_batch(cache.images[rows]), size, mode="bilinear", antialias=True)
