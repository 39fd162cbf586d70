"""Table 2: all methods on one backbone, one set of photos, one evaluator and one budget, published figures beside ours.

What is equal: the start weights, the photos and their augmentation (step s of seed n shows every method the same
batch), the number of training photos, the learning rates tried and how long, the optimiser, the gallery and the
measure. What is not: the methods that compare pairs order a short list, as they were published.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from dprnet.core.errors import BadDataset
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import FloatArray
from dprnet.data.shopset import ShopSet
from dprnet.embed.embedder import as_batch
from dprnet.evaluate.bootstrap import Interval, difference_interval
from dprnet.evaluate.figures import plain
from dprnet.evaluate.floors import Floor
from dprnet.evaluate.photo_sets import LoadedSets, PhotoSet, load_sets, luma_sets, shopset_task
from dprnet.evaluate.reproduce.artefact import Artefact, Claim, Table, save
from dprnet.evaluate.retrieval import with_interval
from dprnet.evaluate.table2.rows import Bench, TaskRanks, best_rate, measure_vectors, method_row
from dprnet.train.methods.recipe import METHODS, Table2Recipe
from dprnet.train.methods.training import make_trunk, read_material
from dprnet.train.runs import write_atomic
from dprnet.train.shots import data_folder

log = logging.getLogger(__name__)

KS = (1, 20, 50)  # paper, Table 2
OURS = "dprnet"
FLOORS = {"imagenet": "floor: plain ImageNet network", "floor": "floor: colour histogram + ImageNet"}
BATCH = 64

Found = Mapping[str, Sequence[Sequence[TaskRanks]]]
"""Method -> seed -> task."""


def table2(
    out: Path, *, recipe: Table2Recipe | None = None, quick: bool = False, progress: Progress = SILENT
) -> Artefact:
    """Train and measure what is not there yet, and write ``table2.json`` and ``table2.md`` into a folder.

    Args:
        out: of rows, runs and table; a run that was stopped goes on here.
        recipe: the comparison; by default the one of recipes/table2/cpu.toml.
        quick: a few steps a method instead: shows that every row runs, its figures mean nothing.
        progress: shows the work.

    Raises:
        MissingFile, BadDataset: photos or start weights are not there.
        BadRecipe: the folder holds rows of another comparison.
    """
    recipe = recipe or (Table2Recipe.quick() if quick else Table2Recipe())
    side = recipe.terms.trunk.image_size
    test = load_sets(_tasks(recipe, "test", recipe.test), side, progress)
    bench = Bench(recipe, out, read_material(recipe.terms, progress), progress)
    chosen = _rates(bench, side)
    found: dict[str, list[tuple[TaskRanks, ...]]] = {name: [] for name in recipe.methods}
    for seed in recipe.seeds:  # a run that is stopped has whole seeds of all methods before it begins the next
        for name in recipe.methods:
            found[name].append(method_row(bench, name, seed, chosen[name][0], test).tasks)
    floors = {name: [ranks] for name, ranks in _floors(recipe, test).items()}
    made = _artefact(recipe, {**found, **floors}, chosen)
    save(made, out)
    write_atomic(out / "table2.md", markdown(made).encode())
    return made


def _tasks(recipe: Table2Recipe, split: str, paths: Sequence[str]) -> list[PhotoSet]:
    tasks = list(luma_sets(data_folder(), split)) if recipe.luma else []
    tasks += [shopset_task(ShopSet.open(Path(path))) for path in paths]
    if not tasks:
        raise BadDataset("table2", f"nothing to measure on ({split}); set luma = true, or name sets in '{split}'")
    return [task.thinned(*recipe.thin) for task in tasks] if recipe.thin else tasks


def _rates(bench: Bench, side: int) -> dict[str, tuple[float, dict[float, float]]]:
    """The learning rate of each method, and what the trials gave."""
    recipe = bench.recipe
    if len(recipe.rates) == 1:
        return {name: (recipe.rates[0], {}) for name in recipe.methods}
    tasks = load_sets(_tasks(recipe, "validation", recipe.validation), side, bench.progress)
    return {name: best_rate(bench, name, tasks) for name in recipe.methods}


def _floors(recipe: Table2Recipe, tasks: LoadedSets) -> dict[str, tuple[TaskRanks, ...]]:
    """The network before any training, and the recipe of the product's floor, on the same squares."""
    trunk, vectors = make_trunk(recipe.terms).eval(), []
    with torch.inference_mode():
        for first in range(0, len(tasks.cache), BATCH):
            _, coarse = trunk.maps(as_batch(tasks.cache.images[first : first + BATCH]))
            vectors.append(functional.normalize(coarse.mean(dim=(2, 3)), dim=1))
    found = {"imagenet": measure_vectors(torch.cat(vectors).numpy(), tasks, recipe)}
    weights = recipe.terms.trunk.start
    if weights != "none" and recipe.terms.trunk.backbone == "mobilenet_v2":
        found["floor"] = measure_vectors(Floor(weights)(tasks.cache.images), tasks, recipe)
    return found


def recall(seeds: Sequence[TaskRanks], k: int) -> Interval:
    """Recall@K, the mean over the seeds; the interval over garments."""
    hits = np.mean([one.hits(k) for one in seeds], axis=0)
    return with_interval(hits, np.unique(seeds[0].instances, return_inverse=True)[1])


