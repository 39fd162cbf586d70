"""JSON files are read within a limit; each fault is a sentence."""

from __future__ import annotations

import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.json_file import read_json


def test_values_and_every_fault(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(MissingFile, match="no such list"):
        read_json(path, 100, "no such list")
    path.write_text('{"a": [1]}')
    assert read_json(path, 10, "") == {"a": [1]}  # ten bytes are still read
    with pytest.raises(BadDataset, match="larger than 9 bytes"):
        read_json(path, 9, "")
    for broken in (b"[{", b"\xff\xfe\x00", b"[" * 100_000):
        path.write_bytes(broken)
        with pytest.raises(BadDataset, match="cannot be read as JSON"):
            read_json(path, 1_000_000, "")
    with pytest.raises(BadDataset, match="cannot be read as JSON"):
        read_json(tmp_path, 1_000_000, "")
