"""Figure 7 (a query and the five photos found first) and figure 8 (where the embedder looks), as pictures and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import BoolArray, FloatArray, Image, IntArray
from dprnet.embed.attention import attention
from dprnet.embed.embedder import as_batch, load_weights
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.embed.shares import as_views
from dprnet.evaluate.photo_sets import LoadedSets, PhotoSet, load_sets
from dprnet.evaluate.reproduce.artefact import Artefact, Claim
from dprnet.evaluate.reproduce.curves import sheet
from dprnet.train.photos import PhotoCache

FIRST = 5  # paper, figure 7
ROWS = 6  # ours: half of them found, half not
GROUND = 250  # ours: darker pixels belong to a photo; JPEG and scaling leave white not quite white
SQUARE = 1.95  # inches: a square picture and a line of text
BATCH = 64
HOT = np.array([[13, 8, 135], [156, 23, 158], [237, 121, 83], [240, 249, 33]], np.float32)
"""Corners of a dark-to-bright scale that people with colour blindness can read."""


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """One task searched with one embedder."""

    network: EmbedderNetwork
    cache: PhotoCache
    asked: IntArray
    """(Q,) rows of the cache."""
    found: IntArray
    """(Q, FIRST) rows of the photos found, best first."""
    similarity: FloatArray
    """(Q, FIRST)."""
    vectors: FloatArray
    """(N, D) of the cache."""

    def right(self, row: int) -> list[bool]:
        """Whether each photo found for a query shows its garment."""
        wanted = self.cache.shots[self.asked[row]].photo.instance
        return [self.cache.shots[photo].photo.instance == wanted for photo in self.found[row]]


def search_task(bundle: Bundle, task: PhotoSet, *, device: str = "cpu", progress: Progress = SILENT) -> Searched:
    """Every query of a task searched with the embedder of a bundle.

    Raises:
        BadBundle: the bundle has no embedder.
        BadDataset: a task without queries or gallery.
    """
    config = parse_settings(dict(bundle.settings("embedder")), EmbedderConfig, f"{bundle.name}.embedder")
    network = EmbedderNetwork(config)
    load_weights(network, bundle.weights("embedder"), str(bundle.folder))
    sets = load_sets([task], config.image_size, progress, fit=config.fit, fill=config.fill)
    return search_with(network.to(device).eval(), sets)


def search_with(network: EmbedderNetwork, sets: LoadedSets) -> Searched:
    """The first task of some loaded ones, searched with a network in evaluation mode."""
    _, asked, shop = sets.sets[0]
    where, images = next(network.parameters()).device, sets.cache.images
    with torch.inference_mode():
        batches = (as_batch(images[first : first + BATCH], where) for first in range(0, len(images), BATCH))
        vectors: FloatArray = torch.cat([network(batch).float().cpu() for batch in batches]).numpy()
    videos = any(sets.cache.shots[row].photo.domain == "video" for row in asked.tolist())
    asking = as_views(vectors[asked], network.config) if videos else vectors[asked]
    similarity: FloatArray = asking @ vectors[shop].T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :FIRST]
    return Searched(network, sets.cache, asked, shop[order], np.take_along_axis(similarity, order, axis=1), vectors)


def figure7(searched: Searched, out: Path) -> Artefact:
    """Queries with the photos found first, right and wrong marked: evenly chosen of those found and of those missed."""
    rows = chosen_rows(searched, ROWS)
    cells = []
    for row in rows:
        shown = [(searched.cache.images[searched.asked[row]], "query", False)]
        for photo, score, good in zip(searched.found[row], searched.similarity[row], searched.right(row), strict=True):
            shown.append((searched.cache.images[photo], f"{'right' if good else 'wrong'}, {score:.2f}", good))
        cells.append(shown)
    titles = ["found" if searched.right(row)[0] else "not first" for row in rows]
    first = [searched.right(row)[0] for row in range(len(searched.asked))]
    return Artefact(
        name="figure7",
        title="The five photos found first",
        published="Examples: most garments are found; occluded, badly seen and cropped queries fail.",
        claims=(_failures(searched, first),),
        pictures=(sheet(cells, titles, out / "figure7.png", row_height=SQUARE),),
        notes=("A frame marks a right photo; below each its cosine with the query. Half of the rows are failures.",),
        figures={"rows": [_names(searched, row) for row in rows], "right_first": float(np.mean(first))},
    )


def figure8(searched: Searched, out: Path) -> Artefact:
    """Queries with where the network looks: by the length of its features, and by what speaks for the photo found."""
    rows = chosen_rows(searched, ROWS)
    picked = searched.asked[rows]
    where = next(searched.network.parameters()).device
    images = as_batch(searched.cache.images[picked], where)
    best = torch.from_numpy(searched.vectors[searched.found[rows, 0]]).to(where)
    kinds = {"features": attention(searched.network, images), "similarity": attention(searched.network, images, best)}
    cells = []
    for place, row in enumerate(rows):
        photo = searched.cache.images[picked[place]]
        inside = without_ground(photo)
        shown = [(photo[inside], "query", False)]
        shown += [(overlaid(photo, maps[place].cpu().numpy(), inside), name, False) for name, maps in kinds.items()]
        shown.append((searched.cache.images[searched.found[row, 0]], "found first", searched.right(row)[0]))
        cells.append(shown)
    return Artefact(
        name="figure8",
        title="Where the embedder looks",
        published="Attention maps: the network looks at what tells garments apart, such as pattern, text and texture.",
        pictures=(sheet(cells, [""] * len(cells), out / "figure8.png", row_height=SQUARE),),
        notes=(
            "features: the length of each cell's features in the last map. similarity: Grad-CAM of the cosine with the "
            "photo found first. Each map is stretched over its photo, dark to bright. How the paper made its maps is "
            "not stated. Colours are counted beside this map.",
        ),
        figures={"rows": [_names(searched, row) for row in rows]}
        | {name: [maps[place].cpu().tolist() for place in range(len(rows))] for name, maps in kinds.items()},
    )


def chosen_rows(searched: Searched, most: int) -> list[int]:
    """Queries to show, in order: evenly spaced ones that were answered, then ones that were not; half of each while
    there are enough."""
    right = [row for row in range(len(searched.asked)) if searched.right(row)[0]]
    wrong = [row for row in range(len(searched.asked)) if not searched.right(row)[0]]
    failures = min(len(wrong), max(most // 2, most - len(right)))
    return [*_evenly(right, most - failures), *_evenly(wrong, failures)]


def without_ground(square: Image) -> tuple[slice, slice]:
    """Rows and columns of a square (S, S, 3) without the plain white beside a photo that is no square."""
    told: BoolArray = np.any(square < GROUND, axis=2)
    rows, columns = np.flatnonzero(told.any(axis=1)), np.flatnonzero(told.any(axis=0))
    if not len(rows):
        return slice(0, square.shape[0]), slice(0, square.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def overlaid(image: Image, strength: FloatArray, inside: tuple[slice, slice] | None = None) -> Image:
    """A part of an image (H, W, 3) with a map (h, w) laid over it, dark where the part is looked at least.

    Without ``inside``, the whole. The map is stretched over the part: white ground beside a photo would else outshine
    what differs within it.
    """
    height, width = image.shape[:2]
    cells = torch.from_numpy(np.asarray(strength, np.float32))[None, None]
    fine = functional.interpolate(cells, size=(height, width), mode="bilinear")[0, 0].clamp(0, 1).numpy()
    if inside is not None:
        image, fine = image[inside], fine[inside]
        fine = (fine - fine.min()) / max(float(fine.max() - fine.min()), 1e-6)
    place = fine * (len(HOT) - 1)
    low = np.minimum(place.astype(int), len(HOT) - 2)
    part = (place - low)[..., None]
    colour = HOT[low] * (1 - part) + HOT[low + 1] * part
    made: Image = (0.45 * image + 0.55 * colour).clip(0, 255).astype(np.uint8)
    return made


def _failures(searched: Searched, first: Sequence[bool]) -> Claim:
    """Whether queries that are no frontal views fail more often."""
    frontal = np.array([searched.cache.shots[row].photo.viewpoint == 0 for row in searched.asked])
    known = np.array([searched.cache.shots[row].photo.viewpoint >= 0 for row in searched.asked])
    hits = np.array(first)
    groups = (known & frontal, known & ~frontal)
    published = "Queries of a bad viewpoint fail more often"
    if not all(group.any() for group in groups):
        sentence = "The queries of this set do not differ in viewpoint."
        return Claim(published=published, ours="-", holds=None, difference=sentence)
    good, bad = (float(hits[group].mean()) for group in groups)
    ours = f"right first: {good:.3f} of {groups[0].sum()} frontal, {bad:.3f} of {groups[1].sum()} other queries"
    return Claim(published=published, ours=ours, holds=bad < good)


def _names(searched: Searched, row: int) -> dict[str, object]:
    shots = searched.cache.shots
    return {
        "query": shots[searched.asked[row]].photo.path.name,
        "found": [shots[photo].photo.path.name for photo in searched.found[row]],
        "right": searched.right(row),
        "similarity": [round(float(score), 4) for score in searched.similarity[row]],
    }


def _evenly(rows: Sequence[int], most: int) -> list[int]:
    return [rows[int(step)] for step in np.linspace(0, len(rows) - 1, min(most, len(rows))).round()] if rows else []
