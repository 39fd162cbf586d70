"""Writes a video-to-shop set, set.json last of all."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as PillowImage

from dprnet.core.errors import BadDataset
from dprnet.core.records import Image
from dprnet.data.shopset.reader import ShopSet
from dprnet.data.shopset.tables import CATALOGUE, CATALOGUE_COLUMNS, META, SCHEMA, TABLES, Row, still_name


class ShopSetWriter:
    """Writes a set; nothing counts until :meth:`finish` has written set.json, the last file.

    >>> import tempfile
    >>> import numpy as np
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
