"""AsymNet (Cheng et al. 2017): an LSTM over the frames and a tree of gates that mixes what each frame says of an item.

On cached features: the image network is the bundle's embedder, as for every method. What the authors do not state and
no public source does is marked (?) and is a setting.

    B  garments      P  photos      T  frames (leaves of the tree)      H  hidden numbers      D  numbers of a vector
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import nn

from dprnet.core.config import Settings
from dprnet.core.errors import BadDataset
from dprnet.core.records import FloatArray
from dprnet.evaluate.baselines import Method, Views
from dprnet.evaluate.tracklets import Batch, Tracklet, batches, resampled

log = logging.getLogger(__name__)

BLOCK = 512  # ours: photos that are compared at once
SMALLEST = 1e-6  # keeps logarithms finite


class AsymNetConfig(Settings):
    """Size and training of the network."""

    frames: int = Field(8, ge=2)  # AsymNet: eight frames
    hidden: int = Field(256, ge=1)  # ours: AsymNet has 1,024; a quarter, as the vectors are a quarter of its 1,024
    layers: int = Field(2, ge=1)  # AsymNet: two LSTM layers
    negative_weight: float = Field(0.1, gt=0)  # (?) ours: w of the loss; a batch holds many more wrong pairs
    batch: int = Field(24, ge=2)  # ours
    learning_rate: float = Field(1e-3, gt=0)  # ours
    epochs: int = Field(60, ge=1)  # (?) ours: in all; a third each for leaves, gates, both

    @field_validator("frames")
    @classmethod
    def _a_power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("a binary tree needs 2, 4, 8, 16 ... frames")
        return value


class AsymNet(nn.Module):
    """Probability that a garment is the one on a photo, for every garment and photo.

    Leaf of frame t: ``X_t = BN(ReLU(FC([photo, h_t])))``, ``y_t = sigmoid(FC(X_t))``. The fc of a concatenation is a
    sum of two parts, one of the photo and one of the frame, each computed once however many pairs there are.
    """

    def __init__(self, size: int, config: AsymNetConfig) -> None:
        super().__init__()
        self.config = config
        self.lstm = nn.LSTM(size, config.hidden, config.layers, batch_first=True)
        self.of_photo = nn.Linear(size, config.hidden)
        self.of_frame = nn.Linear(config.hidden, config.hidden, bias=False)
        self.norm = nn.BatchNorm1d(config.hidden)
        self.similarity = nn.Linear(config.hidden, 1)
        levels = config.frames.bit_length() - 1
        self.gates = nn.Parameter(torch.zeros(levels, config.hidden))  # equal weights until trained

    def forward(self, frames: torch.Tensor, photos: torch.Tensor) -> torch.Tensor:
        """(B, T, D) and (P, D) -> (B, P) probabilities."""
        return self.mixed(*self.leaves(self.frame_part(frames), self.of_photo(photos)))

    def frame_part(self, frames: torch.Tensor) -> torch.Tensor:
        """What the frames bring to the leaves: (B, T, D) -> (B, T, H); once a garment."""
        part: torch.Tensor = self.of_frame(self.lstm(frames)[0])
        return part

    def leaves(self, of_frames: torch.Tensor, of_photos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What each frame says of each photo: log-odds (B, P, T), and gate scores of each level (B, P, T, L).

        A parent's X is the mean of its children's, and its gate is linear in X: so the mean of the children's scores.
        """
        x = torch.relu(of_frames[:, None] + of_photos[None, :, None])
        x = self.norm(x.flatten(0, 2)).view(x.shape)
        return self.similarity(x)[..., 0], x @ self.gates.T

    def mixed(self, odds: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """From the leaves up, (B, P, T) and (B, P, T, L) -> (B, P): siblings weighed by a softmax of their gates."""
        value = torch.sigmoid(odds.double())  # in float32 many a pair would reach exactly 1, and no order be left
        for level in range(gates.shape[-1]):
            score = gates[..., level].double()
            for _ in range(level):
                score = _siblings(score).mean(dim=-1)
            value = (torch.softmax(_siblings(score), dim=-1) * _siblings(value)).sum(dim=-1)
        return value[..., 0]


def _siblings(values: torch.Tensor) -> torch.Tensor:
    """(..., 2n) -> (..., n, 2)"""
    return values.reshape(*values.shape[:-1], -1, 2)


def leaf_loss(network: AsymNet, batch: Batch) -> torch.Tensor:
    """Each frame by itself: what the leaves are trained with first."""
    odds, _ = network.leaves(network.frame_part(batch.frames), network.of_photo(batch.photos))
    return _loss(torch.sigmoid(odds), batch.same[..., None].expand_as(odds), network.config.negative_weight)


def mixture_loss(network: AsymNet, batch: Batch) -> torch.Tensor:
    """``-[z ln P + w (1 - z) ln(1 - P)]``, mean over the pairs of the batch."""
    return _loss(network(batch.frames, batch.photos), batch.same, network.config.negative_weight)


def _loss(probability: torch.Tensor, same: torch.Tensor, weight: float) -> torch.Tensor:
    known = probability.clamp(SMALLEST, 1 - SMALLEST)
    return -torch.where(same, known.log(), weight * (1 - known).log()).mean()


def train_asymnet(tracklets: Sequence[Tracklet], config: AsymNetConfig, seed: int) -> AsymNet:
    """Leaves first, then the gates alone, then all together (?), on the tracklets of a set that is not measured.

    Raises:
        BadDataset: fewer than two tracklets.
    """
    if len(tracklets) < 2:
        raise BadDataset("training set of AsymNet", f"holds {len(tracklets)} garments with an item; it takes two")
    generator = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = AsymNet(tracklets[0].vectors.shape[1], config)
        third = max(1, config.epochs // 3)
        rest = [parameter for name, parameter in network.named_parameters() if name != "gates"]
        stages: list[tuple[Callable[[AsymNet, Batch], torch.Tensor], Iterable[nn.Parameter]]] = [
            (leaf_loss, rest),
            (mixture_loss, [network.gates]),
            (mixture_loss, list(network.parameters())),
        ]
        for number, (loss_of, parameters) in enumerate(stages):
            optimiser = torch.optim.AdamW(parameters, config.learning_rate)
            network.train()
            network.norm.train(number != 1)  # the statistics of the leaves stand still while the gates learn
            for _ in range(third):
                for batch in batches(tracklets, config.batch, config.frames, generator):
                    loss = loss_of(network, batch)
                    network.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
            log.debug("AsymNet, seed %d, stage %d done", seed, number + 1)
    return network.eval()


def asymnet_method(network: AsymNet) -> Method:
    """A trained AsymNet as a method of the comparison; it looks at every pair of garment and photo."""

    def scores(views: Views) -> FloatArray:
        frames = torch.from_numpy(resampled(views.vectors, network.config.frames))[None]
        photos = torch.from_numpy(views.shelf.vectors)
        with torch.inference_mode():
            of_frames = network.frame_part(frames)
            blocks = (photos[start : start + BLOCK] for start in range(0, len(photos), BLOCK))
            parts = [network.mixed(*network.leaves(of_frames, network.of_photo(block))) for block in blocks]
            each = torch.cat(parts, dim=1).numpy()
        best: FloatArray = np.maximum.reduceat(each, views.shelf.starts, axis=1)
        return best

    return scores
