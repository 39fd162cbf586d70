"""What a file or folder is, and whether it can be used: the same readers as everywhere, and what they say."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
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
    """video, photo, catalogue, data set, recipe, bundle, gallery or report."""
    told: str
    """Its size in a few words."""
    problems: tuple[str, ...] = ()


def check(path: Path | str) -> Checked:
    """Look at a path as whatever it seems to be: by the files in a folder, by the ending of a file's name, by what a
    photo begins with.

    Raises:
        DprnetError: it cannot be used at all.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(path, "no such file or folder")
    if path.is_dir():
        reader = next((reader for name, reader in _FOLDERS.items() if (path / name).exists()), _catalogue)
        return reader(path)
    by_suffix = {".toml": _recipe, ".json": _json} | dict.fromkeys(TABLES, _catalogue)
    return by_suffix.get(path.suffix.lower(), _photo_or_video)(path)


def _photo_or_video(path: Path) -> Checked:
    from dprnet.core.images import looks_readable, read_image

    try:
        with path.open("rb") as file:
            photo = looks_readable(file.read(32))
    except OSError:
        photo = False  # the reader of videos says why
    if not photo:
        return _video(path)
    read = read_image(path)
    height, width = read.image.shape[:2]
    more = ", of which only the first frame is read" if read.animated else ""
    return Checked("photo", f"{read.format}, {width}x{height} pixels{more}")


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
    from dprnet.data.pairs import looks_like_pairs
    from dprnet.gallery import read_catalogue

    if path.is_file() and looks_like_pairs(path):
        return _pairs(path)
    read = read_catalogue(path, addresses=True)  # what they lead to is seen when it is indexed
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


def _deepfashion2(path: Path) -> Checked:
    from dprnet.data.deepfashion2_check import check_deepfashion2

    splits = [split for split in ("train", "validation") if (path / split / "annos").is_dir()] or [""]
    checked = {split: check_deepfashion2(path, split) for split in splits}
    told = "; ".join(f"{split} {found.told()}".strip() for split, found in checked.items())
    problems = [f"{split}: {line}" if split else line for split, found in checked.items() for line in found.problems]
    return Checked("data set", f"DeepFashion2, {told}", tuple(problems))


def _coco(path: Path, form: str = "COCO") -> Checked:
    from dprnet.data.coco_check import check_coco

    told, problems = check_coco(path)
    return Checked("data set", f"{form}, {told}", tuple(problems))


def _pairs(path: Path) -> Checked:
    from dprnet.data.pairs import check_pairs

    told, problems = check_pairs(path)
    return Checked("data set", f"pairs, {told}", tuple(problems))


def _deepfashion_c2s(path: Path) -> Checked:
    from dprnet.data.deepfashion_c2s_check import check_deepfashion_c2s

    told, problems = check_deepfashion_c2s(path)
    return Checked("data set", f"DeepFashion consumer-to-shop, {told}", tuple(problems))


def _street2shop(path: Path) -> Checked:
    from dprnet.data.street2shop_check import check_street2shop

    told, problems = check_street2shop(path)
    return Checked("data set", f"Street2Shop, {told}", tuple(problems))


def _ccp(path: Path) -> Checked:
    from dprnet.data import ccp

    return Checked("data set", "Clothing Co-Parsing", tuple(ccp.check_ccp(path)))


def _luma(path: Path) -> Checked:
    from dprnet.data import luma

    return Checked("data set", "luma, shop photos", tuple(luma.check_luma(path)))


def _bundle(path: Path) -> Checked:
    from dprnet.detect import Detector
    from dprnet.embed.embedder import Embedder

    bundle = Bundle.from_pretrained(path.resolve())
    Detector.from_bundle(bundle)
    Embedder.from_bundle(bundle)
    fitted = [part for part in ("picking", "matching") if bundle.settings(part)]
    return Checked("bundle", f"{bundle.identity}, calibrated: {', '.join(fitted) or 'nothing yet'}")


def _recipe(path: Path) -> Checked:
    from dprnet.core.config import Settings, load_recipe
    from dprnet.train.detector import DetectorRecipe
    from dprnet.train.embedder import EmbedderRecipe
    from dprnet.train.methods.recipe import Table2Recipe

    try:
        keys = set(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        keys = set()
    # The kind that knows most of its keys; load_recipe then says what is wrong with the rest.
    kinds: tuple[type[Settings], ...] = (DetectorRecipe, EmbedderRecipe, Table2Recipe)
    kind = min(kinds, key=lambda one: len(keys - set(one.model_fields)))
    if kind is Table2Recipe:
        table = load_recipe(path, Table2Recipe)
        told = f"compares {len(table.methods)} methods, {table.images:,} photos a training, {len(table.seeds)} seeds"
        return Checked("recipe", told)
    if kind is EmbedderRecipe:
        return Checked("recipe", f"trains the embedder for {load_recipe(path, EmbedderRecipe).steps} steps")
    return Checked("recipe", f"trains the detector for {load_recipe(path, DetectorRecipe).steps} steps")


def _json(path: Path) -> Checked:
    from dprnet.data.coco_files import looks_like_coco
    from dprnet.data.label_studio_set import looks_like_label_studio

    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        values = None
    if looks_like_label_studio(values):
        return _coco(path, "Label Studio")
    return _coco(path) if looks_like_coco(values) else _report(path)


def _report(path: Path) -> Checked:
    from dprnet.report import read_json

    report = read_json(path)
    return Checked("report", f"{len(report.picks)} garments of {len(report.sources)} videos, {report.status}")


def _movingfashion(path: Path) -> Checked:
    from dprnet.data.movingfashion import PUBLISHED, check_movingfashion

    splits = [split for split in PUBLISHED if (path / f"{split}.json").is_file()]
    problems = [problem for split in splits for problem in check_movingfashion(path, split)]
    return Checked("data set", f"MovingFashion, {' and '.join(splits)}", tuple(problems))


# What a folder is, by a file or folder in it.
_FOLDERS: Mapping[str, Callable[[Path], Checked]] = {
    MANIFEST: _bundle,
    GALLERY_CARD: _gallery,
    SET_META: _data_set,
    "annos": _deepfashion2,
    "train/annos": _deepfashion2,
    "validation/annos": _deepfashion2,
    "Eval/list_eval_partition.txt": _deepfashion_c2s,
    "meta/json": _street2shop,
    "annotations": _coco,
    "masks": _ccp,
    "front_back_pairs.csv": _luma,
    "test.json": _movingfashion,
    "train.json": _movingfashion,
}
