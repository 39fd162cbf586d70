"""What every test may use: the real data, if it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _data_root() -> Path | None:
    value = os.environ.get("DPRNET_DATA")
    return Path(value) if value and Path(value).is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _data_root() is None:
        skip = pytest.mark.skip(reason="needs the real data: set DPRNET_DATA to its folder")
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data; use it with the marker ``data``."""
    root = _data_root()
    assert root is not None, "mark this test with @pytest.mark.data"
    return root
