"""Networks as OpenVINO graphs: traced from torch once, kept in the user's cache, compiled for this processor.

OpenVINO is optional (the extra ``cpu``). A kept graph needs no torch: that is most of the start-up of a search.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from dprnet.core import graph_cache
from dprnet.core.config import Settings
from dprnet.core.errors import BadRecipe, MissingExtra

Runtime = Literal["auto", "torch", "openvino", "int8"]

Precision = Literal["float32", "bf16"]
"""What torch multiplies in."""

Run = Callable[..., list[NDArray[Any]]]
"""Runs one graph: arrays in, arrays out."""

Part = tuple[Any, Sequence[Any], Sequence[str], Sequence[str]]
"""A torch module that becomes a graph, example inputs, names of its inputs and of its outputs."""

OWN_CODE = (
    "dprnet.core.colour",
    "dprnet.core.folding",
    "dprnet.core.graphs",
)  # that the graphs of all parts follow from


def chosen(runtime: Runtime | str, device: str) -> Literal["torch", "openvino"]:
    """Which runtime a network is run by: OpenVINO on a CPU where it is installed, else torch.

    OpenVINO also runs graphs of 8-bit integers (:mod:`dprnet.core.int8`).

    Raises:
        BadRecipe: a runtime that is none, or OpenVINO on another device than the CPU.
        MissingExtra: OpenVINO was asked for and is not installed.
    """
    if runtime == "auto":
        return "openvino" if device == "cpu" and installed() else "torch"
    if runtime == "torch":
        return "torch"
    if runtime not in ("openvino", "int8"):
        raise BadRecipe("runtime", f"unknown '{runtime}', expecting auto, torch, openvino or int8")
    if device != "cpu":
        raise BadRecipe("runtime", f"{runtime} runs on device 'cpu', got device '{device}'; take runtime 'torch'")
    if not installed():
        raise MissingExtra(f"runtime {runtime}", "OpenVINO is not installed; get it with: pip install 'dprnet[cpu]'")
    return "openvino"


def installed() -> bool:
    """Whether OpenVINO can be imported."""
    return importlib.util.find_spec("openvino") is not None


def lanes() -> int:
    """How many graphs run at once, each on one thread: the processor cores this process may use."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(limit)) if limit.isdigit() and int(limit) else cores)


def calls(lanes: int) -> int:
    """How many inputs are under way at once: one more than graphs run, which is made ready meanwhile.

    With a single lane all is done in turn, in the caller's thread.
    """
    return lanes + 1 if lanes > 1 else 1


class Graph:
    """A compiled graph: arrays in, arrays out, from any number of threads.

    Each call runs in the calling thread alone. The answers of a thread are overwritten by its next call.

    Args:
        path: of the graph's ``.xml``.
        lanes: calls that run at once; others wait for their turn.
    """

    def __init__(self, path: Path, lanes: int) -> None:
        import openvino

        self.path = path
        core = _core(openvino)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # where bfloat16 is fast it would be taken, and answers would differ
            "INFERENCE_NUM_THREADS": lanes,
            "NUM_STREAMS": lanes,
            "ENABLE_CPU_PINNING": False,  # the decoder's process wants its share of every core
        }
        self._compiled = core.compile_model(path, "CPU", settings)
        self._own = threading.local()
        self._ran = False

    def __call__(self, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
        """Run it: one array an input, in the order of the inputs."""
        if self._ran:
            return self._run(arrays)
        with _FIRST:
            answers = self._run(arrays)
            self._ran = True
        return answers

    def _run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        answers = request.infer(dict(enumerate(arrays)), share_inputs=True, share_outputs=True)
        return list(answers.to_tuple())


def of_network(
    package: str,
    names: Sequence[str],
    config: Settings,
    identity: Mapping[str, object],
    parts: Callable[[], Mapping[str, Part]],
) -> dict[str, Path]:
    """Files of the graphs of a network: those that were kept, or made now.

    Args:
        package: of the network, such as ``dprnet.detect``: graphs of other code are made anew.
        names: of the graphs.
        config: settings of the network.
        identity: what its weights follow from.
        parts: the network cut into graphs by name; asked where none are kept.
    """
    code = graph_cache.of_sources(package, *OWN_CODE)
    whole = {"part": package, **identity, "settings": config.model_dump(mode="json"), "code": code}
    return graph_cache.kept(whole, names, lambda: models(parts()))


def models(parts: Mapping[str, Part]) -> dict[str, Any]:
    """The parts of a network as OpenVINO models by name."""
    return {name: converted(*part) for name, part in parts.items()}


def converted(module: Any, example: Sequence[Any], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """A torch module as an OpenVINO model, traced with example inputs; dimensions of its inputs that can be free are.

    OpenVINO's own ``convert_model`` does the same and tells its maker about it; this does not.

    Raises:
        BadRecipe: an operation that OpenVINO does not know.
    """
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), _quiet():
        traced = torch.jit.trace(module.eval(), tuple(example), check_trace=False)  # type: ignore[no-untyped-call]
        front = FrontEndManager().load_by_framework("pytorch")
        try:
            decoder = TorchScriptPythonDecoder(traced)  # has to outlive the conversion
            model = front.convert(front.load(decoder))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BadRecipe(type(module).__name__, f"OpenVINO cannot run it ({reason}); take runtime 'torch'") from None
    for ports, names in ((model.inputs, inputs), (model.outputs, outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    return model


_CORE: list[Any] = []
# At its first call OpenVINO's binding makes tables of its own, and holds a lock of C++ while it asks for Python's. A
# second first call beside it, which has Python's lock and wants the other, would wait for ever.
_FIRST = threading.Lock()


def _core(openvino: Any) -> Any:
    if not _CORE:
        _CORE.append(openvino.Core())
    return _CORE[0]


def _quiet() -> Any:
    """Tracing warns of every shape that becomes a constant; the tests compare the answers."""
    import warnings

    return warnings.catch_warnings(action="ignore")
