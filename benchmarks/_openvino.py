"""OpenVINO's own benchmark (``benchmark_app``, which comes with it) of a graph, on the inputs that we give it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PROGRAM = Path(sys.executable).with_name("benchmark_app")
TOLD = re.compile(r"Count:\s+(\d+) iterations.*?Duration:\s+([\d.]+) ms", re.DOTALL)


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
