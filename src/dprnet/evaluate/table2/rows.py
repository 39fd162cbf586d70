"""One row of the comparison: a method, a seed, and where it ranked every query; kept on disk, so a run resumes.

rows/METHOD-seed0.json       ranks of the test tasks
trials/METHOD-0.0001.json    ranks of the validation tasks, one file a learning rate
runs/...                     checkpoint (while a training is under way) and log of each
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.config import Settings
from dprnet.core.errors import BadRecipe
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import FloatArray
from dprnet.evaluate.kept import digest_of
from dprnet.evaluate.photo_sets import LoadedSets
from dprnet.evaluate.rerank import Described, describe, similarities
from dprnet.evaluate.retrieval import average_precisions, item_ranks, owners
from dprnet.train.methods.base import Method
from dprnet.train.methods.recipe import Table2Recipe, UnitRecipe, unit_of
from dprnet.train.methods.training import Material, device_of, train_unit
from dprnet.train.runs import CHECKPOINT, write_atomic

log = logging.getLogger(__name__)

NOWHERE = 0  # the rank of a right item that the gallery does not hold


class TaskRanks(Settings):
    """What became of the queries of one task; the tuples are parallel."""

    name: str
    gallery_photos: int
    gallery_items: int
    instances: tuple[str, ...]
    """The garment of each query."""
    ranks: tuple[int, ...]
    """Rank of the right item, from 1; 0 where the gallery has it not."""
    precisions: tuple[float, ...]
    """Average precision over the gallery's photos."""

    def hits(self, k: int) -> FloatArray:
        """(Q,) 1 where the right item is among the first k."""
        ranks = np.array(self.ranks)
        found: FloatArray = ((ranks != NOWHERE) & (ranks <= k)).astype(np.float32)
        return found


class Row(Settings):
    """A method and seed, measured."""

    method: str
    seed: int
    lr: float
    recipe: dict[str, Any]
    """All that was trained, with every default."""
    measured: str
    """Hash of the tasks and of the length of the short list."""
    tasks: tuple[TaskRanks, ...]
    seconds: float
    """Of training and measuring, as far as this run did it."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What every row of a comparison shares."""

    recipe: Table2Recipe
    out: Path
    material: Material
    progress: Progress = SILENT


def method_row(bench: Bench, method: str, seed: int, lr: float, tasks: LoadedSets) -> Row:
    """The row of a method and seed: read, or trained and measured.

    Raises:
        BadRecipe: the folder holds a row of another recipe or of other tasks.
    """
    unit = unit_of(bench.recipe, method, seed=seed, lr=lr, images=bench.recipe.images)
    return _row(bench, unit, f"rows/{method}-seed{seed}", tasks)


def best_rate(bench: Bench, method: str, tasks: LoadedSets) -> tuple[float, dict[float, float]]:
    """The learning rate of the highest mean average precision on the validation tasks (of equals the lowest).

    Returns:
        The rate, and what each reached.
    """
    reached = {}
    for lr in sorted(bench.recipe.rates):
        unit = unit_of(bench.recipe, method, seed=bench.recipe.seeds[0], lr=lr, images=bench.recipe.trial_images)
        row = _row(bench, unit, f"trials/{method}-{lr:g}", tasks)
        reached[lr] = float(np.mean([value for task in row.tasks for value in task.precisions]))
    return max(reached, key=lambda lr: (reached[lr], -lr)), reached


def _row(bench: Bench, unit: UnitRecipe, name: str, tasks: LoadedSets) -> Row:
    path, key = bench.out / f"{name}.json", tasks_key(tasks, bench.recipe.short)
    if (known := _read(path, unit, key)) is not None:
        return known
    since = time.monotonic()
    folder = bench.out / "runs" / name
    method = train_unit(unit, folder, bench.material, device=bench.recipe.device, progress=bench.progress)
    found = measure(method, tasks, bench.recipe)
    row = Row(
        method=unit.method,
        seed=unit.seed,
        lr=unit.lr,
        recipe=unit.model_dump(mode="json"),
        measured=key,
        tasks=found,
        seconds=time.monotonic() - since,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (row.model_dump_json(indent=1) + "\n").encode())
    # The row says all that the table needs; thirty checkpoints would fill a small disk.
    (folder / CHECKPOINT).unlink(missing_ok=True)
    log.info("%s: %s", name, ", ".join(f"{task.name} R@1 {task.hits(1).mean():.3f}" for task in found))
    return row


def measure(method: Method, tasks: LoadedSets, recipe: Table2Recipe) -> tuple[TaskRanks, ...]:
    """A trained method on all tasks."""
    device = device_of(recipe.device)
    method.to(device)
    return _ranks(tasks, describe(method, tasks.cache, device), recipe, method)


def measure_vectors(vectors: FloatArray, tasks: LoadedSets, recipe: Table2Recipe) -> tuple[TaskRanks, ...]:
    """Vectors of a floor, (N, D) over the photos of the cache, on all tasks."""
    return _ranks(tasks, Described(vectors), recipe, None)


def _ranks(tasks: LoadedSets, seen: Described, recipe: Table2Recipe, method: Method | None) -> tuple[TaskRanks, ...]:
    found = []
    for name, asked, shop in tasks.sets:
        if method is None:
            similarity: FloatArray = seen.vectors[asked] @ seen.vectors[shop].T
        else:
            similarity = similarities(method, seen, asked, shop, short=recipe.short, device=device_of(recipe.device))
        queries, gallery = tasks.photos(asked), tasks.photos(shop)
        owner, wanted = owners(queries, gallery)
        ranks = item_ranks(similarity, owner, wanted)
        found.append(
            TaskRanks(
                name=name,
                gallery_photos=len(gallery),
                gallery_items=int(owner.max()) + 1,
                instances=tuple(photo.instance for photo in queries),
                ranks=tuple(int(rank) if np.isfinite(rank) else NOWHERE for rank in ranks),
                precisions=tuple(float(value) for value in average_precisions(similarity, owner, wanted)),
            )
        )
    return tuple(found)


def tasks_key(tasks: LoadedSets, short: int) -> str:
    """Changes with any photo of any task."""
    shots = [(str(shot.photo.path), shot.frame, shot.photo.box_xyxy) for shot in tasks.cache.shots]
    sets = [(name, asked.tolist(), shop.tolist()) for name, asked, shop in tasks.sets]
    return digest_of({"shots": shots, "sets": sets, "short": short, "side": int(tasks.cache.images.shape[1])})


def _read(path: Path, unit: UnitRecipe, key: str) -> Row | None:
    if not path.is_file():
        return None
    try:
        row = Row.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError:
        log.warning("%s is damaged; it is made again", path)
        return None
    wanted: dict[str, Any] = json.loads(unit.model_dump_json())
    changed = [name for name, value in wanted.items() if row.recipe.get(name) != value]
    if row.measured != key:
        changed.append("tasks")
    if changed:
        sentence = f"a row of another comparison ({_listed(changed)} differ); take another folder, or remove this file"
        raise BadRecipe(path, sentence)
    return row


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
