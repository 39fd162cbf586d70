"""Fit how much the start weights and plain colours count beside what an embedder was trained to see (docs/embed.md).

Shape legend
    N  photos    Q  queries    G  photos of a gallery    K  numbers of a part
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadBundle
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import FloatArray
from dprnet.data.shopset import ShopSet
from dprnet.embed.embedder import as_batch, load_weights
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.evaluate.photo_sets import LoadedSets, load_sets, luma_sets, turned_task
from dprnet.evaluate.retrieval import item_ranks, owners

GRID = tuple(round(0.05 * step, 2) for step in range(13))  # ours: 0 to 0.6
LEAST_TRAINED = 0.3  # ours: share that stays with the trained part
BATCH = 32


@dataclass(frozen=True, slots=True)
class ShareTrial:
    """Two shares and what they give."""

    kept: float
    shades: float
    recall: tuple[float, ...]
    """Recall@1 of each task."""
    value: float
    """What is made large: the mean reciprocal rank of the right item over the queries of all tasks.

    Recall@1 of a few photos moves in steps; every query counts alike, so that no choice hangs on one of them.
    """


@dataclass(frozen=True, slots=True)
class ShareFit:
    """The fitted shares and every trial, best first."""

    best: ShareTrial
    trials: tuple[ShareTrial, ...]
    tasks: tuple[str, ...]
    queries: tuple[int, ...]
    """Of each task."""

    def write_table(self, path: Path) -> None:
        """Write all trials as CSV."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["kept_share", "shades_share", *self.tasks, "value"])
            writer.writerows(
                [t.kept, t.shades, *(round(r, 4) for r in t.recall), round(t.value, 4)] for t in self.trials
            )


def calibrate_shares(
    folder: Path, data: Path, *, photos: Path | None = None, grid: Sequence[float] = GRID, progress: Progress = SILENT
) -> ShareFit:
    """Fit the shares on validation data and store them in the bundle of a folder.

    Asked are true views of the set's garments, the best one and the best that is not frontal, and, where the folder of
    real data is given, the back and alternative views of the catalogue's validation products.

    Args:
        folder: of the bundle; its embedder must have something beside what is trained.
        data: a validation set; never the test set.
        photos: the folder of real data.
        grid: the values tried for either share.
        progress: shows the photos read and embedded.

    Raises:
        BadBundle: the embedder has nothing whose share could be fitted.
        MissingFile, BadDataset: the set is not there, or holds no garment with an item.
    """
    bundle = Bundle.from_pretrained(folder)
    config = parse_settings(dict(bundle.settings("embedder")), EmbedderConfig, f"{bundle.name}.embedder")
    if not (config.kept or config.shades):
        raise BadBundle(folder, "its embedder has no kept features and no shades; train one with them")
    network = EmbedderNetwork(config)
    load_weights(network, bundle.weights("embedder"), str(folder))
    tasks = [turned_task(ShopSet.open(data)), *(luma_sets(photos, "validation") if photos else ())]
    loaded = load_sets(tasks, config.image_size, progress, fit=config.fit, fill=config.fill)
    fit = fit_shares(loaded, _parts(network.eval(), loaded, progress), grid)
    settings = dict(bundle.settings("embedder")) | {"kept_share": fit.best.kept, "shades_share": fit.best.shades}
    origin = {"set": ShopSet.open(data).id, "tasks": dict(zip(fit.tasks, fit.best.recall, strict=True))}
    save_pretrained(folder, bundle.name, {"embedder": settings}, {}, origin={"shares": origin})
    return fit


def fit_shares(loaded: LoadedSets, parts: Sequence[FloatArray | None], grid: Sequence[float] = GRID) -> ShareFit:
    """Try all pairs of shares: ``parts`` are the trained, the kept and the shades, each (N, K) of length 1, or None."""
    asked = []
    for _, queries, gallery in loaded.sets:
        owner, wanted = owners(loaded.photos(queries), loaded.photos(gallery))
        cosines = [None if part is None else part[queries] @ part[gallery].T for part in parts]
        asked.append((cosines, owner, wanted))
    sizes = [len(queries) for _, queries, _ in loaded.sets]
    trials = []
    for kept in grid if parts[1] is not None else (0.0,):
        for shades in grid if parts[2] is not None else (0.0,):
            left = 1 - kept - shades
            if left < LEAST_TRAINED:
                continue
            recall, reciprocal = [], []
            for cosines, owner, wanted in asked:
                weighed = zip(cosines, (left, kept, shades), strict=True)
                similarity: Any = sum(part * np.float32(share) for part, share in weighed if part is not None)
                ranks = item_ranks(similarity, owner, wanted)
                recall.append(float((ranks == 1).mean()))
                reciprocal.append(float((1 / ranks).mean()))
            trials.append(ShareTrial(kept, shades, tuple(recall), float(np.average(reciprocal, weights=sizes))))
    trials.sort(key=lambda trial: (-trial.value, trial.kept + trial.shades))
    return ShareFit(trials[0], tuple(trials), tuple(name for name, _, _ in loaded.sets), tuple(sizes))


def _parts(network: EmbedderNetwork, loaded: LoadedSets, progress: Progress) -> list[FloatArray | None]:
    """The trained, kept and plain-colour vectors of every photo."""
    images = loaded.cache.images
    found: list[list[torch.Tensor]] = [[], [], []]
    firsts = range(0, len(images), BATCH)
    with torch.inference_mode():
        for first in progress.track(firsts, "embedding", len(firsts)):
            batch = as_batch(images[first : first + BATCH])
            found[0].append(functional.normalize(network.features(batch), dim=1))
            for place, part in ((1, network.kept), (2, network.shades)):
                if part is not None:
                    found[place].append(part(batch))
    return [torch.cat(rows).numpy() if rows else None for rows in found]
