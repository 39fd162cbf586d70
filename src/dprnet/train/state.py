"""What a training loop holds beside the network: learning rate, averaged weights, and all of it as flat tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dprnet.core.errors import DprnetError

State = dict[str, Tensor]


class TrainingDiverged(DprnetError):
    """A loss or gradient became NaN or infinite."""

    code = "training_diverged"


def learning_rate(step: int, *, steps: int, warmup: int, final: float) -> float:
    """Share of the full learning rate at a step: linear warm-up, then half a cosine down to ``final``.

    >>> [learning_rate(s, steps=10, warmup=2, final=0.0) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(steps - warmup, 1)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class Average:
    """Exponential moving average of a network's weights (``decay`` 0: the weights themselves)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` (counted from 0); early steps weigh more, so the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


def pack(network: nn.Module, average: Average, optimizer: torch.optim.Optimizer) -> State:
    """Everything a run needs to go on, as flat tensors."""
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    state |= {f"average.{name}": value for name, value in average.state.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            if value is not None:
                state[f"optimizer.{index}.{slot}"] = torch.as_tensor(value)
    return state


def unpack(state: State, network: nn.Module, average: Average, optimizer: torch.optim.Optimizer) -> None:
    """Put the tensors of :func:`pack` back."""
    network.load_state_dict(part(state, "network"))
    for name, value in part(state, "average").items():
        average.state[name].copy_(value)
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in part(state, "optimizer").items():
        index, slot = name.split(".")
        slots.setdefault(int(index), {})[slot] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})


def part(state: Mapping[str, Tensor], name: str) -> State:
    """``network``, ``average`` or ``optimizer`` of a packed state, without the prefix."""
    return {key.removeprefix(name + "."): value for key, value in state.items() if key.startswith(name + ".")}


def check_finite(step: int, terms: Mapping[str, Tensor], images: Sequence[str]) -> None:
    """Stop where a term of the loss is no number, before it reaches the weights.

    Raises:
        TrainingDiverged: naming step, terms and the batch's images.
    """
    bad = [
        f"{name} {float(value.detach())}" for name, value in terms.items() if not bool(torch.isfinite(value.detach()))
    ]
    if bad:
        raise TrainingDiverged(
            f"step {step}",
            f"the loss is not finite ({', '.join(bad)}) on the images {', '.join(images)}; "
            "the last checkpoint is intact: look at these images, or lower lr",
        )
