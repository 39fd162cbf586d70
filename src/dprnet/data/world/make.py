"""Make a world: videos or single frames, shop photos, and the truth of all of them, as a video-to-shop set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from PIL import Image as PillowImage
from pydantic import Field, model_validator

from dprnet.core.config import Settings
from dprnet.core.errors import BadDataset, MissingExtra
from dprnet.data.shopset import ShopSet, ShopSetWriter, still_name
from dprnet.data.world.garments import Garment, draw_garment, look_alike
from dprnet.data.world.screenplay import FRAMES_OF_A_SOURCE, Cast, draw_cast, still_scenes, video_scene
from dprnet.data.world.seeds import rng_of, seed_of

Weight = Annotated[float, Field(ge=0)]
VERSION = "1"
"""Raise it with every change that changes a pixel or a table: a set's id depends on it."""
TEXTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class WorldSettings(Settings):
    """What to make; the same settings make the same set, byte for byte, however many processes work."""

    split: Literal["train", "validation", "test", "demo"] = "train"
    """Part of every garment's seed: splits share no garment."""
    seed: int = 0
    videos: int = Field(default=0, ge=0)
    seconds: float = Field(default=15.0, gt=0)
    """Mean length of a video; lengths lie between 2/3 and 4/3 of it (ours: 10 to 20 s)."""
    fps: int = Field(default=12, ge=1, le=60)  # ours: half of what cameras do; the flow looks at two frames a second
    stills: int = Field(default=0, ge=0)
    """Single frames, six of each source, for training."""
    items: int = Field(default=0, ge=0)
    """Items of the catalogue at least; those worn and their look-alikes are always in it."""
    worn_photos: bool = True
    """Each item also in a photo on a model."""
    lookalike_every: int = Field(default=5, ge=0)  # the issue: one garment in five
    no_item_every: int = Field(default=10, ge=0)  # the issue: one garment in ten
    crowd: tuple[Weight, Weight, Weight] | None = None
    """Weights of one, two and three people in a source; a person wears 2.1 garments on average. None: 6, 3, 1 in
    videos and 5, 3.5, 1.5 in single frames (ours)."""
    texture_folder: str = ""
    """Photos whose patches serve as backdrops; empty: all backdrops are drawn."""

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.crowd is not None and not sum(self.crowd) > 0:
            raise ValueError(f"crowd is {self.crowd}; one of the three weights must be above 0")
        return self


Progress = Callable[[int, int], None]
"""Called with the number of sources and photos done, and of all."""


@dataclass(frozen=True)
class Shelf:
    """An item of the shop and the garment it shows."""

    item_id: str
    garment: Garment
    kinds: tuple[str, ...]
    """Which photos: ``flat``, ``back``, ``worn``."""


@dataclass(frozen=True)
class Role:
    """A garment of the set: who it is and what the shop has of it."""

    instance: int
    garment: Garment
    item_id: str | None
    lookalike: bool


@dataclass(frozen=True)
class Plan:
    """All that will be made, before a pixel is drawn."""

    casts: tuple[Cast, ...]
    roles: tuple[Role, ...]
    """By instance: role k has instance k."""
    shelves: tuple[Shelf, ...]


