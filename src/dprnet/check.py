"""What a file or folder is, and whether it can be used: the same readers as everywhere, and what they say."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.bundle import MANIFEST, Bundle
from dprnet.core.errors import BadVideo, MissingFile

GALLERY_CARD = "gallery.json"
SET_META = "set.json"
TABLES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"}
EVERY = "10s"  # ours: enough to find damage, cheap


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    kind: str
    """video, catalogue, data set, recipe, bundle, gallery or report."""
    told: str
    """Its size in a few words."""
    problems: tuple[str, ...] = ()


def check(path: Path | str) -> Checked:
    """Look at a path as whatever it seems to be: by the files in a folder, by the ending of a file's name.

    Raises:
        DprnetError: it cannot be used at all.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(path, "no such file or folder")
    if path.is_dir():
        kinds = {MANIFEST: _bundle, GALLERY_CARD: _gallery, SET_META: _data_set}
        reader = next((reader for name, reader in kinds.items() if (path / name).is_file()), _catalogue)
        return reader(path)
    by_suffix = {".toml": _recipe, ".json": _report} | dict.fromkeys(TABLES, _catalogue)
    return by_suffix.get(path.suffix.lower(), _video)(path)


def _video(path: Path) -> Checked:
    from dprnet.decode import Every, open_video

    with open_video(path, Every.parse(EVERY)) as video:
        frames = sum(1 for _ in video)
        source = video.record()
    if not frames:
        raise BadVideo(path, "not one frame could be decoded")
    told = f"{source.width}x{source.height} pixels, {source.duration_s:.1f} s{', HDR' if source.hdr else ''}"
    return Checked("video", told, (source.note,) if source.status != "complete" else ())


def _catalogue(path: Path) -> Checked:
    from dprnet.gallery import read_catalogue

    read = read_catalogue(path)
    photos = sum(len(item.images) for item in read.items)
    return Checked("catalogue", f"{len(read)} items, {photos} photos", tuple(map(str, read.problems)))


def _gallery(path: Path) -> Checked:
    from dprnet.gallery import Gallery

    with Gallery.open(path) as gallery:
        return Checked("gallery", f"{len(gallery)} items, made by the embedder {gallery.embedder}")


def _data_set(path: Path) -> Checked:
    from dprnet.data.shopset import ShopSet
    from dprnet.data.shopset_check import check as check_set

    made = ShopSet.open(path)
    return Checked("data set", f"{len(made.videos)} videos, id {made.id}", tuple(map(str, check_set(path))))


def _bundle(path: Path) -> Checked:
    from dprnet.detect import Detector
    from dprnet.embed.embedder import Embedder

    bundle = Bundle.from_pretrained(path.resolve())
    Detector.from_bundle(bundle)
    Embedder.from_bundle(bundle)
    fitted = [part for part in ("picking", "matching") if bundle.settings(part)]
    return Checked("bundle", f"{bundle.identity}, calibrated: {', '.join(fitted) or 'nothing yet'}")


def _recipe(path: Path) -> Checked:
    from dprnet.core.config import load_recipe
    from dprnet.train.detector import DetectorRecipe
    from dprnet.train.embedder import EmbedderRecipe

    try:
        keys = set(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        keys = set()
    # The kind that knows more of its keys; load_recipe then says what is wrong with the rest.
    is_embedder = len(keys - set(EmbedderRecipe.model_fields)) < len(keys - set(DetectorRecipe.model_fields))
    steps = (load_recipe(path, EmbedderRecipe) if is_embedder else load_recipe(path, DetectorRecipe)).steps
    return Checked("recipe", f"trains the {'embedder' if is_embedder else 'detector'} for {steps} steps")


def _report(path: Path) -> Checked:
    from dprnet.report import read_json

    report = read_json(path)
    return Checked("report", f"{len(report.picks)} garments of {len(report.sources)} videos, {report.status}")
