"""All that the figures share, computed when first asked for: detections, truth, vectors, gallery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadDataset
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import IntArray
from dprnet.data.shopset import ShopSet
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.evaluate.kept import digest_of, files_digest
from dprnet.evaluate.looks import Looks, looks_of, seen_at
from dprnet.evaluate.photo_sets import turned_task
from dprnet.evaluate.photo_sheets import Searched, search_task
from dprnet.evaluate.reproduce.settings import ReproduceSettings
from dprnet.evaluate.seen import Seen, detector_identity, see, video_detector
from dprnet.evaluate.shelf import Shelf, shelve
from dprnet.evaluate.views import ViewVectors
from dprnet.gallery import read_catalogue
from dprnet.pick import PickConfig
from dprnet.train.methods.recipe import Table2Recipe

FORMAT = 3  # raised when the same inputs give other figures


@dataclass(frozen=True)
class FewVideos(ShopSet):
    """A set of which only the first videos are looked at."""

    limit: int = 0

    @cached_property
    def videos(self) -> tuple[str, ...]:
        """Names of the first ``limit`` videos (all for 0)."""
        names = super().videos
        return names[: self.limit or None]


@dataclass(frozen=True)
class Study:
    """One set, one bundle, one folder of kept work."""

    folder: Path
    """Of the set."""
    bundle: Bundle
    cache: Path
    settings: ReproduceSettings = field(default_factory=ReproduceSettings)
    distractors: tuple[Path, ...] = ()
    """Further catalogues that make the gallery larger (paper, section 4.1)."""
    train: tuple[Path, ...] = ()
    """Sets on which the trained methods learn; never the one that is measured."""
    table2: Path = Path("out/table2")
    """Folder of the run of Table 2."""
    recipe: Table2Recipe | None = None
    """Of a run of Table 2; None: the default one."""
    quick: bool = False
    """Whether a run of Table 2 without a recipe only shows that every row runs."""
    device: str = "cpu"
    progress: Progress = SILENT

    @cached_property
    def shopset(self) -> FewVideos:
        """The set, cut to its first videos where the settings say so.

        Raises:
            BadDataset: it holds no videos.
        """
        whole = ShopSet.open(self.folder)
        few = FewVideos(whole.folder, whole.meta, self.settings.videos)
        if not few.videos:
            raise BadDataset(self.folder, "holds no videos; make some with `dprnet world make --videos 100`")
        return few

    @cached_property
    def picking(self) -> PickConfig:
        """The bundle's fitted settings."""
        return parse_settings(dict(self.bundle.settings("picking")), PickConfig, f"{self.bundle.name}.picking")

    @cached_property
    def embedder(self) -> Embedder:
        """The bundle's embedder."""
        return Embedder.from_bundle(self.bundle, device=self.device)

    @cached_property
    def detector(self) -> Detector:
        """The bundle's detector."""
        return Detector.from_bundle(self.bundle, device=self.device)

    @cached_property
    def looks(self) -> Mapping[str, Looks]:
        """The frames of the finest pass, by video."""
        return looks_of(self.shopset, self.settings.finest, cache=self.cache, progress=self.progress)

    @cached_property
    def finest(self) -> list[Seen]:
        """What the detector sees at the shortest interval: the one pass of which every T is a part."""
        return self.detected(self.shopset, self.settings.finest)

    @cached_property
    def vectors(self) -> ViewVectors:
        """Vectors of views of the set's videos."""
        return ViewVectors(self.shopset, self.embedder, self.cache)

    @cached_property
    def shelf(self) -> Shelf:
        """The gallery: the set's catalogue and the distractors."""
        catalogues = [self.shopset.catalogue_path, *self.distractors]
        return shelve(catalogues, self.embedder, cache=self.cache, progress=self.progress)

    @cached_property
    def searched(self) -> Searched:
        """The best true view of each sold garment, frontal and not, searched in the shop's photos and distractors."""
        task = turned_task(self.shopset, self.distractors)
        if self.settings.sheet_gallery:
            task = task.thinned(len(task.queries), self.settings.sheet_gallery)
        return search_task(self.bundle, task, device=self.device, progress=self.progress)

    def detected(self, shopset: ShopSet, every: str) -> list[Seen]:
        """Detections of a set's videos, kept for the next time."""
        detect = video_detector(self.detector, every)
        identity = detector_identity(self.bundle)
        return see(shopset, detect, detector=identity, every=every, cache=self.cache, progress=self.progress)

    def at(self, every: str) -> tuple[list[Seen], dict[str, IntArray]]:
        """Detections and looked-at frames at an interval, as a part of the finest pass."""
        return seen_at(self.finest, self.looks, every)

    def key(self, name: str, *parts: str) -> str:
        """Hash of all that an artefact is computed from: settings, and the content of files.

        Args:
            name: of the artefact.
            parts: the settings it reads, and ``train`` where it trains; all where none is named.
        """
        wanted = set(parts) if parts else None
        values: dict[str, Any] = {
            "format": FORMAT,
            "name": name,
            "set": self.shopset.id,
            "files": [set_digest(self.folder), self.shopset.videos],
            "bundle": self.bundle.identity,
            "settings": self.settings.model_dump(mode="json", include=wanted),
            "distractors": [catalogue_digest(path) for path in self.distractors],
            "train": [set_digest(path) for path in self.train] if wanted is None or "train" in wanted else [],
        }
        return digest_of(values)


def set_digest(folder: Path) -> str:
    """Hash of the files of a set: tables, videos, single frames, the shop's photos."""
    parts = ("set.json", "*.parquet", "catalogue.csv", "videos/*", "stills/*", "gallery/*")
    return files_digest(path for part in parts for path in folder.glob(part) if path.is_file())


def catalogue_digest(path: Path) -> str:
    """Hash of the items of a catalogue and their photos.

    Raises:
        MissingFile, BadCatalogue: it is not there, or cannot be read.
    """
    items = read_catalogue(path).items
    photos = files_digest(photo for item in items for photo in item.files)
    return digest_of({"items": [item.item_id for item in items], "photos": photos})
