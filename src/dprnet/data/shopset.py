"""A video-to-shop set on disk: the made-up world, pasted scenes and sets that users annotate themselves.

    set.json            schema, id, name, split, generator, version, seed, settings
    videos/NAME.mp4     stills/NAME_0003.jpg        whole videos, or single frames with the same tables
    gallery/ITEM_k.jpg  catalogue.csv               the shop; several rows of one item_id are several photos
    instances.parquet   one row a garment of the set: video, class, item (or none), attributes
    frames.parquet      one row a garment and annotated frame: box, quality labels, fractions, landmarks
    stills.parquet      one row a single frame (only in sets of stills)
    ignored.parquet     regions in which a detection is neither right nor wrong (optional)

The layout is described column by column in docs/world.md; :func:`dprnet.data.shopset_check.check` lists what is wrong
with a set that was annotated by hand.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as PillowImage

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.records import Image, Truth
from dprnet.data.labelled import LabelledImage
from dprnet.data.shopset_check import check

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


@dataclass(frozen=True)
class ShopSet:
    """A set on disk; tables are read when first asked for."""

    folder: Path
    meta: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path | str) -> ShopSet:
        """Open the set in a folder.

        Raises:
            MissingFile: no such folder, or no set.json in it.
            BadDataset: set.json is damaged or written by a newer version.
        """
        folder = Path(folder)
        return cls(folder, read_meta(folder))

    @property
    def id(self) -> str:
        """Hash of generator, version, settings and seed (of the tables, where a set was made by hand)."""
        return str(self.meta["id"])

    @property
    def catalogue_path(self) -> Path:
        """The table of the shop's items (CSV; images relative to the set's folder)."""
        return self.folder / CATALOGUE

    @cached_property
    def instances(self) -> pa.Table:
        """One row a garment; columns of INSTANCES.

        Raises:
            BadDataset: the table is missing or has other columns.
        """
        return self._table("instances")

    @cached_property
    def frames(self) -> pa.Table:
        """One row a garment and annotated frame; columns of FRAMES; boxes in upright pixels.

        Raises:
            BadDataset: the table is missing or has other columns.
        """
        return self._table("frames")

    @cached_property
    def still_frames(self) -> pa.Table:
        """One row a single frame; columns of STILLS; empty in a set of videos."""
        return self._table("stills", optional=True)

    @cached_property
    def ignored(self) -> pa.Table:
        """Regions in which a detection is neither right nor wrong; columns of IGNORED; may be empty."""
        return self._table("ignored", optional=True)

    @cached_property
    def videos(self) -> tuple[str, ...]:
        """Names of the videos that have a file, in order (the sources of single frames have none)."""
        return tuple(sorted(path.stem for path in (self.folder / "videos").glob("*.mp4")))

    def video_path(self, name: str) -> Path:
        """The file of a video.

        Raises:
            MissingFile: the set has no such video.
        """
        path = self.folder / "videos" / f"{name}.mp4"
        if name not in self.videos:
            raise MissingFile(path, f"the set has no video '{name}'; it has {len(self.videos)} videos")
        return path

    def stills(self) -> list[LabelledImage]:
        """The single frames with their truth, in the order of the table.

        Raises:
            BadDataset: a table is missing or has other columns.
        """
        truths = self._truths()
        source = "world" if self.meta.get("generator") == "world" else str(self.meta.get("generator") or "shopset")
        found = []
        for row in self.still_frames.to_pylist():
            truth = truths.get((row["video"], row["frame_index"])) or _truth((), {}, ())
            found.append(LabelledImage(path=self.folder / row["image"], truth=truth, source=source))
        return found

    def truth(self, video: str) -> dict[int, Truth]:
        """Truth of the annotated frames of one video, by frame index (frames without garments are absent)."""
        return {frame: truth for (name, frame), truth in self._truths().items() if name == video}

    @cached_property
    def labels(self) -> Mapping[int, int]:
        """Coarse class (index into COARSE_CLASSES) of each instance."""
        table = self.instances
        return dict(zip(table["instance"].to_pylist(), table["label"].to_pylist(), strict=True))

    def _truths(self) -> dict[tuple[str, int], Truth]:
        groups: dict[tuple[str, int], list[Row]] = {}
        for row in self.frames.drop_columns(["landmarks"]).to_pylist():
            groups.setdefault((row["video"], row["frame_index"]), []).append(row)
        ignored: dict[tuple[str, int], list[Row]] = {}
        for row in self.ignored.to_pylist():
            ignored.setdefault((row["video"], row["frame_index"]), []).append(row)
        keys = groups.keys() | ignored.keys()
        return {key: _truth(groups.get(key, ()), self.labels, ignored.get(key, ())) for key in sorted(keys)}

    def _table(self, name: str, optional: bool = False) -> pa.Table:
        path, schema = self.folder / f"{name}.parquet", TABLES[name]
        if optional and not path.is_file():
            return schema.empty_table()
        try:
            return pq.read_table(path).select(schema.names).cast(schema)
        except FileNotFoundError:
            raise BadDataset(path, f"the set has no table of {name}; list all problems with `dprnet check`") from None
        except (pa.ArrowException, KeyError, OSError) as error:
            text = str(error).splitlines()[0]
            raise BadDataset(path, f"not a table of {name} ({text}); list all problems with `dprnet check`") from None


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


def _truth(rows: Sequence[Row], labels: Mapping[int, int], ignored: Sequence[Row]) -> Truth:
    def box(row: Row) -> list[float]:
        return [row["x1"], row["y1"], row["x2"], row["y2"]]

    def column(name: str) -> Any:
        return np.array([row[name] for row in rows], np.int64)

    return Truth(
        boxes_xyxy=np.array([box(row) for row in rows], np.float32).reshape(-1, 4),
        labels=np.array([labels[row["instance"]] for row in rows], np.int64),
        viewpoint=column("viewpoint"),
        occlusion=column("occlusion"),
        crop=column("crop"),
        instance=column("instance"),
        ignore_xyxy=np.array([box(row) for row in ignored], np.float32).reshape(-1, 4),
    )


class ShopSetWriter:
    """Writes a set; nothing counts until :meth:`finish` has written set.json, the last file.

    >>> import tempfile
    >>> writer = ShopSetWriter(Path(tempfile.mkdtemp()), {"name": "mine", "split": "test"})
    >>> writer.add_still("street", 0, np.zeros((60, 40, 3), np.uint8))
    >>> writer.add_item("A1", [np.zeros((50, 50, 3), np.uint8)], category="top")
    >>> writer.add_instance("street", instance=7, label=0, item_id="A1")
    >>> writer.add_view("street", 0, instance=7, box_xyxy=(5, 5, 30, 50), viewpoint=0)
    >>> writer.finish().stills()[0].truth.instance
    array([7])
    """

    def __init__(self, folder: Path | str, meta: Mapping[str, Any]) -> None:
        """Begin a set in a folder that is empty or absent.

        Args:
            folder: where to write.
            meta: ``name`` and ``split``; of a generated set also ``generator``, ``version``, ``seed``, ``settings``.

        Raises:
            BadDataset: the folder already holds a set.
        """
        self.folder = Path(folder)
        if (self.folder / META).exists():
            raise BadDataset(self.folder, "already holds a set; choose another folder or delete it first")
        self.meta = dict(meta)
        self._rows: dict[str, list[Row]] = {name: [] for name in TABLES}
        self._items: list[Mapping[str, str]] = []
        for name in ("videos", "stills", "gallery"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def add_video(self, name: str) -> Path:
        """Where the file of a video belongs (H.264 in MP4); write it there before finishing."""
        return self.folder / "videos" / f"{name}.mp4"

    def add_still(self, video: str, frame_index: int, image: Image | tuple[int, int], quality: int = 90) -> None:
        """Add a single frame: its pixels, or its (width, height) where the file already lies in its place."""
        relative = still_name(video, frame_index)
        if not isinstance(image, tuple):
            PillowImage.fromarray(image).save(self.folder / relative, quality=quality)
            image = (image.shape[1], image.shape[0])
        row = {"video": video, "frame_index": frame_index, "image": relative, "width": image[0], "height": image[1]}
        self._rows["stills"].append(row)

    def add_item(self, item_id: str, photos: Sequence[Image | str], quality: int = 90, **columns: str) -> None:
        """Add a catalogue item with its photos (pixels, or paths inside the set's folder) and other columns."""
        for number, photo in enumerate(photos):
            relative = photo if isinstance(photo, str) else f"gallery/{item_id}_{number}.jpg"
            if not isinstance(photo, str):
                PillowImage.fromarray(photo).save(self.folder / relative, quality=quality)
            self._items.append({"item_id": item_id, "image": relative, **columns})

    def add_instance(
        self,
        video: str,
        instance: int,
        label: int,
        item_id: str | None = None,
        lookalike: bool = False,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a garment that is worn in a video (once per garment, not per frame)."""
        text = json.dumps(dict(attributes or {}), sort_keys=True)
        row = {"video": video, "instance": instance, "label": label, "item_id": item_id, "lookalike": lookalike}
        self._rows["instances"].append({**row, "attributes": text})

    def add_view(
        self,
        video: str,
        frame_index: int,
        instance: int,
        box_xyxy: Sequence[float],
        *,
        time_s: float = 0.0,
        viewpoint: int = -1,
        occlusion: int = -1,
        crop: int = -1,
        occluded: float = float("nan"),
        cut_off: float = float("nan"),
        landmarks: Sequence[float] = (),
    ) -> None:
        """Add what one frame shows of a garment; -1 and NaN where nobody labelled it."""
        row: dict[str, Any] = {"video": video, "frame_index": frame_index, "time_s": time_s, "instance": instance}
        row |= dict(zip(("x1", "y1", "x2", "y2"), map(float, box_xyxy), strict=True))
        row |= {"viewpoint": viewpoint, "occlusion": occlusion, "crop": crop, "occluded": occluded}
        row |= {"cut_off": cut_off, "frontal": viewpoint == 0, "landmarks": list(landmarks)}
        self._rows["frames"].append(row)

    def add_ignored(self, video: str, frame_index: int, box_xyxy: Sequence[float]) -> None:
        """Add a region in which a detection is neither right nor wrong."""
        corners = dict(zip(("x1", "y1", "x2", "y2"), map(float, box_xyxy), strict=True))
        self._rows["ignored"].append({"video": video, "frame_index": frame_index, **corners})

    def add_rows(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows that already have the columns of a table in TABLES."""
        self._rows[table].extend(rows)

    def finish(self) -> ShopSet:
        """Write tables, catalogue and, last of all, set.json."""
        digest = hashlib.sha256()
        for name, schema in TABLES.items():
            if self._rows[name] or name in {"instances", "frames"}:
                path = self.folder / f"{name}.parquet"
                pq.write_table(pa.Table.from_pylist(self._rows[name], schema=schema), path)
                digest.update(json.dumps(self._rows[name], sort_keys=True).encode())
        self._write_catalogue()
        if self.meta.get("generator"):
            digest = hashlib.sha256(json.dumps(self.meta, sort_keys=True).encode())
        defaults = {"name": self.folder.name, "split": "", "generator": "", "version": "", "seed": 0, "settings": {}}
        meta = {"schema": SCHEMA, "id": digest.hexdigest()[:16], **defaults, **self.meta}
        partial = self.folder / (META + ".partial")
        partial.write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(self.folder / META)
        return ShopSet.open(self.folder)

    def _write_catalogue(self) -> None:
        extra = sorted({key for item in self._items for key in item} - set(CATALOGUE_COLUMNS))
        with (self.folder / CATALOGUE).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, [*CATALOGUE_COLUMNS, *extra], restval="", lineterminator="\n")
            table.writeheader()
            table.writerows(self._items)


def still_name(video: str, frame_index: int) -> str:
    """Path of a single frame, relative to the set's folder.

    >>> still_name("street", 3)
    'stills/street_0003.jpg'
    """
    return f"stills/{video}_{frame_index:04d}.jpg"


__all__ = ["FRAMES", "IGNORED", "INSTANCES", "STILLS", "TABLES", "ShopSet", "ShopSetWriter", "check", "still_name"]