def difference(ours: Sequence[Sequence[TaskRanks]], other: Sequence[Sequence[TaskRanks]], k: int) -> Interval:
    """Recall@K of one method less that of another over all queries of all tasks, paired over garments; the hits of a
    query are the mean over the seeds."""
    parts = []
    for seeds in (ours, other):
        hits = np.concatenate([np.mean([one[task].hits(k) for one in seeds], axis=0) for task in range(len(seeds[0]))])
        parts.append(hits)
    names = np.concatenate([task.instances for task in ours[0]])
    clusters = np.unique(names, return_inverse=True)[1]
    whole = np.bincount(clusters)
    first, second = (np.bincount(clusters, weights=hits) for hits in parts)
    return difference_interval((first, whole), (second, whole))


def _artefact(recipe: Table2Recipe, found: Found, chosen: Mapping[str, tuple[float, dict[float, float]]]) -> Artefact:
    first = next(iter(found.values()))[0]
    tables = tuple(_table(found, number, task) for number, task in enumerate(first))
    rivals = [name for name in found if name not in {OURS, *FLOORS}] if OURS in found else []
    claims = tuple(_claim(name, difference(found[OURS], found[name], 1), quick=bool(recipe.thin)) for name in rivals)
    told = [f"{name} {rate:g}" for name, (rate, _) in chosen.items()]
    notes = (
        f"Every training saw {recipe.images:,} photos of {recipe.terms.trunk.image_size} pixels, "
        f"seeds {', '.join(map(str, recipe.seeds))}; learning rates by {len(recipe.rates)} trials of "
        f"{recipe.trial_images:,} photos on validation photos: {', '.join(told)}.",
        "Published figures are of DeepFashion consumer-to-shop, which is not at hand: compare the order, not the "
        "numbers. Intervals are 95 %, over garments; a query's hit is the mean over the seeds.",
        "KPM and GRNet order the best "
        f"{recipe.short} photos of their own embedding; all others are found by their vectors alone.",
    )
    figures = {
        name: [{"task": task.name, "recall": {k: recall([one[number] for one in seeds], k) for k in KS},
                "seeds": [{k: float(one[number].hits(k).mean()) for k in KS} for one in seeds]}
               for number, task in enumerate(seeds[0])]
        for name, seeds in found.items()
    }  # fmt: skip
    return Artefact(
        name="table2",
        title="Methods of consumer-to-shop retrieval on equal terms",
        published="DPRNet is above the eight methods it is compared with, at top-1, top-20 and top-50.",
        claims=claims,
        tables=tables,
        notes=notes,
        figures=plain({"recipe": recipe.model_dump(mode="json"), "rates": dict(chosen), "methods": figures}),
    )


def _table(found: Found, number: int, task: TaskRanks) -> Table:
    rows = []
    for name, seeds in found.items():
        known = METHODS.get(name)
        published = " / ".join(f"{known.recalls[k]:.1f}" for k in KS) if known else "-"
        mine = [one[number] for one in seeds]
        less = str(difference([[one] for one in _of(found, OURS, number)], [[one] for one in mine], 1))
        rows.append(
            (
                known.title if known else FLOORS[name],
                published,
                *(str(recall(mine, k)) for k in KS),
                f"{_mean_precision(mine):.3f}",
                less if name != OURS and OURS in found else "-",
            )
        )
    title = f"{task.name}: {len(task.ranks)} queries, {task.gallery_items} items, {task.gallery_photos} photos"
    columns = ("method", "published top-1 / 20 / 50, %", *(f"Recall@{k}" for k in KS), "mAP", "DPRNet less it, R@1")
    return Table(title=title, columns=columns, rows=tuple(rows))


def _of(found: Found, name: str, number: int) -> list[TaskRanks]:
    seeds = found.get(name) or next(iter(found.values()))
    return [one[number] for one in seeds]


def _mean_precision(seeds: Sequence[TaskRanks]) -> float:
    values: FloatArray = np.array([one.precisions for one in seeds], np.float32)
    return float(values.mean())


def _claim(name: str, less: Interval, *, quick: bool) -> Claim:
    title = METHODS[name].title
    published = METHODS[OURS].recalls[1] - METHODS[name].recalls[1]
    order = f"DPRNet above {title}" if published > 0 else f"{title} above DPRNet (newer than the paper)"
    ours = f"DPRNet less {title}, Recall@1 over all tasks: {less.value:+.3f} [{less.low:+.3f}, {less.high:+.3f}]"
    if quick:
        return Claim(published=order, ours=ours, holds=None, difference="A quick run shows that it runs, nothing else.")
    agrees = less.low > 0 if published > 0 else less.high < 0
    against = less.high < 0 if published > 0 else less.low > 0
    if agrees or against:
        return Claim(published=order, ours=ours, holds=agrees)
    return Claim(published=order, ours=ours, holds=None, difference="The paired interval over garments contains 0.")


def markdown(made: Artefact) -> str:
    """The artefact as a page of Markdown."""
    lines = [f"# Table 2: {made.title}", "", f"Published: {made.published}", ""]
    for table in made.tables:
        lines += [f"## {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns))]
        lines += [*(_line(row) for row in table.rows), ""]
    if made.claims:
        words = {True: "yes", False: "no", None: "cannot be told"}
        lines += ["## The published order", "", _line(("published", "ours", "holds")), _line(["---"] * 3)]
        lines += [*(_line((claim.published, claim.ours, words[claim.holds])) for claim in made.claims), ""]
    return "\n".join([*lines, *made.notes, ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
