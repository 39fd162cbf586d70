"""int8 graphs of a bundle: found, preferred only when good, refused when damaged or of other weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core import graphs, int8
from dprnet.core.bundle import save_pretrained
from dprnet.core.errors import BadBundle, BadRecipe

pytest.importorskip("openvino")


class Doubled(torch.nn.Module):
    def forward(self, numbers):
        return numbers * 2


@pytest.fixture
def bundle(tmp_path):
    """A bundle that holds a detector's graph."""
    made = save_pretrained(tmp_path / "b", "b", {"detector": {"a": 1}}, {"detector": {"w": np.ones(2, np.float32)}})
    model = graphs.converted(Doubled(), [torch.ones(2, 3)], ["numbers"], ["twice"])
    return int8.save(made, "detector", {"first": model}, {"AP": {"torch": 0.5, "int8": 0.4}}, default=False)


def test_it_is_taken_when_asked_for_and_by_default_only_where_it_is_good(bundle):
    assert int8.ready(bundle, "detector", ("first", "boxes"), "auto") == {}
    assert int8.ready(bundle, "detector", ("first",), "openvino") == {}
    assert int8.ready(bundle, "embedder", ("embedder",), "int8") == {}  # the detector alone has graphs
    paths = int8.ready(bundle, "detector", ("first", "boxes"), "int8")
    assert set(paths) == {"first"}
    np.testing.assert_array_equal(graphs.Graph(paths["first"], 1)(np.ones((1, 2), np.float32))[0], [[2, 2]])
    model = graphs.converted(Doubled(), [torch.ones(2, 3)], ["numbers"], ["twice"])
    good = int8.save(bundle, "detector", {"first": model}, {}, default=True)
    assert set(int8.ready(good, "detector", ("first",), "auto")) == {"first"}


def test_other_weights_or_settings_leave_it_out_and_picking_does_not(bundle):
    folder = bundle.folder
    kept = save_pretrained(folder, "b", {"picking": {"cut": 0.2}}, {})
    assert int8.ready(kept, "detector", ("first",), "int8")
    other = save_pretrained(folder, "b", {}, {"detector": {"w": np.zeros(2, np.float32)}})
    with pytest.raises(BadRecipe, match="holds no int8 graphs of its weights; make them with: dprnet export --int8"):
        int8.ready(other, "detector", ("first",), "int8")
    back = save_pretrained(folder, "b", {}, {"detector": {"w": np.ones(2, np.float32)}})
    assert int8.ready(back, "detector", ("first",), "int8")
    changed = save_pretrained(folder, "b", {"detector": {"a": 2}}, {})
    assert int8.entry(changed, "detector") == {}


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_a_damaged_file_is_told(bundle, harm):
    path = bundle.folder / "int8" / "detector-first.graph"
    path.unlink() if harm == "gone" else path.write_bytes(b"else")
    with pytest.raises(BadBundle, match=r"detector-first.graph.*take runtime 'openvino'"):
        int8.ready(bundle, "detector", ("first",), "int8")


@pytest.mark.parametrize(
    "said", [[], "x", {"detector": 3}, {"detector": {"of": 1}}, {"detector": {"files": [], "of": 1}}]
)
def test_a_hostile_manifest_holds_none(bundle, said):
    bundle.manifest["int8"] = said
    assert int8.entry(bundle, "detector") == {}
    assert int8.ready(bundle, "detector", ("first",), "auto") == {}