def plan_world(settings: WorldSettings) -> Plan:
    """Decide all garments, items and look-alikes of a world."""
    sources = settings.videos or math.ceil(settings.stills / FRAMES_OF_A_SOURCE)
    crowd = settings.crowd or ((6.0, 3.0, 1.0) if settings.videos else (5.0, 3.5, 1.5))
    casts: list[Cast] = []
    roles: list[Role] = []
    shelves: list[Shelf] = []

    def shelve(garment: Garment) -> str:
        item_id = f"{settings.split[:2].upper()}{settings.seed % 100:02d}-{len(shelves):05d}"
        kinds = ["flat", "worn"] if settings.worn_photos else ["flat"]
        if rng_of("photos", item_id).random() < 0.3:
            kinds.append("back")
        shelves.append(Shelf(item_id, garment, tuple(kinds)))
        return item_id

    for number in range(sources):
        cast = draw_cast(
            settings.split, settings.seed, f"v{number:05d}", len(roles), crowd, 0.0 if settings.videos else 0.3
        )
        casts.append(cast)
        for garment in cast.garments:
            k = len(roles)
            # Which of ten or five has no item or a look-alike is drawn, how many have is exact.
            nothing = _one_of(k, settings.no_item_every, settings, "none")
            twin = _one_of(k, settings.lookalike_every, settings, "twin")
            item_id = None if nothing else shelve(garment)
            if twin:
                shelve(look_alike(garment, settings.split, settings.seed, k))
            roles.append(Role(k, garment, item_id, twin))
    while len(shelves) < settings.items:
        shelve(draw_garment(settings.split, settings.seed, "only in the shop", len(shelves)))
    return Plan(tuple(casts), tuple(roles), _shuffled(shelves, settings))


def _one_of(k: int, every: int, settings: WorldSettings, what: str) -> bool:
    return every > 0 and k % every == seed_of(what, settings.split, settings.seed, k // every) % every


def _shuffled(shelves: list[Shelf], settings: WorldSettings) -> tuple[Shelf, ...]:
    """Garments in an order that says nothing about which of them are worn."""
    order = rng_of("shelves", settings.split, settings.seed).permutation(len(shelves))
    return tuple(shelves[k] for k in order)


def make_world(
    folder: Path | str, settings: WorldSettings, progress: Progress | None = None, processes: int = 1
) -> ShopSet:
    """Make a world and write it as a set.

    Args:
        folder: where to write; empty or absent.
        settings: what to make.
        progress: called now and then with what is done and what there is to do.
        processes: how many work at once; the result does not depend on it.

    Raises:
        BadDataset: neither videos nor stills are wanted, or both, or the folder holds a set already.
        MissingExtra: skia-python is not installed.
    """
    try:
        import skia  # noqa: F401
    except ImportError:
        raise MissingExtra("skia-python", "the made-up world needs it: pip install 'dprnet[world]'") from None
    if bool(settings.videos) == bool(settings.stills):
        raise BadDataset(
            folder, f"videos is {settings.videos}, stills is {settings.stills}; one of them must be above 0"
        )
    meta = {"name": f"world-{settings.split}", "split": settings.split, "generator": "world", "version": VERSION}
    # What is left at None is left out: a setting that comes later changes no id of a set made without it.
    writer = ShopSetWriter(folder, {**meta, "seed": settings.seed, "settings": settings.model_dump(exclude_none=True)})
    plan = plan_world(settings)
    film = partial(_film if settings.videos else _photograph, Path(folder), settings)
    shoot = partial(_shoot, Path(folder))
    total = len(plan.casts) + len(plan.shelves)
    done = 0
    frames_of: dict[int, set[int]] = {}
    for rows in _work(film, plan.casts, processes):
        for table, table_rows in rows.items():
            writer.add_rows(table, table_rows)
        for row in rows["frames"]:
            frames_of.setdefault(row["instance"], set()).add(row["frame_index"])
        done += 1
        if progress is not None:
            progress(done, total)
    for shelf, photos in zip(plan.shelves, _work(shoot, plan.shelves, processes), strict=True):
        writer.add_item(shelf.item_id, photos, 90, **_columns(shelf.garment))
        done += 1
        if progress is not None:
            progress(done, total)
    for cast in plan.casts:
        for role in plan.roles[cast.first : cast.first + len(cast.garments)]:
            if role.instance in frames_of:
                attributes = role.garment.attributes()
                writer.add_instance(
                    cast.name, role.instance, role.garment.label, role.item_id, role.lookalike, attributes
                )
    return writer.finish()


def _work(task: Callable[[Any], Any], things: tuple[Any, ...], processes: int) -> Iterator[Any]:
    if processes <= 1 or len(things) < 2:
        yield from map(task, things)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(task, things, chunksize=4)


def _columns(garment: Garment) -> dict[str, str]:
    attributes = garment.attributes()
    price = str(9 + seed_of("price", garment.seed) % 140) + ".90"
    chosen = {key: str(attributes[key]) for key in ("print", "sleeve", "length", "neckline")}
    return {
        "category": garment.name,
        "title": garment.title(),
        "price": price,
        "colour": attributes["colours"][0],
        **chosen,
    }


def _textures(settings: WorldSettings) -> tuple[Path, ...]:
    if not settings.texture_folder:
        return ()
    folder = Path(settings.texture_folder)
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in TEXTURE_SUFFIXES))


