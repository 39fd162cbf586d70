"""The folder of a training run: recipe, log and checkpoint, each written so that a kill leaves the old or the new one.

recipe.json              what is trained, with every default filled in
boards                   the same for TensorBoard, with pictures
log.csv                  a row every few steps: step, seconds, learning rate, every term of the loss
checkpoint.safetensors   network, averaged network, optimiser and step: all that is needed to go on
start.safetensors        the weights that training began with, where the recipe blends them in afterwards
"""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dprnet.core.config import Settings
from dprnet.core.errors import BadBundle, BadRecipe, DprnetError, MissingFile, NoSpace
from dprnet.core.records import Image
from dprnet.train.boards import BOARDS, Boards

RECIPE = "recipe.json"
LOG = "log.csv"
CHECKPOINT = "checkpoint.safetensors"
START = "start.safetensors"
PICTURES_EVERY = 20  # ours: rows of the log from one set of pictures to the next
FREE_TO_CHANGE = frozenset(
    {"workers", "checkpoint_every", "log_every", "device", "devices", "blend"}
)  # no trained weight depends on them

State = dict[str, Tensor]


class TrainingDiverged(DprnetError):
    """A loss or gradient became NaN or infinite."""

    code = "training_diverged"


class Run:
    """One training run on disk.

    Args:
        folder: made where missing.
        recipe: compared with the one the folder holds.
        resume: go on from the folder's checkpoint; False starts anew and removes it.

    Raises:
        BadRecipe: the folder holds a run of another recipe.
        BadBundle: the checkpoint is damaged.
        NoSpace: the disk is full.
    """

    def __init__(self, folder: Path, recipe: Settings, *, resume: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        values = recipe.model_dump(mode="json")
        if resume and (folder / CHECKPOINT).is_file():
            _same_recipe(folder / RECIPE, recipe)
        else:
            (folder / CHECKPOINT).unlink(missing_ok=True)
            (folder / LOG).unlink(missing_ok=True)
            shutil.rmtree(folder / BOARDS, ignore_errors=True)
        write_atomic(folder / RECIPE, (json.dumps(values, indent=1) + "\n").encode())
        self.state, self.step = read_checkpoint(self.checkpoint) if self.checkpoint.is_file() else ({}, 0)
        _forget_after(folder / LOG, self.step)
        self.watch: Callable[[], Mapping[str, Image]] | None = None
        """Makes pictures for TensorBoard, asked now and then."""
        self._boards: Boards | None = None
        self._rows = 0

    @property
    def checkpoint(self) -> Path:
        """The file from which the run can go on."""
        return self.folder / CHECKPOINT

    def save(self, step: int, state: Mapping[str, Tensor]) -> Path:
        """Write the checkpoint of a finished step; until it is complete the old one stays."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        write_atomic(self.checkpoint, save(tensors, metadata={"step": str(step)}))
        return self.checkpoint

    def keep_start(self, state: Mapping[str, Tensor]) -> None:
        """Write the weights that training begins with, for :func:`blend` afterwards."""
        write_atomic(self.folder / START, save({name: value.detach().contiguous() for name, value in state.items()}))

    def log(self, row: Mapping[str, float]) -> None:
        """Add a row to log.csv (the first row names the columns) and to TensorBoard, now and then with pictures."""
        path = self.folder / LOG
        new = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
        if self._boards is None:
            self._boards = Boards(self.folder, self.step)
        self._boards.row(row)
        self._rows += 1
        if self.watch is not None and self._rows % PICTURES_EVERY == 1:
            self._boards.pictures(int(row["step"]), self.watch())


def blend(folder: Path, state: State, share: float) -> State:
    """Weights between those of a run's start and trained ones: ``share`` of the start, the rest of ``state``.

    What is trained on little data forgets some of what its start knew; the mean of both keeps most of the one and of
    the other (WiSE-FT, Wortsman et al. 2022).

    Raises:
        MissingFile: the run kept no start.
        BadBundle: its start is damaged, or of another network.
    """
    if not share:
        return state
    path = folder / START
    if not path.is_file():
        raise MissingFile(path, "the run kept no start to blend with; set blend = 0 or train anew")
    try:
        start = load_file(path)
        return {
            name: torch.lerp(value, start[name].to(value), share) if value.is_floating_point() else value
            for name, value in state.items()
        }
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise BadBundle(path, f"not the start of this run ({error})") from None


def read_checkpoint(path: Path) -> tuple[State, int]:
    """Tensors by name and the step after which they were written.

    Raises:
        BadBundle: not a checkpoint of ours, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            step = int((file.metadata() or {})["step"])
            return {name: file.get_tensor(name) for name in file.keys()}, step  # noqa: SIM118 (no mapping)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise BadBundle(path, f"not a checkpoint ({error}); start anew without resuming") from None


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a kill or a full disk leaves the old one.

    Raises:
        NoSpace: the disk is full.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(path, "the disk is full; the earlier file is intact") from None
        raise


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


def _same_recipe(path: Path, recipe: Settings) -> None:
    """Compare with the run's recipe; a setting that it does not have yet counts as its default."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        found = type(recipe).model_validate(kept).model_dump(mode="json")
    except (OSError, ValueError):  # also what pydantic raises
        raise BadRecipe(path, "the run's recipe cannot be read; start anew without resuming") from None
    for name, value in sorted(recipe.model_dump(mode="json").items()):
        if name not in FREE_TO_CHANGE and found[name] != value:
            raise BadRecipe(
                path,
                f"the folder holds a run with another '{name}'; take another folder, or start anew without resuming",
            )


def _forget_after(path: Path, step: int) -> None:
    """Drop the rows of steps that will be done again."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    kept = lines[:1] + [line for line in lines[1:] if line.split(",")[0].isdigit() and int(line.split(",")[0]) <= step]
    write_atomic(path, "".join(kept).encode())
