"""Pasted scenes: real garments and people on other backgrounds, with full truth, as a video-to-shop set of stills.

Each scene holds one to three people or garments out of ``ccp``, ``luma`` and ``clothing``, scaled, mirrored, turned a
little, cut by the border and covered by bags and by one another. The same garment appears in several scenes; its shop
photo is the photo it was cut out of. Only photos of the wanted split are touched: by default the training photos.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.config import Settings
from dprnet.core.images import shrink
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import Image
from dprnet.data.cutouts import Cutout, on_white
from dprnet.data.grounds import ground
from dprnet.data.light import LightConfig, spoil
from dprnet.data.pasting_sources import Sources, open_sources
from dprnet.data.scenes import Pose, Scene, View
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.data.transforms import draw_shape

log = logging.getLogger(__name__)
VERSION = "1"  # of the generator: raise it with every change of what comes out
VIDEO = "scene"
SHOP_SIDE = 400  # pixels of the longer side of a shop photo
SHOWN_PIXELS = 6000  # of a garment of a street photo that may become a shop photo
SIZES = ((480, 640), (640, 480), (540, 720), (600, 600))
# Mild for each thing, stronger for the whole picture: colour is identity.
OWN_LIGHT = LightConfig(brightness=0.15, contrast=0.1, saturation=0.08, cast=0.03)
WHOLE_LIGHT = LightConfig(brightness=0.1, contrast=0.1, saturation=0.1, cast=0.04, jpeg=0.0)


class PastingSettings(Settings):
    """What is pasted. All defaults are ours; the paper pastes nothing."""

    stills: int = Field(default=2000, ge=1)
    split: Literal["train", "validation"] = "train"  # the test photos are never pasted
    seed: int = 0
    name: str = "pasted"
    people: int = Field(default=320, ge=1)  # photos of ccp
    models: int = Field(default=160, ge=1)  # photos of luma
    garments: int = Field(default=500, ge=1)  # photos of clothing
    shares: tuple[float, float, float] = (0.45, 0.3, 0.25)  # of ccp, luma and clothing among what is pasted
    most: int = Field(default=3, ge=1, le=6)  # people or garments of a scene
    cover: float = Field(default=0.5, ge=0, le=1)  # probability of a bag or shape over one of them
    cut: float = Field(default=0.3, ge=0, le=1)  # probability that the border cuts one


def make_pasted(
    folder: Path | str, settings: PastingSettings, data_root: Path | str, progress: Progress | None = None
) -> ShopSet:
    """Write a set of pasted scenes; the same settings and data give the same set.

    Args:
        folder: where to; empty or absent.
        settings: what is pasted.
        data_root: the folder with ``ccp``, ``luma`` and ``clothing``.
        progress: shows how far it is.

    Raises:
        BadDataset: the folder already holds a set; a data set is missing or damaged.
        MissingFile: a table of a data set is missing.
    """
    sources = open_sources(Path(data_root), settings)
    dumped = settings.model_dump(mode="json")
    meta = {"name": settings.name, "split": settings.split, "generator": "pasted", "version": VERSION}
    writer = ShopSetWriter(folder, {**meta, "seed": settings.seed, "settings": dumped})
    numbers: dict[str, int] = {}
    labels: dict[str, int] = {}
    for still in (progress or Silent()).track(range(settings.stills), "pasting scenes", settings.stills):
        rng = np.random.default_rng((settings.seed, still))
        image, scene = compose(sources, settings, rng)
        writer.add_still(VIDEO, still, image, quality=int(rng.integers(70, 95)))
        views, ignored = scene.views()
        for view in views:
            _write_view(writer, still, view, numbers, sources)
            labels[view.garment.identity] = view.garment.label
        for box in ignored:
            writer.add_ignored(VIDEO, still, box)
    _write_items(writer, labels, sources)
    log.info("pasted %d scenes with %d garments", settings.stills, len(numbers))
    return writer.finish()


def compose(sources: Sources, settings: PastingSettings, rng: np.random.Generator) -> tuple[Image, Scene]:
    """One scene, (H, W, 3), and its truth."""
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    scene = Scene(ground(width, height, sources.streets[int(rng.integers(len(sources.streets)))], rng))
    there: set[str] = set()
    count = int(rng.integers(1, settings.most + 1))
    for place in range(count):
        source = int(rng.choice(3, p=np.array(settings.shares) / sum(settings.shares)))
        cutout = sources.decks[source].next()
        identities = {garment.identity for garment in cutout.garments}
        if there & identities:  # one view of a garment a picture
            continue
        there |= identities
        if source == 0:
            _keep_shown(cutout, sources.shown)
        pose = draw_pose(cutout, source, (width, height), place, count, settings, rng)
        scene.paste(cutout, pose, OWN_LIGHT, rng)
        if rng.random() < settings.cover:
            _cover(scene, cutout, pose, sources, rng)
    return spoil(scene.image, WHOLE_LIGHT, rng), scene


def draw_pose(
    cutout: Cutout,
    source: int,
    size: tuple[int, int],
    place: int,
    count: int,
    settings: PastingSettings,
    rng: np.random.Generator,
) -> Pose:
    """How large and where a cut-out goes: people stand side by side, what the photo cut stays at the border.

    Args:
        cutout: the thing.
        source: 0 a person of ccp, 1 a person of luma, 2 a garment of clothing.
        size: width and height of the scene.
        place: how many things came before it.
        count: how many will come.
        settings: of the set.
        rng: of everything.
    """
    width, height = size
    tall, wide = cutout.parts.shape
    low, high = ((0.55, 1.35), (0.45, 1.0), (0.25, 0.8))[source]
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * height / tall
    scale = min(scale, 1.3 * width / wide, 2.0)
    degrees = float(rng.normal(0, (2.0, 2.0, 12.0)[source]))
    lane = width / count
    x = (place + 0.5) * lane + rng.normal(0, 0.25) * lane
    reach = scale * tall
    y = rng.uniform(min(reach, height) / 2, max(height - reach / 2, reach / 2))
    _, top, _, bottom = cutout.sides
    if source == 1 and rng.random() < 0.85:
        y = height - reach / 2 if bottom else reach / 2 if top else y
        y += rng.uniform(0, 0.06) * reach if bottom else -rng.uniform(0, 0.06) * reach if top else 0.0
    elif rng.random() < settings.cut:  # by the lower or the upper border; about half of it or more stays
        y = height - rng.uniform(0.0, 0.4) * reach if rng.random() < 0.7 else rng.uniform(0.05, 0.45) * reach
    if rng.random() < settings.cut / 3:
        inward = rng.uniform(0.05, 0.45) * scale * wide
        x = inward if rng.random() < 0.5 else width - inward
    elif reach <= height:
        half = scale * wide / 2
        x = float(np.clip(x, min(half, width / 2), max(width - half, width / 2)))
    return Pose(scale, degrees, bool(rng.random() < 0.5), (float(x), float(y)))


def _cover(scene: Scene, cutout: Cutout, pose: Pose, sources: Sources, rng: np.random.Generator) -> None:
    """A bag or a shape over a point of one of the cut-out's garments."""
    if not cutout.garments:
        return
    garment = cutout.garments[int(rng.integers(len(cutout.garments)))]
    rows, columns = np.nonzero(cutout.parts == garment.part)
    if not len(rows):
        return
    at = int(rng.integers(len(rows)))
    tall, wide = cutout.parts.shape
    aside = (columns[at] - wide / 2) * (-1 if pose.flip else 1)
    centre = (pose.centre[0] + aside * pose.scale, pose.centre[1] + (rows[at] - tall / 2) * pose.scale)
    extent = pose.scale * np.sqrt(len(rows)) * rng.uniform(0.3, 1.1)
    thing = sources.bags.next() if rng.random() < 0.6 else _shape(scene.image, rng)
    scale = float(extent / max(thing.parts.shape))
    scene.paste(thing, Pose(scale, float(rng.uniform(-30, 30)), bool(rng.random() < 0.5), centre))


