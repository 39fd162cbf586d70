"""CSV, JSON Lines and Parquet tables as rows of text, with the place of each for messages."""

from __future__ import annotations

import csv
import datetime
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dprnet.core.config import Settings
from dprnet.core.errors import BadCatalogue, MissingFile, printable

REQUIRED = ("item_id", "image")
DELIMITERS = (",", ";", "\t")
MAX_LINE_BYTES = 4 << 20
BATCH_ROWS = 4096


class CatalogueLimits(Settings):
    """What a catalogue may cost at most."""

    max_bytes: int = 4 << 30  # ours: some ten million rows
    max_rows: int = 20_000_000  # ours
    max_columns: int = 500  # ours: product feeds have up to some hundred
    max_cell_chars: int = 100_000  # ours: a long description is about 10,000
    max_id_chars: int = 500  # ours: ids become keys and file names


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its cells as text, and where it stands."""

    where: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be read."""

    where: str
    sentence: str


def rows(path: Path, limits: CatalogueLimits) -> Iterator[Row | BadRow]:
    """The rows of a table, told apart by content: Parquet by its magic, JSON Lines by its first brace, else CSV.

    Raises:
        MissingFile: no such file.
        BadCatalogue: binary, not UTF-8, without the required columns, or beyond a limit; naming line and column.
    """
    if not path.is_file():
        raise MissingFile(path, "no such catalogue; give a folder of photos, a CSV, JSON Lines or Parquet file")
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise BadCatalogue(path, f"{size} bytes, at most {limits.max_bytes}", reason="limit:max_bytes")
    with path.open("rb") as file:
        head = file.read(4096)
        file.seek(0)
        if head.startswith(b"PAR1"):
            yield from _parquet_rows(path, limits)
            return
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise BadCatalogue(path, "UTF-16 text; save it as UTF-8")
        if b"\0" in head:
            raise BadCatalogue(path, "a binary file; a catalogue is a folder of photos, CSV, JSON Lines or Parquet")
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start:
            raise BadCatalogue(path, "the file is empty", reason="empty")
        if start.startswith(b"["):
            raise BadCatalogue(path, "a JSON array; write JSON Lines: one object a line")
        yield from _json_rows(path, file) if start.startswith(b"{") else _csv_rows(path, file, limits)


def check_columns(path: Path, columns: Iterable[str], limits: CatalogueLimits, where: str) -> None:
    """Refuse a table whose columns do not make a catalogue.

    Raises:
        BadCatalogue: too many columns, one twice, or a required one missing (the nearest is named).
    """
    names = list(columns)
    if len(names) > limits.max_columns:
        raise BadCatalogue(
            path, f"{where}: {len(names)} columns, at most {limits.max_columns}", reason="limit:max_columns"
        )
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise BadCatalogue(path, f"{where}: column '{printable(twice, 60)}' appears twice")
    for name in REQUIRED:
        if name not in names:
            near = difflib.get_close_matches(name, [known.lower() for known in names], n=1, cutoff=0.6)
            hint = f"did you mean '{printable(near[0], 60)}'?" if near else f"found {_listed(names)}"
            raise BadCatalogue(path, f"{where}: column '{name}' is missing; {hint}")


def _lines(path: Path, file: IO[bytes]) -> Iterator[str]:
    """Lines as text with their ends, decoded one by one so that a wrong byte can be placed."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise BadCatalogue(path, f"line {number}: longer than {MAX_LINE_BYTES} bytes", reason="limit:line")
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadCatalogue(
                path, f"line {number}: byte 0x{raw[error.start]:02x} at position {error.start + 1} is not UTF-8"
            ) from None
        yield text


def _csv_rows(path: Path, file: IO[bytes], limits: CatalogueLimits) -> Iterator[Row | BadRow]:
    first = next(_lines(path, file))
    file.seek(0)

    def columns_by(delimiter: str) -> list[str]:
        try:
            return [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        except csv.Error:
            return []

    fitting = [mark for mark in DELIMITERS if set(REQUIRED) <= set(columns_by(mark))]
    reader = csv.reader(_lines(path, file), delimiter=fitting[0] if fitting else ",", strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        check_columns(path, names, limits, "line 1")
        before = reader.line_num
        for cells in reader:
            where, before = f"line {before + 1}", reader.line_num
            if not cells:
                continue
            if len(cells) != len(names):
                yield BadRow(where, f"{len(cells)} cells where the header has {len(names)}")
            else:  # columns without a name, such as the row numbers some programs write, are left out
                yield Row(where, {name: cell for name, cell in zip(names, cells, strict=True) if name})
    except csv.Error as error:
        raise BadCatalogue(path, f"line {reader.line_num}: not CSV ({error})") from None


def _json_rows(path: Path, file: IO[bytes]) -> Iterator[Row | BadRow]:
    good = 0
    for number, line in enumerate(_lines(path, file), start=1):
        where = f"line {number}"
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if not good:  # from the very first line on: not this format
                raise BadCatalogue(path, f"{where}: not JSON Lines, one object a line ({_brief(error)})") from None
            yield BadRow(where, f"not a JSON object ({_brief(error)})")
            continue
        if not isinstance(value, dict):
            yield BadRow(where, f"a JSON {type(value).__name__} where an object is wanted")
            continue
        good += 1
        yield Row(where, {name: _as_text(cell) for name, cell in value.items()})


def _parquet_rows(path: Path, limits: CatalogueLimits) -> Iterator[Row | BadRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, thrift_string_size_limit=50 << 20, thrift_container_size_limit=5_000_000) as table:
            check_columns(path, table.schema_arrow.names, limits, "schema")
            groups = [table.metadata.row_group(index) for index in range(table.metadata.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            if unpacked > limits.max_bytes:
                raise BadCatalogue(
                    path, f"{unpacked} bytes unpacked, at most {limits.max_bytes}", reason="limit:max_bytes"
                )
            for batch in table.iter_batches(BATCH_ROWS):
                for cells in batch.to_pylist():
                    number += 1
                    yield Row(f"row {number}", {name: _as_text(cell) for name, cell in cells.items()})
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise BadCatalogue(path, f"row {number + 1}: not a readable Parquet file ({_brief(error)})") from None


def _as_text(value: Any) -> str:
    """A cell as text: nothing is "", a list or table its JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _brief(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}", 160)


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{printable(name, 40)}'" for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown or "no column"
