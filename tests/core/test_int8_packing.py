"""A packed graph comes back byte for byte, is a fraction as large, and is refused with other weights or damaged."""

from __future__ import annotations

import json
import lzma

import numpy as np
import pytest

from dprnet.core.graph_cache import Stored
from dprnet.core.int8_packing import pack, unpack

openvino = pytest.importorskip("openvino")

RNG = np.random.default_rng(0)
ARRAYS = {
    "conv.weight": RNG.normal(size=(64, 32, 3, 3)).astype(np.float16),
    "other.weight": RNG.normal(size=(64, 32, 3, 3)).astype(np.float16),
    "fc.weight": RNG.normal(size=(40, 64)).astype(np.float16),
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A convolution with whole numbers and scales, and a product in float32, as OpenVINO writes them."""
    from openvino import opset13 as ops

    weight = ARRAYS["conv.weight"].astype(np.float32)
    scale = (np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127).astype(np.float32)
    whole = np.rint(weight / scale).astype(np.int8)
    whole[0, 0, 0, :2] += 1  # what makes graphs rounds otherwise now and then
    images = ops.parameter([1, 32, 8, 8], np.float32)
    floats = ops.multiply(ops.convert(ops.constant(whole), "f32"), ops.constant(scale))
    maps = ops.convolution(images, floats, [1, 1], [1, 1], [1, 1], [1, 1])
    vectors = ops.reduce_mean(maps, ops.constant(np.array([2, 3])), keep_dims=False)
    answer = ops.matmul(vectors, ops.constant(ARRAYS["fc.weight"].astype(np.float32)), False, True)
    path = tmp_path_factory.mktemp("graph") / "graph.xml"
    openvino.save_model(openvino.Model([answer], [images]), path, compress_to_fp16=False)
    return Stored(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def test_it_comes_back_byte_for_byte_and_is_small(graph):
    packed = pack(graph, ARRAYS)
    assert unpack(packed, ARRAYS) == graph
    head = json.loads(lzma.decompress(packed).partition(b"\n")[0])
    assert {entry[2] for entry in head["known"]} == {"conv.weight", "fc.weight"}
    assert len(packed) < len(graph.constants) / 8
    assert len(packed) < len(lzma.compress(graph.constants)) / 4


def test_what_no_weight_tells_is_kept_as_it_is(graph):
    assert unpack(pack(graph, {}), {}) == graph


@pytest.mark.parametrize("name", ["conv.weight", "fc.weight"])
def test_other_weights_are_refused(graph, name):
    packed = pack(graph, ARRAYS)
    with pytest.raises(ValueError, match="not those that it was packed with"):
        unpack(packed, ARRAYS | {name: -ARRAYS[name]})
    with pytest.raises(ValueError, match="no packed graph"):
        unpack(packed, {other: array for other, array in ARRAYS.items() if other != name})


@pytest.mark.parametrize(
    "head", [b"[]", b"{}", b'{"xml": "a"}', b'{"xml": 0, "known": [[0, "i8", "conv.weight"]]}', b"\xff"]
)
def test_what_is_no_packed_graph_is_refused(graph, head):
    with pytest.raises(ValueError, match=r"no packed graph|cut short|reshape"):
        unpack(lzma.compress(head + b"\n"), ARRAYS)
    packed = pack(graph, ARRAYS)
    for broken in (b"", b"else", packed[: len(packed) // 2]):
        with pytest.raises(ValueError, match=r"no packed graph|cut short"):
            unpack(broken, ARRAYS)
