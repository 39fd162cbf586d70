"""SEAM attention: frames attend to one another, then a learned weight of each frame makes one vector.

After SEAM Match-RCNN (Godi et al. 2021), on cached features: a non-local block (Wang et al. 2018) over the frames'
vectors and a softmax over a linear score of each frame. Its match head judged pairs; ours is trained as an embedding
against the photos of the batch, so that it searches a gallery as every other method does (ours).

    B  garments      T  frames      D  numbers of a vector
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from dprnet.core.config import Settings
from dprnet.core.errors import BadDataset
from dprnet.core.records import FloatArray
from dprnet.evaluate.baselines import Method, Views
from dprnet.evaluate.tracklets import Batch, Tracklet, batches

log = logging.getLogger(__name__)


class SeamConfig(Settings):
    """Size and training of the attention."""

    inner: int = Field(64, ge=1)  # ours: a quarter of the tiny bundle's vectors; the original halves its channels
    frames: int = Field(16, ge=2)  # ours: of a training tracklet; the original takes 10
    temperature: float = Field(0.07, gt=0)  # ours: usual for contrast with the other items of a batch
    batch: int = Field(32, ge=2)  # ours
    learning_rate: float = Field(1e-3, gt=0)  # ours
    epochs: int = Field(60, ge=1)  # ours


class Seam(nn.Module):
    """(B, T, D) vectors of frames -> (B, D) vectors of garments, each of length 1."""

    def __init__(self, size: int, config: SeamConfig) -> None:
        super().__init__()
        self.query = nn.Linear(size, config.inner)
        self.key = nn.Linear(size, config.inner)
        self.value = nn.Linear(size, config.inner)
        self.back = nn.Linear(config.inner, size)
        self.weight = nn.Linear(size, 1)
        # An untrained SEAM is the mean vector (Avg-desc): what it learns is the difference.
        for layer in (self.back, self.weight):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Attend, weigh, add up, normalise."""
        attention = torch.softmax(self.query(frames) @ self.key(frames).transpose(1, 2), dim=2)
        seen = frames + self.back(attention @ self.value(frames))
        weights = torch.softmax(self.weight(seen), dim=1)
        return functional.normalize((weights * seen).sum(dim=1), dim=1)


def seam_loss(network: Seam, batch: Batch, temperature: float) -> torch.Tensor:
    """Cross-entropy of the right photo among the photos of the batch; other photos of the same item do not count."""
    logits = network(batch.frames) @ batch.photos.T / temperature
    others = batch.same & ~torch.eye(len(batch.same), dtype=torch.bool)
    target = torch.arange(len(logits))
    return functional.cross_entropy(logits.masked_fill(others, -torch.inf), target)


def train_seam(tracklets: Sequence[Tracklet], config: SeamConfig, seed: int) -> Seam:
    """Train on the tracklets of a set that is not measured.

    Raises:
        BadDataset: fewer than two tracklets.
    """
    if len(tracklets) < 2:
        raise BadDataset("training set of SEAM", f"holds {len(tracklets)} garments with an item; it takes two or more")
    generator = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = Seam(tracklets[0].vectors.shape[1], config)
        optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate)
        for epoch in range(config.epochs):
            total = steps = 0.0
            for batch in batches(tracklets, config.batch, config.frames, generator):
                loss = seam_loss(network, batch, config.temperature)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                total, steps = total + float(loss.detach()), steps + 1
            log.debug("SEAM, seed %d, epoch %d: loss %.4f", seed, epoch, total / max(steps, 1))
    return network.eval()


def seam_method(network: Seam) -> Method:
    """A trained SEAM as a method of the comparison."""

    def scores(views: Views) -> FloatArray:
        with torch.inference_mode():
            vector: FloatArray = network(torch.from_numpy(views.vectors)[None]).numpy()
        return views.shelf.similarity(vector)

    return scores
