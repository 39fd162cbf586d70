"""Everything that is wrong with a video-to-shop set, as sentences: table, row, value, way out.

Nothing is raised and nothing is decoded: a set of thousands of videos is checked in seconds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dprnet.core.classes import COARSE_CLASSES, CROPS, OCCLUSIONS, VIEWPOINTS, crop_class, occlusion_class
from dprnet.core.errors import DprnetError

MOST_OF_A_KIND = 5  # ours: a wrong column is wrong in every row; five examples and a count say it
CORNERS = ("x1", "y1", "x2", "y2")
SAME = 1e-3  # ours: fractions are stored as float32


def check(folder: Path | str) -> list[str]:
    """All problems of the set in a folder; an empty list means that every reader will accept it."""
    from dprnet.data.shopset import TABLES, read_meta  # the reader offers this function as its own

    folder = Path(folder)
    try:
        read_meta(folder)
    except DprnetError as error:
        return [str(error)]
    problems: list[str] = []
    tables: dict[str, pa.Table] = {}
    for name, schema in TABLES.items():
        path = folder / f"{name}.parquet"
        if not path.is_file():
            if name in {"instances", "frames"}:
                problems.append(f"{path.name}: missing; every set needs it")
            tables[name] = schema.empty_table()
            continue
        tables[name], wrong = _read(path, schema)
        problems += wrong
    items, wrong = _items(folder)
    problems += wrong
    for part in (_instances, _frames, _files):
        problems += part(folder, tables, items)
    return problems


def _read(path: Path, schema: pa.Schema) -> tuple[pa.Table, list[str]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        return schema.empty_table(), [f"{path.name}: not a Parquet file ({type(error).__name__})"]
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        return schema.empty_table(), [
            f"{path.name}: column '{name}' is missing; wanted {', '.join(schema.names)}" for name in missing
        ]
    try:
        return table.select(schema.names).cast(schema), []
    except pa.ArrowException as error:
        return schema.empty_table(), [f"{path.name}: {str(error).splitlines()[0]}"]


def _items(folder: Path) -> tuple[set[str], list[str]]:
    path = folder / "catalogue.csv"
    if not path.is_file():
        return set(), []
    items: set[str] = set()
    problems = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for name in ("item_id", "image"):
            if name not in (reader.fieldnames or ()):
                return items, [f"catalogue.csv: column '{name}' is missing; wanted at least item_id and image"]
        try:
            for row in reader:
                where = f"catalogue.csv line {reader.line_num}"
                if not row["item_id"]:
                    problems.append(f"{where}: item_id is empty")
                elif wrong := _file_problem(folder, row["image"] or ""):
                    problems.append(f"{where}: {wrong}")
                items.add(row["item_id"])
        except (csv.Error, UnicodeDecodeError) as error:
            problems.append(f"catalogue.csv line {reader.line_num}: {error}")
    return items, problems


def _file_problem(folder: Path, relative: str) -> str | None:
    if not relative:
        return "image is empty"
    if not (folder / relative).resolve().is_relative_to(folder.resolve()):
        return f"image '{relative}' lies outside the set's folder"
    return None if (folder / relative).is_file() else f"image '{relative}' does not exist"


def _instances(folder: Path, tables: dict[str, pa.Table], items: set[str]) -> Iterator[str]:
    table = tables["instances"]
    seen: set[int] = set()
    known = {-1, *range(len(COARSE_CLASSES))}  # -1: nobody said which
    for number, row in enumerate(table.to_pylist()):
        where = f"instances.parquet row {number}"
        if row["instance"] is None or row["instance"] in seen:
            yield f"{where}: instance {row['instance']} is empty or used twice; numbers are unique in the set"
        seen.add(row["instance"])
        if row["label"] not in known:
            most = len(COARSE_CLASSES) - 1
            yield f"{where}: label {row['label']} is no coarse class; wanted 0 to {most}, or -1 for not known"
        if row["item_id"] is not None and row["item_id"] not in items:
            yield f"{where}: item_id '{row['item_id']}' is not in catalogue.csv; leave it empty for no item"
        try:
            json.loads(row["attributes"] or "{}")
        except ValueError:
            yield f"{where}: attributes are not JSON"


def _say(bad: NDArray[np.bool_], sentence: Callable[[int], str]) -> Iterator[str]:
    rows = np.flatnonzero(bad)
    for row in rows[:MOST_OF_A_KIND]:
        yield f"frames.parquet row {row}: {sentence(int(row))}"
    if len(rows) > MOST_OF_A_KIND:
        yield f"frames.parquet: and {len(rows) - MOST_OF_A_KIND} more rows like row {rows[MOST_OF_A_KIND]}"


def _frames(folder: Path, tables: dict[str, pa.Table], items: set[str]) -> Iterator[str]:
    table = tables["frames"]
    if not table.num_rows:
        return
    column = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names if name != "landmarks"}
    keys = list(zip(column["video"], column["frame_index"], column["instance"], strict=True))
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    unknown = ~np.isin(column["instance"], tables["instances"]["instance"].to_numpy())
    yield from _say(unknown, lambda r: f"instance {column['instance'][r]} is not in instances.parquet")
    twice = np.array([first[key] != row for row, key in enumerate(keys)])
    yield from _say(twice, lambda r: f"the garment and frame of row {first[keys[r]]} again; one row each")
    yield from _boxes(column, _beyond(tables, keys, column))
    for name, classes in (("viewpoint", VIEWPOINTS), ("occlusion", OCCLUSIONS), ("crop", CROPS)):
        yield from _labels(column, name, len(classes))
    for name, label, rule in (("occluded", "occlusion", occlusion_class), ("cut_off", "crop", crop_class)):
        yield from _fractions(column, name, label, rule)
    wrong = (column["frontal"] != (column["viewpoint"] == 0)) & (column["viewpoint"] >= 0)
    yield from _say(wrong, lambda r: "frontal does not fit viewpoint (0 is frontal)")
    bad = np.array([_bad_landmarks(values or []) for values in table["landmarks"].to_pylist()])
    yield from _say(bad, lambda r: "landmarks must be triplets x y v with v 2 (visible), 1 (occluded) or 0")
    yield from _say(column["frame_index"] < 0, lambda r: f"frame_index {column['frame_index'][r]} is negative")
    late = _backwards(column)
    yield from _say(late, lambda r: f"time_s {column['time_s'][r]:.3f} is earlier than of a frame before it")


def _boxes(column: dict[str, NDArray[Any]], beyond: NDArray[np.bool_]) -> Iterator[str]:
    boxes = np.stack([column[name] for name in CORNERS], axis=1)
    finite = np.isfinite(boxes).all(axis=1)
    yield from _say(~finite, lambda r: f"box {_text(boxes[r])} is not finite")
    flat = finite & ((boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1]))
    yield from _say(flat, lambda r: f"box {_text(boxes[r])} is empty; wanted corners x1 y1 x2 y2, not width and height")
    outside = finite & ((boxes[:, :2] < -SAME).any(axis=1) | beyond)
    yield from _say(outside, lambda r: f"box {_text(boxes[r])} leaves the image; clip it to what is visible")


def _labels(column: dict[str, NDArray[Any]], name: str, classes: int) -> Iterator[str]:
    value = column[name]
    bad = (value < -1) | (value >= classes)
    yield from _say(bad, lambda r: f"{name} {value[r]}; wanted -1 to {classes - 1}")


def _fractions(column: dict[str, NDArray[Any]], name: str, label: str, rule: Callable[[float], int]) -> Iterator[str]:
    value, classes = column[name], column[label]
    bad = (value < -SAME) | (value > 1 + SAME)
    yield from _say(bad, lambda r: f"{name} {value[r]:.3g} is no fraction in [0, 1] (NaN: unknown)")
    near = [{rule(float(v) - SAME), rule(float(v) + SAME), -1} if np.isfinite(v) else {-1, 0, 1, 2} for v in value]
    unfit = ~bad & np.array([int(c) not in n for c, n in zip(classes, near, strict=True)])
    yield from _say(unfit, lambda r: f"{label} {classes[r]} does not fit {name} {value[r]:.3f}")


def _beyond(tables: dict[str, pa.Table], keys: list[Any], column: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    sizes = {(row["video"], row["frame_index"]): (row["width"], row["height"]) for row in tables["stills"].to_pylist()}
    far = (np.inf, np.inf)
    limits = np.array([sizes.get((video, frame), far) for video, frame, _ in keys], float)
    return np.asarray((column["x2"] > limits[:, 0] + 0.5) | (column["y2"] > limits[:, 1] + 0.5))


def _backwards(column: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    order = np.lexsort((column["frame_index"], column["video"].astype(str)))
    video, frame, time = (column[name][order] for name in ("video", "frame_index", "time_s"))
    bad = np.zeros(len(order), bool)
    bad[order[1:]] = (video[1:] == video[:-1]) & (frame[1:] > frame[:-1]) & (time[1:] < time[:-1])
    return bad


def _bad_landmarks(values: list[float]) -> bool:
    return len(values) % 3 != 0 or any(v not in {0.0, 1.0, 2.0} for v in values[2::3])


def _files(folder: Path, tables: dict[str, pa.Table], items: set[str]) -> Iterator[str]:
    for number, row in enumerate(tables["stills"].to_pylist()):
        if wrong := _file_problem(folder, row["image"] or ""):
            yield f"stills.parquet row {number}: {wrong}"
    have = {path.stem for path in (folder / "videos").glob("*.mp4")} | set(tables["stills"]["video"].to_pylist())
    for name in pc.unique(tables["frames"]["video"]).to_pylist():
        if name not in have:
            yield f"frames.parquet: video '{name}' has neither a file videos/{name}.mp4 nor single frames"


def _text(box: NDArray[Any]) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in box) + ")"
