"""Choice of the runtime; graphs kept, found again, and made anew where anything they follow from has changed."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from dprnet.core import graph_cache, graphs
from dprnet.core.errors import BadRecipe, MissingExtra


class Doubled(torch.nn.Module):
    def forward(self, numbers):
        return numbers * 2, numbers.sum(dim=1)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Models of one graph, and how often they were made."""
    pytest.importorskip("openvino")
    monkeypatch.setenv(graph_cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    calls = []

    def make():
        calls.append(1)
        return {"double": graphs.converted(Doubled(), [torch.ones(2, 3)], ["numbers"], ["twice", "sums"])}

    return make, calls


def test_the_runtime_is_chosen_by_device_and_by_what_is_installed(monkeypatch):
    monkeypatch.setattr(graphs, "installed", lambda: True)
    assert graphs.chosen("auto", "cpu") == "openvino"
    assert graphs.chosen("auto", "cuda") == "torch"
    assert graphs.chosen("torch", "cpu") == "torch"
    with pytest.raises(BadRecipe, match="device 'cpu', got device 'cuda'"):
        graphs.chosen("openvino", "cuda")
    with pytest.raises(BadRecipe, match="unknown 'onnx'"):
        graphs.chosen("onnx", "cpu")
    monkeypatch.setattr(graphs, "installed", lambda: False)
    assert graphs.chosen("auto", "cpu") == "torch"
    with pytest.raises(MissingExtra, match=r"pip install 'dprnet\[cpu\]'"):
        graphs.chosen("openvino", "cpu")


def test_lanes_follow_the_threads_that_are_allowed(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert graphs.lanes() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert graphs.lanes() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert graphs.lanes() == 3


def test_one_input_more_is_under_way_than_graphs_run():
    assert [graphs.calls(lanes) for lanes in (1, 2, 8)] == [1, 3, 9]


def test_more_calls_than_lanes_have_answers_of_their_own(made):
    make, _ = made
    graph = graphs.Graph(graph_cache.kept({"weights": "a"}, ["double"], make)["double"], lanes=2)

    def twice(number):
        return float(graph(np.full((2, 3), number, np.float32))[0].copy()[1, 2])

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(twice, range(300))) == [2.0 * number for number in range(300)]


def test_a_graph_answers_as_its_module_for_other_sizes_too(made):
    make, _ = made
    path = graph_cache.kept({"weights": "a"}, ["double"], make)["double"]
    graph = graphs.Graph(path, lanes=1)
    for shape in ((2, 3), (5, 7)):
        numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        twice, sums = graph(numbers)
        np.testing.assert_array_equal(twice, numbers * 2)
        np.testing.assert_array_equal(sums, numbers.sum(axis=1))


def test_a_graph_is_made_once_and_again_when_its_identity_changes(made):
    make, calls = made
    first = graph_cache.kept({"weights": "a", "code": 1}, ["double"], make)
    assert graph_cache.kept({"code": 1, "weights": "a"}, ["double"], make) == first
    assert len(calls) == 1
    assert graph_cache.kept({"weights": "b", "code": 1}, ["double"], make) != first
    assert len(calls) == 2


def test_a_half_written_graph_is_made_again(made):
    make, calls = made
    path = graph_cache.kept({"weights": "a"}, ["double"], make)["double"]
    path.with_suffix(".bin").unlink()
    again = graph_cache.kept({"weights": "a"}, ["double"], make)["double"]
    assert len(calls) == 2
    np.testing.assert_array_equal(graphs.Graph(again, 1)(np.ones((1, 1), np.float32))[0], [[2]])


def test_where_nothing_can_be_kept_graphs_are_made_at_every_start(made, tmp_path, monkeypatch):
    make, calls = made
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(graph_cache.CACHE_VARIABLE, str(tmp_path / "file"))
    for count in (1, 2):
        path = graph_cache.kept({"weights": "a"}, ["double"], make)["double"]
        assert path.is_file()
        assert len(calls) == count


@pytest.mark.usefixtures("made")
def test_a_failure_leaves_nothing_behind(tmp_path):
    def broken():
        raise MemoryError

    with pytest.raises(MemoryError):
        graph_cache.kept({"weights": "a"}, ["double"], broken)
    assert list((tmp_path / "cache" / "graphs").iterdir()) == []


def test_the_cache_keeps_a_bounded_number(made, tmp_path, monkeypatch):
    make, _ = made
    monkeypatch.setattr(graph_cache, "KEPT", 2)
    for weights in "abcd":
        graph_cache.kept({"weights": weights}, ["double"], make)
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 2


def test_the_digest_of_sources_follows_the_code(tmp_path, monkeypatch):
    package = tmp_path / "some_package_of_ours"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    before = graph_cache.of_sources("some_package_of_ours")
    assert graph_cache.of_sources("some_package_of_ours") == before
    (package / "net.py").write_text("x = 2")
    assert graph_cache.of_sources("some_package_of_ours") != before


FIRST_CALLS = """
import faulthandler, pathlib, sys, threading
import numpy as np
from dprnet.core.graphs import Graph

path, threads = pathlib.Path(sys.argv[1]), 8
graphs = [Graph(path, threads), Graph(path, threads)]
ready = threading.Barrier(threads)
numbers = np.ones((2, 3), np.float32)
answers = []

def call(graph):
    ready.wait()
    answers.append(graph(numbers)[0].copy())

faulthandler.dump_traceback_later(20, exit=True)  # a thread that waits for a lock of C++ can be ended by nothing else
sys.setswitchinterval(1e-6)  # makes a rare moment a likely one
calls = [threading.Thread(target=call, args=(graphs[number % 2],)) for number in range(threads)]
for one in calls:
    one.start()
for one in calls:
    one.join()
assert len(answers) == threads and all((answer == 2).all() for answer in answers)
"""


def test_first_calls_at_once_do_not_wait_for_one_another_for_ever(made):
    make, _ = made
    path = graph_cache.kept({"weights": "a"}, ["double"], make)["double"]
    for _ in range(5):  # each process has one first call
        done = subprocess.run([sys.executable, "-c", FIRST_CALLS, path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
