"""OpenVINO's own benchmark (``benchmark_app``, which comes with it) of graphs, on the inputs that we give it."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _measure import once

PROGRAM = Path(sys.executable).with_name("benchmark_app")
TOLD = re.compile(r"Count:\s+(\d+) iterations.*?Duration:\s+([\d.]+) ms", re.DOTALL)


@dataclass(frozen=True)
class Beside:
    """Medians over the rounds."""

    rate: float
    """Of ours, things a second."""
    ratio: float
    """Of our rate to OpenVINO's in the same round: what the machine does to one minute it does to both."""
    share: float
    """Processor seconds of ours over wall seconds."""


def beside(
    ours: Callable[[], object],
    count: int,
    graphs: Sequence[tuple[Path, Sequence[Any]]],
    lanes: int,
    *,
    rounds: int,
    seconds: int,
    batch: int = 1,
) -> Beside:
    """Our rate beside that of graphs that are run one after another, measured in turn.

    Args:
        ours: does ``count`` things.
        graphs: file and inputs of each that one thing, or ``batch`` of them, takes.
        seconds: of each graph in every round.
    """
    rates, ratios, shares = [], [], []
    for _ in range(rounds):
        spent, wall = once(ours)
        theirs = batch / sum(1 / runs_a_second(path, arrays, lanes, seconds) for path, arrays in graphs)
        rates.append(count / wall)
        ratios.append(count / wall / theirs)
        shares.append(spent / wall)
    return Beside(statistics.median(rates), statistics.median(ratios), statistics.median(shares))


def runs_a_second(graph: Path, arrays: Sequence[Any], lanes: int, seconds: int) -> float:
    """Runs of a graph a second, ``lanes`` of them at once, each on a thread of its own.

    Args:
        graph: its ``.xml``.
        arrays: one an input, in the order of the inputs.

    Raises:
        SystemExit: the program is not there, failed, or told nothing.
    """
    import openvino

    if not PROGRAM.is_file():
        raise SystemExit(f"{PROGRAM}: not there; it comes with OpenVINO: pip install 'dprnet[cpu]'")
    names = [port.get_any_name() for port in openvino.Core().read_model(graph).inputs]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, array in zip(names, arrays, strict=True):
            files.append(f"{name}:{folder}/{name}.npy")
            np.save(f"{folder}/{name}.npy", array)
        shapes = ",".join(f"{name}[{','.join(map(str, a.shape))}]" for name, a in zip(names, arrays, strict=True))
        each = ("-nstreams", str(lanes), "-nthreads", str(lanes), "-nireq", str(lanes), "-t", str(seconds))
        settings = ("-hint", "none", "-api", "async", "-infer_precision", "f32", "-pin", "NO")
        command = [str(PROGRAM), "-m", str(graph), "-i", *files, "-data_shape", shapes, *settings, *each]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    told = TOLD.search(done.stdout)
    if done.returncode or told is None:
        raise SystemExit(f"benchmark_app failed on {graph}:\n{(done.stdout + done.stderr)[-2000:]}")
    return 1000 * int(told[1]) / float(told[2])
