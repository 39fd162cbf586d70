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

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadBundle
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import FloatArray, IntArray
from dprnet.data.shopset import ShopSet
from dprnet.embed.embedder import as_batch, load_weights
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.evaluate.photo_sets import LoadedSets, load_sets, luma_sets, turned_task
from dprnet.evaluate.retrieval import item_ranks, owners

GRID = tuple(round(0.05 * step, 2) for step in range(13))  # ours: 0 to 0.6
LEAST_TRAINED = 0.3  # ours: share that stays with the trained part
TEMPERATURES = (0.02, 0.03, 0.05, 0.08, 0.12)  # ours: of cosines, for the probability of an item
LEAST_PROBABILITY = 1e-9  # ours: one query that is hopelessly wrong decides nothing
BATCH = 32


@dataclass(frozen=True, slots=True)
class ShareTrial:
    """Two shares and what they give."""

    kept: float
    shades: float
    recall: tuple[float, ...]
    """Recall@1 of each task."""
    value: float
    """What is made large: the mean log of the probability of the right item over the queries of all tasks.

    The probability of an item is a softmax over the gallery's cosines at the temperature that suits best. Recall@1 of a
    few photos moves in steps; this counts by how much each query is right or wrong.
    """


@dataclass(frozen=True, slots=True)
class ShareFit:
    """The fitted shares and every trial, best first."""

    best: ShareTrial
    trials: tuple[ShareTrial, ...]
    tasks: tuple[str, ...]
    queries: tuple[int, ...]
    """Of each task."""


@dataclass(frozen=True, slots=True)
class BothShares:
    """Shares between shop photos, and of a view in a video that asks for one (:mod:`dprnet.embed.shares`)."""

    photos: ShareFit | None
    """None without real photos: the views' shares are taken for both."""
    views: ShareFit

    def write_table(self, path: Path) -> None:
        """Write all trials as CSV."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["asked", "kept_share", "shades_share", "recall", "value"])
            for asked, fit in (("photos", self.photos), ("views", self.views)):
                for trial in fit.trials if fit is not None else ():
                    recall = " ".join(f"{one:.4f}" for one in trial.recall)
                    writer.writerow([asked, trial.kept, trial.shades, recall, round(trial.value, 4)])


def calibrate_shares(
    folder: Path, data: Path, *, photos: Path | None = None, grid: Sequence[float] = GRID, progress: Progress = SILENT
) -> BothShares:
    """Fit the shares on validation data and store them in the bundle of a folder.

    The shares of views are fitted on true views of the set's garments, the best one and the best that is not frontal;
    those between photos on the back and alternative views of the catalogue's validation products.

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
    parts = _parts(network.eval(), loaded, progress)
    views, shop = (LoadedSets(loaded.cache, sets) for sets in (loaded.sets[:1], loaded.sets[1:]))
    # Every part counts a little between photos: a view can weigh only what the photos' vectors hold.
    between = fit_shares(shop, parts, [share for share in grid if share > 0]) if photos else None
    fit = BothShares(between, fit_shares(views, parts, grid))
    best = (between or fit.views).best
    settings: dict[str, Any] = {"kept_share": best.kept, "shades_share": best.shades}
    if between is not None:
        settings |= {"view_kept_share": fit.views.best.kept, "view_shades_share": fit.views.best.shades}
    origin = {"set": ShopSet.open(data).id, "recall_at_1": _recalls(fit)}
    made = dict(bundle.settings("embedder")) | settings
    save_pretrained(folder, bundle.name, {"embedder": made}, {}, origin={"shares": origin})
    return fit


def fit_shares(loaded: LoadedSets, parts: Sequence[FloatArray | None], grid: Sequence[float] = GRID) -> ShareFit:
    """Try all pairs of shares: ``parts`` are the trained, the kept and the shades, each (N, K) of length 1, or None."""
    asked = []
    for _, queries, gallery in loaded.sets:
        owner, wanted = owners(loaded.photos(queries), loaded.photos(gallery))
        cosines = [None if part is None else part[queries] @ part[gallery].T for part in parts]
        asked.append((cosines, owner, wanted))
    sizes = tuple(len(queries) for _, queries, _ in loaded.sets)
    trials = []
    for kept in grid if parts[1] is not None else (0.0,):
        for shades in grid if parts[2] is not None else (0.0,):
            left = 1 - kept - shades
            if left < LEAST_TRAINED:
                continue
            recall, told = [], []
            for cosines, owner, wanted in asked:
                weighed = zip(cosines, (left, kept, shades), strict=True)
                similarity: Any = sum(part * np.float32(share) for part, share in weighed if part is not None)
                recall.append(float((item_ranks(similarity, owner, wanted) == 1).mean()))
                told.append(log_probability(similarity, owner, wanted))
            value = float(np.concatenate(told, axis=1).mean(axis=1).max())
            trials.append(ShareTrial(kept, shades, tuple(recall), value))
    trials.sort(key=lambda trial: (-trial.value, trial.kept + trial.shades))
    return ShareFit(trials[0], tuple(trials), tuple(name for name, _, _ in loaded.sets), sizes)


def log_probability(similarity: FloatArray, owner: IntArray, wanted: IntArray) -> FloatArray:
    """Log of the probability of the right item of each query at each temperature, (T, Q).

    Args:
        similarity: (Q, G) cosines.
        owner: (G,) item of each photo of the gallery.
        wanted: (Q,) item of each query.

    >>> found = log_probability(np.array([[0.9, 0.9]], np.float32), np.array([0, 1]), np.array([0]))
    >>> bool(np.allclose(np.exp(found), 0.5))
    True
    """
    right = owner[None] == wanted[:, None]
    above = similarity - similarity.max(axis=1, keepdims=True)
    rows = []
    for temperature in TEMPERATURES:
        weight = np.exp(above.astype(np.float64) / temperature)
        rows.append(np.log(np.maximum((weight * right).sum(axis=1) / weight.sum(axis=1), LEAST_PROBABILITY)))
    return np.array(rows)


def _recalls(fit: BothShares) -> dict[str, float]:
    both = [one for one in (fit.photos, fit.views) if one is not None]
    return {task: recall for one in both for task, recall in zip(one.tasks, one.best.recall, strict=True)}


def _parts(network: EmbedderNetwork, loaded: LoadedSets, progress: Progress) -> list[FloatArray | None]:
    """The trained, kept and plain-colour vectors of every photo."""
    images = loaded.cache.images
    found: list[list[torch.Tensor]] = [[], [], []]
    firsts = range(0, len(images), BATCH)
    with torch.inference_mode():
        for first in progress.track(firsts, "embedding", len(firsts)):
            batch = as_batch(images[first : first + BATCH])
            for rows, part in zip(found, network.parts(batch), strict=True):
                if part is not None:
                    rows.append(part)
    return [torch.cat(rows).numpy() if rows else None for rows in found]
