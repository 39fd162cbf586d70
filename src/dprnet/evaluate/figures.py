"""Figures on disk: any dataclass of figures as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """A dataclass (or what it holds) as what JSON can hold; NaN and infinity become None.

    >>> plain({"a": float("nan"), "b": np.float32(0.5), 3: (1, np.int64(2))})
    {'a': None, 'b': 0.5, '3': [1, 2]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def write_figures(figures: Any, path: Path) -> None:
    """Write a dataclass of figures as JSON, in one step (never a half file)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(plain(figures), indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
