"""Which queries are asked of which gallery on each kind of data: what ``dprnet evaluate retrieval`` measures."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadDataset
from dprnet.core.images import cut_out
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import FloatArray, Image
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.data.labelled import world_photos
from dprnet.data.shopset import META, ShopSet
from dprnet.detect import Detector
from dprnet.embed.embedder import OPEN_CLIP, TIMM, Embedder
from dprnet.evaluate.deepfashion2 import DeepFashion2Figures, evaluate_deepfashion2
from dprnet.evaluate.floors import WEIGHTS, Floor
from dprnet.evaluate.photo_sets import PhotoSet, distractor_shots, shopset_task
from dprnet.evaluate.retrieval import (
    ENOUGH_PIXELS,
    RetrievalFigures,
    above,
    asking,
    figures_of,
    luma_figures,
)
from dprnet.evaluate.views import Describe
from dprnet.train.shots import Shot

AT_ONCE = 128  # ours: photos in memory

Figures = RetrievalFigures | DeepFashion2Figures


def embedder_named(name: str, *, device: str = "cpu", pretrained: bool = True) -> Embedder:
    """The embedder of a bundle, or any model of timm (``timm:NAME``) or open_clip (``open_clip:NAME``) as it is.

    Args:
        name: of the model, or of a bundle as :meth:`Bundle.from_pretrained` takes it.
        device: where it runs.
        pretrained: fetch the weights of a named model; False begins at random.

    Raises:
        BadRecipe: there is no such model, or its weights cannot be fetched.
        BadBundle, MissingFile: no such bundle.
        MissingExtra: open_clip is not installed.
    """
    if name.startswith((TIMM, OPEN_CLIP)):
        return Embedder.from_name(name, pretrained=pretrained, device=device)
    return Embedder.from_bundle(Bundle.from_pretrained(name), device=device)


def is_deepfashion2(data: Path, split: str) -> bool:
    """Whether a folder holds a split of DeepFashion2."""
    return any((data / name / "annos").is_dir() for name in (split, "."))


def detector_of(bundle: str, data: Path, split: str, *, device: str = "cpu") -> Detector | None:
    """The detector of a bundle where the data have a protocol that needs one."""
    if not is_deepfashion2(data, split):
        return None
    return Detector.from_bundle(Bundle.from_pretrained(bundle), device=device)


def measure_retrieval(
    embedder: Embedder,
    data: Path,
    *,
    split: str = "test",
    distractors: Sequence[Path] = (),
    detector: Detector | None = None,
    progress: Progress = SILENT,
) -> tuple[Figures, ...]:
    """Recall of garments in shop photos, each run beside the floor on the same queries where its weights are at hand.

    - The folder of real data: other views of the catalogue's products find their fronts, among all of clothing too.
    - A set: the true box of each garment's best view, and every true view of its single frames, in the shop's photos.
    - DeepFashion2: its own protocol from true boxes, and from detected ones where there is a detector.

    Args:
        embedder: what is measured.
        data: the folder.
        split: of the real data or of DeepFashion2.
        distractors: catalogues that make the gallery of a set larger; right for no query.
        detector: of DeepFashion2's detected boxes.
        progress: shows the photos done.

    Raises:
        BadDataset: nothing to ask, or nothing to find.
        MissingFile, BadImage, BadVideo, BadCatalogue: what cannot be read.
    """
    if is_deepfashion2(data, split):
        images = DeepFashion2(data, split)
        detectors = (detector, None) if detector is not None else (None,)
        return tuple(evaluate_deepfashion2(images, embedder, one) for one in detectors)
    weights = data / "weights" / Path(WEIGHTS).name
    weights = weights if weights.is_file() else Path(os.path.expandvars(WEIGHTS))
    describers: list[Describe] = [embedder, *([Floor(weights)] if weights.is_file() else [])]
    if not (data / META).is_file():
        found: list[tuple[RetrievalFigures, ...]] = [luma_figures(describe, data, split) for describe in describers]
    else:
        tasks = set_tasks(ShopSet.open(data), distractors)
        each = [evaluate_task(describers, task, progress) for task in tasks]
        found = list(zip(*each, strict=True))
    if len(found) == 1:
        return found[0]
    ours, floor = found
    beside = [above(one, low) for one, low in zip(ours, floor, strict=True)]
    return (*beside, *(replace(one, name=f"floor, {one.name}") for one in floor))


def set_tasks(shopset: ShopSet, distractors: Sequence[Path] = ()) -> list[PhotoSet]:
    """What can be asked of a set: best views where it has videos, all true views of its single frames where it has any.

    Raises:
        BadDataset: neither.
    """
    tasks = []
    if shopset.videos:
        tasks.append(shopset_task(shopset, distractors))
    if len(shopset.still_frames):
        photos = world_photos(shopset)
        shop = [photo for photo in photos if photo.domain == "shop"]
        sold = {photo.instance for photo in shop}
        asked = tuple(Shot(photo) for photo in photos if photo.domain == "video" and photo.instance in sold)
        gallery = (*map(Shot, shop), *distractor_shots(distractors))
        tasks.append(PhotoSet(f"{shopset.folder.name}: true views to shop photos", asked, gallery))
    if not tasks:
        raise BadDataset(shopset.folder, "holds neither videos nor single frames")
    return tasks


def evaluate_task(
    describers: Sequence[Describe], task: PhotoSet, progress: Progress = SILENT
) -> tuple[RetrievalFigures, ...]:
    """Search every query of a task in its gallery, once with each describer.

    Raises:
        BadDataset: no query or no gallery photo.
        MissingFile, BadImage, BadVideo: what cannot be read.
    """
    if not task.queries or not task.gallery:
        raise BadDataset(task.name, f"{len(task.queries)} queries and {len(task.gallery)} photos; both are needed")
    queries, gallery = ([shot.photo for shot in shots] for shots in (task.queries, task.gallery))
    asked = describe_shots([asking(describe, queries) for describe in describers], task.queries, progress)
    shop = describe_shots(describers, task.gallery, progress)
    return tuple(figures_of(a @ b.T, queries, gallery, name=task.name) for a, b in zip(asked, shop, strict=True))


def describe_shots(
    describers: Sequence[Describe], shots: Sequence[Shot], progress: Progress = SILENT
) -> list[FloatArray]:
    """Vectors of shots by each describer, (N, D) in their order; each is read once, and few are in memory at a time."""
    order: list[int] = []
    parts: list[list[FloatArray]] = [[] for _ in describers]
    source = iter(progress.track(_pixels(shots, order), "photos", len(shots)))
    while taken := list(itertools.islice(source, AT_ONCE)):
        for part, describe in zip(parts, describers, strict=True):
            part.append(describe(taken))
    found = []
    for part in parts:
        vectors = np.concatenate(part)
        ordered = np.empty_like(vectors)
        ordered[order] = vectors
        found.append(ordered)
    return found


def _pixels(shots: Sequence[Shot], order: list[int]) -> Iterator[Image]:
    """The pixels of each shot once, videos together; notes which shot each was."""
    videos: dict[Path, list[int]] = {}
    for row, shot in enumerate(shots):
        if shot.frame >= 0:
            videos.setdefault(shot.photo.path, []).append(row)
            continue
        order.append(row)
        yield shot.photo.load(short_side=ENOUGH_PIXELS)
    for path, rows in videos.items():
        yield from _of_video(path, rows, shots, order)


def _of_video(path: Path, rows: Iterable[int], shots: Sequence[Shot], order: list[int]) -> Iterator[Image]:
    from dprnet.decode import frames_at

    wanted: dict[int, list[int]] = {}
    for row in rows:
        wanted.setdefault(shots[row].frame, []).append(row)
    for frame in frames_at(path, sorted(wanted)):
        for row in wanted[frame.index]:
            box = shots[row].photo.box_xyxy
            order.append(row)
            yield frame.image if box is None else cut_out(frame.image, np.array(box, np.float32))
