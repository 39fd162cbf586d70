"""What is done: a journal of the latest results, moved into Parquet files a block at a time.

    run.json                     what the results depend on; another run is refused
    journal.jsonl                results since the last block, each on disk before the next video of its worker begins
    results/part-000001.parquet  blocks, each written beside its place and moved there
    quarantine.csv               videos that failed or killed their workers, and why

A kill at any moment loses no result: a line that is torn is done again, a block whose journal was not emptied yet is
known by its videos.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadRecipe, BadReport, NoSpace, printable
from dprnet.report import safe_cell

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
RUN, JOURNAL, RESULTS, QUARANTINE, LOCK = "run.json", "journal.jsonl", "results", "quarantine.csv", "run.lock"
BAD = ("failed", "quarantined")
AGAIN = ("missing_file",)
"""Reasons that say nothing about a video's content: such videos are tried again by every run."""

Row = dict[str, Any]


class Ledger:
    """The results in a folder; one process at a time."""

    def __init__(
        self, folder: Path, depends: Mapping[str, object], block: int, made: Callable[[], None] | None = None
    ) -> None:
        """Open or begin.

        Args:
            made: called after every block.

        Raises:
            BadRecipe: the folder holds a run of other settings, bundle or gallery, or another process works in it.
            BadReport: what it holds is damaged.
        """
        self.folder = folder
        self._block, self._made = block, made
        folder.mkdir(parents=True, exist_ok=True)
        self.status: dict[str, tuple[str, str]] = {}
        """Status and reason of every video by its content."""
        self.contents: dict[tuple[str, str], str] = {}
        """Content of every object of a store by address and version, so that what is done is not fetched again."""
        self._lock = _locked(folder / LOCK)
        try:
            _same_run(folder / RUN, depends)
            self._file: IO[str] = self._taken_up()
        except BaseException:
            os.close(self._lock)  # who is refused does not keep others away
            raise

    def _taken_up(self) -> IO[str]:
        """Learn what is done; the journal, to be gone on with."""
        folder = self.folder
        (folder / RESULTS).mkdir(exist_ok=True)
        for path in sorted((folder / RESULTS).glob("part-*.parquet")):
            self._learn(_read(path, ["sha256", "status", "reason", "path", "version"]).to_pylist())
        stored = set(self.status)
        self._rows = [row for row in _journal(folder / JOURNAL) if row["sha256"] not in stored or row["again"]]
        self._learn(self._rows)
        _write_whole(folder / JOURNAL, "".join(json.dumps(row) + "\n" for row in self._rows))  # without a torn line
        return (folder / JOURNAL).open("a", encoding="utf-8")

    def done(self, content: str, *, again: bool = False) -> bool:
        """Whether a video has its result; with ``again``, those that failed have none."""
        status, reason = self.status.get(content, ("", ""))
        return bool(status) and reason not in AGAIN and not (again and status in BAD)

    def add(self, row: Row) -> None:
        """Keep a result: it is on disk when this returns."""
        row = row | {"again": row["sha256"] in self.status}
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise NoSpace(self.folder, f"a result cannot be written ({error.strerror}); run again with room") from None
        self._rows.append(row)
        self._learn([row])
        if len(self._rows) >= self._block:
            self.commit()

    def commit(self) -> None:
        """Move the journal into a block."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._rows:
            return
        numbers = [int(path.stem.partition("-")[2]) for path in (self.folder / RESULTS).glob("part-*.parquet")]
        path = self.folder / RESULTS / f"part-{max(numbers, default=0) + 1:06}.parquet"
        partial = path.with_suffix(".partial")
        try:
            pq.write_table(pa.Table.from_pylist(self._rows, schema=row_schema()), partial, compression="zstd")
            _synced(partial)
            partial.replace(path)
            _synced(path.parent)
            self._file.truncate(0)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise NoSpace(path, f"a block cannot be written ({error.strerror or error}); run again with room") from None
        self._rows = []
        if self._made is not None:
            self._made()

    def close(self, *, whole: bool = True) -> None:
        """Let go of the folder; ``whole`` also moves the rest of the journal into a block and lists the bad videos."""
        try:
            if whole:
                self.commit()
                _write_quarantine(self.folder)
        finally:
            self._file.close()
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(whole=kind is None)

    def _learn(self, rows: list[Row]) -> None:
        self.status.update({row["sha256"]: (row["status"], row["reason"]) for row in rows})
        self.contents.update(
            {(row["path"], row["version"]): row["sha256"] for row in rows if row.get("version")},
        )


def row_schema() -> pa.Schema:
    """Columns of a block: a row a video, its matches in ``found``."""
    import pyarrow as pa

    text, real, whole = pa.string(), pa.float64(), pa.int32()
    seen = {"garment": whole, "label": text, "status": text, "first_seen_s": real, "last_seen_s": real}
    best = {"best_time_s": real, "box_xyxy": pa.list_(pa.float32()), "overall": real}
    match = {"rank": whole, "item_id": text, "similarity": real, "photo": text, "decision": text, "probability": real}
    facts = {"path": text, "sha256": text, "status": text, "reason": text, "note": text, "attempts": whole}
    costs = {"seconds": real, "duration_s": real, "frames": whole, "bundle": text, "gallery": text}
    more = {"garments": whole, "picked": whole, "report": text, "again": pa.bool_(), "version": text}
    return pa.schema({**facts, **costs, **more, "found": pa.list_(pa.struct({**seen, **best, **match}))})


def read_results(folder: Path | str) -> pa.Table:
    """The results of a run, a row a video; of a video that was tried again the latest.

    Raises:
        BadReport: a block is damaged.
    """
    import pyarrow as pa

    parts = sorted((Path(folder) / RESULTS).glob("part-*.parquet"))
    rows = pa.concat_tables([row_schema().empty_table(), *(_read(path) for path in parts)])
    latest = {content: number for number, content in enumerate(rows["sha256"].to_pylist())}
    return rows.take(pa.array(sorted(latest.values()), pa.int64()))


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        wanted = columns or row_schema().names
        file = pq.ParquetFile(path)
        table = file.read([name for name in wanted if name in file.schema_arrow.names])
        for name in set(wanted) - set(table.column_names):  # a block of before there was that column
            table = table.append_column(name, pa.nulls(len(table), row_schema().field(name).type))
        return table.select(wanted)
    except (pa.ArrowException, OSError) as error:
        raise BadReport(path, f"damaged ({type(error).__name__}); delete it, and its videos are done again") from None


def _journal(path: Path) -> Iterator[Row]:
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else ():
        if not line.endswith("\n"):
            return  # torn by a kill: its video is done again
        try:
            yield json.loads(line)
        except ValueError:
            raise BadReport(path, "damaged; delete it, and the videos of its block are done again") from None


def _same_run(path: Path, depends: Mapping[str, object]) -> None:
    wanted = {"schema": SCHEMA, **depends}
    if not path.is_file():
        _write_whole(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        held = None
    if not isinstance(held, dict):
        raise BadReport(path, "damaged; choose another --out")
    for name in [*wanted, *sorted(set(held) - set(wanted))]:  # a setting that only the run of before had differs too
        if held.get(name) != wanted.get(name):
            was, now = (printable(str(values.get(name, "not set")), 80) for values in (held, wanted))
            raise BadRecipe(
                path.parent, f"holds results of another run ({name} {was}, now {now}); choose another --out"
            )


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(handle, 20).decode("ascii", "replace")
        os.close(handle)
        raise BadRecipe(
            path.parent, f"process {owner or '?'} works in it; wait for it, or choose another --out"
        ) from None
    os.truncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def _write_quarantine(folder: Path) -> None:
    rows = [row for row in read_results(folder).to_pylist() if row["status"] in BAD]
    path = folder / QUARANTINE
    path.unlink(missing_ok=True)
    if rows:
        with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "status", "reason", "attempts", "note"))
            for row in rows:
                texts = [safe_cell(str(row[name])) for name in ("path", "status", "reason", "attempts", "note")]
                writer.writerow(texts)


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    _synced(partial)
    partial.replace(path)


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
