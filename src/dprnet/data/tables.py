"""CSV files of data sets: read whole, with each row's line, and every problem with file, line and value."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dprnet.core.errors import BadDataset, MissingFile

Row = tuple[int, dict[str, str]]
MAX_BYTES = 100_000_000


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    """The rows of a CSV file with their line numbers (1 is the header).

    Raises:
        MissingFile: no such file.
        BadDataset: not UTF-8 text, a column is missing, or a row has too few or too many fields.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadDataset(path, f"larger than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MissingFile(path, "no such table; is this the folder of the data set?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(path, f"cannot be read as UTF-8 text ({type(error).__name__})") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))  # splitlines() would break fields at odd separators
    header = reader.fieldnames or ()
    for name in columns:
        if name not in header:
            raise BadDataset(path, f"line 1: column '{name}' is missing; wanted {', '.join(columns)}")
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadDataset(path, f"line {reader.line_num}: a row must have {len(header)} fields")
            rows.append((reader.line_num, {name: value.strip() for name, value in row.items()}))
    except csv.Error as error:
        raise BadDataset(path, f"line {reader.line_num}: {error}") from None
    return rows
