"""The files of a video-to-shop set: names, columns, and set.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dprnet.core.errors import BadDataset, MissingFile

SCHEMA = 1
META = "set.json"
CATALOGUE = "catalogue.csv"
CATALOGUE_COLUMNS = ("item_id", "image", "category", "title", "price", "url")
MAX_META_BYTES = 5_000_000
_BOX = [(name, pa.float32()) for name in ("x1", "y1", "x2", "y2")]
INSTANCES = pa.schema(
    [
        ("video", pa.string()),
        ("instance", pa.int64()),
        ("label", pa.int64()),
        ("item_id", pa.string()),
        ("lookalike", pa.bool_()),
        ("attributes", pa.string()),
    ]
)
FRAMES = pa.schema(
    [
        ("video", pa.string()),
        ("frame_index", pa.int64()),
        ("time_s", pa.float32()),
        ("instance", pa.int64()),
        *_BOX,
        ("viewpoint", pa.int64()),
        ("occlusion", pa.int64()),
        ("crop", pa.int64()),
        ("occluded", pa.float32()),
        ("cut_off", pa.float32()),
        ("frontal", pa.bool_()),
        ("landmarks", pa.list_(pa.float32())),
    ]
)
STILLS = pa.schema(
    [
        ("video", pa.string()),
        ("frame_index", pa.int64()),
        ("image", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
    ]
)
IGNORED = pa.schema([("video", pa.string()), ("frame_index", pa.int64()), *_BOX])
TABLES: Mapping[str, pa.Schema] = {"instances": INSTANCES, "frames": FRAMES, "stills": STILLS, "ignored": IGNORED}
Row = Mapping[str, Any]


def read_meta(folder: Path) -> dict[str, Any]:
    """The contents of set.json, checked.

    Raises:
        MissingFile: there is none.
        BadDataset: not JSON, keys are missing, or a newer schema.
    """
    path = folder / META
    try:
        if path.stat().st_size > MAX_META_BYTES:
            raise BadDataset(path, f"larger than {MAX_META_BYTES} bytes")
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFile(folder, f"no video-to-shop set here ({META} is missing)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadDataset(path, f"cannot be read as JSON ({type(error).__name__})") from None
    for key, kind in {"schema": int, "id": str, "name": str, "split": str}.items():
        if not isinstance(meta, dict) or not isinstance(meta.get(key), kind):
            raise BadDataset(path, f"key '{key}' is missing or no {kind.__name__}")
    if meta["schema"] > SCHEMA:
        raise BadDataset(path, f"written in schema {meta['schema']}, this version reads up to {SCHEMA}; upgrade dprnet")
    return dict(meta)


def still_name(video: str, frame_index: int) -> str:
    """Path of a single frame, relative to the set's folder.

    >>> still_name("street", 3)
    'stills/street_0003.jpg'
    """
    return f"stills/{video}_{frame_index:04d}.jpg"