def _photograph(folder: Path, settings: WorldSettings, cast: Cast) -> dict[str, list[dict[str, Any]]]:
    """Single frames of a cast."""
    from dprnet.data.world.scene import FabricCache, Scene
    from dprnet.data.world.truth import look

    rows: dict[str, list[dict[str, Any]]] = {"frames": [], "stills": [], "ignored": []}
    fabrics = FabricCache()
    frames = min(FRAMES_OF_A_SOURCE, settings.stills - int(cast.name[1:]) * FRAMES_OF_A_SOURCE)
    for number, spec in enumerate(still_scenes(cast, settings.split, settings.seed, frames)):
        image, views = look(Scene(spec, _textures(settings), fabrics), 0.0)
        relative = still_name(cast.name, number)
        quality = int(rng_of("jpeg", cast.name, number).integers(60, 96))
        PillowImage.fromarray(image).save(folder / relative, quality=quality)
        size = {"width": spec.width, "height": spec.height}
        rows["stills"].append({"video": cast.name, "frame_index": number, "image": relative, **size})
        _note(rows, cast, number, float(number), views)
    return rows


def _film(folder: Path, settings: WorldSettings, cast: Cast) -> dict[str, list[dict[str, Any]]]:
    """A whole video of a cast."""
    import av

    from dprnet.data.world.scene import Scene
    from dprnet.data.world.truth import look

    rows: dict[str, list[dict[str, Any]]] = {"frames": [], "ignored": []}
    scene = Scene(video_scene(cast, settings.split, settings.seed, settings.seconds), _textures(settings))
    spec = scene.spec
    crf = int(rng_of("crf", settings.split, settings.seed, cast.name).integers(19, 33))
    with av.open(str(folder / "videos" / f"{cast.name}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=settings.fps)
        stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
        stream.codec_context.gop_size = 48
        # With more threads, or with code chosen by processor, the bytes of a file differ from run to run.
        alone = "threads=1:lookahead-threads=1:sync-lookahead=0:cpu-independent=1"
        stream.options = {"crf": str(crf), "preset": "veryfast", "x264-params": alone}
        for number in range(int(spec.seconds * settings.fps)):
            image, views = look(scene, number / settings.fps)
            _note(rows, cast, number, number / settings.fps, views)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(format="yuv420p")
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return rows


def _note(rows: dict[str, list[dict[str, Any]]], cast: Cast, number: int, time_s: float, views: list[Any]) -> None:
    for view in views:
        where = {"video": cast.name, "frame_index": number}
        box = dict(zip(("x1", "y1", "x2", "y2"), view.box_xyxy, strict=True))
        if view.scant:
            rows["ignored"].append({**where, **box})
            continue
        truth = {"viewpoint": view.viewpoint, "occlusion": view.occlusion, "crop": view.crop}
        fractions = {"occluded": view.occluded, "cut_off": view.cut_off, "frontal": view.viewpoint == 0}
        row = {**where, "time_s": time_s, "instance": cast.first + view.owner, **box, **truth, **fractions}
        rows["frames"].append({**row, "landmarks": list(view.landmarks)})


def _shoot(folder: Path, shelf: Shelf) -> list[str]:
    """The photos of an item."""
    from dprnet.data.world.shop import shop_photo

    names = []
    for number, kind in enumerate(shelf.kinds):
        name = f"gallery/{shelf.item_id}_{number}.jpg"
        PillowImage.fromarray(shop_photo(shelf.garment, shelf.item_id, kind)).save(folder / name, quality=88)
        names.append(name)
    return names
