"""Measure a bundle on a folder of data: what the verbs ``evaluate`` and ``calibrate`` call.

A folder is either a video-to-shop set (it holds set.json) or the folder of real data (``ccp``, ``luma``, ``clothing``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadDataset
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import FloatArray
from dprnet.data import ccp, luma
from dprnet.data.coco import read_coco
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.data.labelled import LabelledImage
from dprnet.data.shopset import META, ShopSet
from dprnet.data.world.difficulty import Difficulty, difficulty
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.evaluate.detection import DetectionFigures, evaluate_detection, front_back
from dprnet.evaluate.detection.instances import InstanceFigures, evaluate_instances
from dprnet.evaluate.detection.methods import by_overlap, by_vectors, instance_branch, showing
from dprnet.evaluate.detection.videos import evaluate_videos
from dprnet.evaluate.floors import WEIGHTS, Floor
from dprnet.evaluate.matching import evaluate_matching, remembered
from dprnet.evaluate.picking import PickingFigures, evaluate_picking
from dprnet.evaluate.retrieval_runs import is_deepfashion2
from dprnet.evaluate.seen import Seen, detector_identity, seen_by
from dprnet.evaluate.video_to_shop import VideoToShopFigures, evaluate_video_to_shop, gallery_search
from dprnet.evaluate.views import ViewVectors
from dprnet.gallery import Gallery, matching_of
from dprnet.pick import PickConfig
from dprnet.pipeline import index


def measure_detection(
    bundle: Bundle, data: Path, *, split: str = "test", device: str = "cpu", progress: Progress = SILENT
) -> DetectionFigures:
    """Average precision and the scoring branches, on the stills of a set (of one without any on frames of its videos,
    one a second), or on a split of the street photos.

    Beside the street photos also front against back on the shop photos of that split, where they are at hand.
    """
    detector = Detector.from_bundle(bundle, device=device)
    identity = detector_identity(bundle)
    if (data / META).is_file():
        shopset = ShopSet.open(data)
        figures = (
            evaluate_detection(detector, shopset.stills())
            if len(shopset.still_frames)
            else evaluate_videos(detector, shopset, progress=progress)
        )
        return replace(figures, data=shopset.id, detector=identity)
    figures = evaluate_detection(detector, labelled_images(data, split))
    front = front_back(detector, luma.photos(data, split)) if (data / "luma").is_dir() else None
    return replace(figures, front_back=front, data=data.name, detector=identity)


def labelled_images(data: Path, split: str) -> Sequence[LabelledImage]:
    """The labelled single images of a set, a copy of DeepFashion2, a COCO file, or the folder of real photos.

    Raises:
        BadDataset: a set without stills.
    """
    if data.is_file() or (data / "annotations").is_dir():
        return read_coco(data)
    if is_deepfashion2(data, split):
        return DeepFashion2(data, split)
    if not (data / META).is_file():
        return ccp.labelled_images(data, split)
    images = ShopSet.open(data).stills()
    if not images:
        raise BadDataset(data, "holds no single frames; make a set of stills, or measure picking on its videos")
    return images


def measure_instances(
    bundle: Bundle,
    data: Path,
    validation: Path,
    *,
    every: str = "0.5s",
    device: str = "cpu",
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> InstanceFigures:
    """The instance branch beside a tracker and the retrieval embedder, on the same boxes of the videos of a set.

    Each way's cut is fitted on the videos of ``validation``.
    """
    sets = ShopSet.open(data), ShopSet.open(validation)
    test, fitted_on = (
        seen_by(bundle, shopset, every, device=device, cache=cache, progress=progress) for shopset in sets
    )
    embedder = Embedder.from_bundle(bundle, device=device)
    vectors = [ViewVectors(shopset, embedder, cache) for shopset in sets]
    where = {id(video): own for own, videos in zip(vectors, (test, fitted_on), strict=True) for video in videos}

    def embedded(video: Seen) -> FloatArray:
        rows, found = showing(video), np.zeros((len(video.views), embedder.size), np.float32)
        seen = video.detections[rows]
        found[rows] = where[id(video)](video.truth.name, seen.frame_index, seen.boxes_xyxy)
        return found

    return evaluate_instances(
        test,
        fitted_on,
        [
            by_vectors("instance branch", instance_branch),
            by_overlap(),
            by_vectors("retrieval embedder", embedded),
        ],
        set_id=sets[0].id,
        validation_id=sets[1].id,
        detector=detector_identity(bundle),
        every=every,
    )


def measure_difficulty(data: Path) -> Difficulty:
    """How hard a set is; with what the floor reaches, where DPRNET_DATA names the weights that it needs."""
    floor = Floor() if Path(os.path.expandvars(WEIGHTS)).is_file() else None
    return difficulty(ShopSet.open(data), floor)


def measure_picking(
    bundle: Bundle,
    data: Path,
    *,
    every: str = "0.5s",
    device: str = "cpu",
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> PickingFigures:
    """R_pick, R_duplication, R_optimal on the videos of a set; detections are kept in ``cache`` for the next time."""
    shopset = ShopSet.open(data)
    seen = seen_by(bundle, shopset, every, device=device, cache=cache, progress=progress)
    return evaluate_picking(seen, _picking(bundle), set_id=shopset.id, detector=detector_identity(bundle), every=every)


def measure_video_to_shop(
    bundle: Bundle,
    data: Path,
    gallery: Path,
    *,
    every: str = "0.5s",
    device: str = "cpu",
    cache: Path | None = None,
    no_match_below: float | None = None,
    progress: Progress = SILENT,
) -> VideoToShopFigures:
    """Recall from videos to items over all garments that have one; the set's catalogue is indexed into ``gallery``.

    Where the bundle's matching was calibrated, also what "exact, similar or none" is worth.
    ``no_match_below`` is the similarity of the first item below which a pick is said to have no match.
    """
    shopset = ShopSet.open(data)
    embedder = Embedder.from_bundle(bundle, device=device)
    index(shopset.catalogue_path, gallery, embedder, progress=progress)
    seen = seen_by(bundle, shopset, every, device=device, cache=cache, progress=progress)
    matching = matching_of(bundle)
    with Gallery.open(gallery, embedder=embedder.identity) as opened:
        search = remembered(gallery_search(embedder, opened))
        figures = evaluate_video_to_shop(
            shopset,
            seen,
            _picking(bundle),
            search,
            no_match_below=no_match_below,
            bundle=bundle.identity,
            every=every,
            progress=progress,
        )
        if matching is None:
            return figures
        return replace(figures, matching=evaluate_matching(shopset, seen, _picking(bundle), search, matching))


def _picking(bundle: Bundle) -> PickConfig:
    return parse_settings(dict(bundle.settings("picking")), PickConfig, f"{bundle.name}.picking")
