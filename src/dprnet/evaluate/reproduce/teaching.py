"""The methods of figure 9, those that are trained with them, and what these learn from: never from what is measured."""

from __future__ import annotations

from pathlib import Path

from dprnet.core.errors import BadDataset
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.baselines import UNTRAINED, Method
from dprnet.evaluate.kept import file_digest
from dprnet.evaluate.looks import looks_of, seen_at
from dprnet.evaluate.reproduce.study import FewVideos, Study, set_digest
from dprnet.evaluate.shelf import shelve
from dprnet.evaluate.tracklets import Tracklet, tracklets_of, tracklets_of_stills
from dprnet.evaluate.trained import trained_methods
from dprnet.evaluate.views import ViewVectors
from dprnet.gallery import read_catalogue


def all_methods(study: Study) -> tuple[dict[str, list[Method]], int, list[str]]:
    """All methods, how many garments the trained ones learned from, and notes.

    Raises:
        BadDataset: a training set is the one that is measured, or shows garments that are measured.
    """
    methods: dict[str, list[Method]] = {name: [method] for name, method in UNTRAINED.items()}
    if not study.train:
        return methods, 0, ["SEAM and AsymNet are left out: name a set to train them on with --train."]
    tracklets: list[Tracklet] = []
    for folder in study.train:
        check_apart(study.shopset, ShopSet.open(folder))
    for folder in study.train:
        tracklets += _tracklets(study, folder)
    settings = study.settings
    key = {"sets": [set_digest(folder) for folder in study.train], "bundle": study.bundle.identity,
           "every": settings.every, "videos": settings.train_videos}  # fmt: skip
    trained = trained_methods(tracklets, key=key, seeds=settings.seeds, epochs=settings.epochs, cache=study.cache,
                              progress=study.progress)  # fmt: skip
    note = f"SEAM and AsymNet learned from {len(tracklets)} garments of {', '.join(p.name for p in study.train)}, "
    return methods | trained, len(tracklets), [note + f"{settings.seeds} seed(s), whose recall is averaged."]


def check_apart(measured: ShopSet, teaches: ShopSet) -> None:
    """Refuse a training set that shows what is measured: the set itself, or one in which the same items are worn.

    A smaller set of the same made-up world and seed has another id and the same garments: so photos are compared.

    Raises:
        BadDataset: it does.
    """
    if teaches.id == measured.id:
        raise BadDataset(teaches.folder, "is the set that is measured; train on another one")
    shared = _worn(measured).keys() & (worn := _worn(teaches)).keys()
    if shared:
        example = min(worn[digest] for digest in shared)
        raise BadDataset(teaches.folder, f"shows garments that are measured, such as item '{example}' ({len(shared)} "
                                         "shared photos); train on another set")  # fmt: skip


def _worn(shopset: ShopSet) -> dict[str, str]:
    """Item by the content of its photos, of the items that somebody wears."""
    wanted = set(shopset.instances["item_id"].to_pylist())
    items = [item for item in read_catalogue(shopset.catalogue_path).items if item.item_id in wanted]
    return {file_digest(photo): item.item_id for item in items for photo in item.files if photo.is_file()}


def _tracklets(study: Study, folder: Path) -> list[Tracklet]:
    """From the videos of a set as we see them; from the true boxes of its single frames, where it has no videos."""
    shopset = ShopSet.open(folder)
    shelf = shelve([shopset.catalogue_path], study.embedder, cache=study.cache, progress=study.progress)
    if not shopset.videos:
        rows = shopset.instances.select(["instance", "item_id"]).to_pylist()
        items = {row["instance"]: row["item_id"] for row in rows if row["item_id"]}
        return tracklets_of_stills(shopset.stills(), items, study.embedder, shelf, study.progress)
    every = study.settings.every
    few = FewVideos(shopset.folder, shopset.meta, study.settings.train_videos)
    looks = looks_of(few, every, cache=study.cache, progress=study.progress)
    seen, frames = seen_at(study.detected(few, every), looks, every)
    vectors = ViewVectors(few, study.embedder, study.cache)
    return tracklets_of(seen, frames, vectors, shelf, study.picking)
