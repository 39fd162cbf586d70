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
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from dprnet.core.config import Settings
from dprnet.core.errors import BadBundle, BadRecipe, MissingFile, NoSpace
from dprnet.core.records import Image
from dprnet.train.boards import BOARDS, Boards
from dprnet.train.state import State

RECIPE = "recipe.json"
LOG = "log.csv"
CHECKPOINT = "checkpoint.safetensors"
START = "start.safetensors"
PICTURES_EVERY = 20  # ours: rows of the log from one set of pictures to the next
FREE_TO_CHANGE = frozenset(
    {"workers", "checkpoint_every", "log_every", "device", "devices", "blend"}
)  # no trained weight depends on them


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
