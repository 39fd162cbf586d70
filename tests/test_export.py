"""ONNX files that answer as torch does, from photos as bytes."""

from __future__ import annotations

import json

import pytest

from dprnet.core.bundle import Bundle
from dprnet.core.errors import MissingExtra
from dprnet.pipeline.export import export


@pytest.mark.data
def test_the_files_answer_as_torch_does_on_real_photos(data_root, tmp_path):
    pytest.importorskip("onnxruntime")
    photos = sorted((data_root / "ccp").rglob("*.jpg"))[:2]
    done = export(Bundle.from_pretrained("tiny"), tmp_path / "onnx", photos)
    names = {path.name for path in done.files}
    graphs = {"detector-first.onnx", "detector-boxes.onnx", "detector-views.onnx", "embedder.onnx"}
    assert names == graphs | {"export.json"}
    assert all(path.stat().st_size for path in done.files)
    assert done.photos == 2
    assert done.detections > 0
    assert done.cosine > 1 - 1e-4
    assert done.box_px < 0.5
    assert done.score < 1e-3
    told = json.loads((tmp_path / "onnx" / "export.json").read_text())
    assert told["graphs"]["embedder"]["inputs"] == ["images"]


def test_what_is_missing_is_named(random_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"onnx and onnxruntime not installed; get it with: pip install"):
        export(Bundle.from_pretrained(random_bundle), tmp_path)
