"""Reads a video-to-shop set: its tables as columns, its single frames and the truth of its videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.records import Truth
from dprnet.data.labelled import LabelledImage
from dprnet.data.shopset.tables import CATALOGUE, TABLES, Row, read_meta


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
