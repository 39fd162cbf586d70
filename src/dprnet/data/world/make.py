"""Make a world: videos or single frames, shop photos, and the truth of all of them, as a video-to-shop set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from dprnet.core.errors import BadDataset, MissingExtra
from dprnet.data.shopset import ShopSet, ShopSetWriter, still_name
from dprnet.data.world.cast import Cast
from dprnet.data.world.garments import Garment
from dprnet.data.world.plan import TEXTURE_SUFFIXES, VERSION, Shelf, WorldSettings, plan_world
from dprnet.data.world.screenplay import FRAMES_OF_A_SOURCE, still_scenes, video_scene
from dprnet.data.world.seeds import rng_of, seed_of

__all__ = ["WorldSettings", "make_world", "plan_world"]

Progress = Callable[[int, int], None]
"""Called with the number of sources and photos done, and of all."""


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
