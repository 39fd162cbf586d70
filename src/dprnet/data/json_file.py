"""JSON files of data sets: read with a limit on their size, every fault a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dprnet.core.errors import BadDataset, MissingFile


def read_json(path: Path, most_bytes: int, missing: str) -> Any:
    """The values of a JSON file.

    Args:
        path: the file.
        most_bytes: a larger file is not read.
        missing: what to say where it is not there.

    Raises:
        MissingFile: no such file.
        BadDataset: too large, or no JSON.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise BadDataset(path, f"larger than {most_bytes} bytes")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingFile(path, missing) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadDataset(path, f"cannot be read as JSON ({type(error).__name__})") from None