def _keep_shown(cutout: Cutout, shown: dict[str, Image]) -> None:
    """Remember what a shop would show of a street photo's garments that little covers."""
    for garment in cutout.garments:
        large = int((cutout.parts == garment.part).sum()) >= SHOWN_PIXELS
        if large and garment.occlusion == 0 and garment.identity not in shown:
            shown[garment.identity] = on_white(cutout, garment.part)


def _shape(image: Image, rng: np.random.Generator) -> Cutout:
    drawn = draw_shape(int(rng.integers(60, 180)), int(rng.integers(60, 180)), image, rng)
    parts = np.where(np.asarray(drawn.getchannel("A")) > 127, 255, 0).astype(np.uint8)
    return Cutout(np.asarray(drawn.convert("RGB"), np.uint8), parts, (), Path(), (0, 0, drawn.width, drawn.height))


def _write_view(writer: ShopSetWriter, still: int, view: View, numbers: dict[str, int], sources: Sources) -> None:
    garment = view.garment
    if garment.identity not in numbers:
        numbers[garment.identity] = len(numbers)
        sold = garment.identity in sources.shop or garment.identity in sources.shown
        item = item_id(garment.identity) if sold else None
        attributes = {"identity": garment.identity, "family": garment.family}
        writer.add_instance(VIDEO, numbers[garment.identity], garment.label, item, attributes=attributes)
    writer.add_view(
        VIDEO,
        still,
        numbers[garment.identity],
        view.box_xyxy,
        viewpoint=view.viewpoint,
        occlusion=view.occlusion,
        crop=view.crop,
        occluded=view.occluded,
        cut_off=view.cut_off,
    )


def item_id(identity: str) -> str:
    """The catalogue id of an identity.

    >>> item_id("luma/mh03-black")
    'luma-mh03-black'
    """
    return identity.replace("/", "-")


def _write_items(writer: ShopSetWriter, labels: dict[str, int], sources: Sources) -> None:
    """The shop: the photos the garments were cut out of."""
    for identity, label in labels.items():
        pictures = [photo.load(SHOP_SIDE) for photo in sources.shop.get(identity, ())]
        if identity in sources.shown:
            pictures.append(sources.shown[identity])
        if pictures:
            category = COARSE_CLASSES[label]
            shrunk = [shrink(picture, SHOP_SIDE) for picture in pictures]
            writer.add_item(item_id(identity), shrunk, category=category, title=f"{category} {identity}")
