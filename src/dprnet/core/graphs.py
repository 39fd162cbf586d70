"""Networks as OpenVINO graphs: traced from torch once, kept in the user's cache, compiled for this processor.

OpenVINO is optional (the extra ``cpu``). A kept graph needs no torch: that is most of the start-up of a search.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from dprnet.core.errors import BadRecipe, MissingExtra

log = logging.getLogger(__name__)

Runtime = Literal["auto", "torch", "openvino"]

CACHE_VARIABLE = "DPRNET_CACHE"
KEPT = 12  # ours: sets of graphs in the cache; the least recently used goes


def chosen(runtime: Runtime | str, device: str) -> Literal["torch", "openvino"]:
    """Which runtime a network is run by: OpenVINO on a CPU where it is installed, else torch.

    Raises:
        BadRecipe: a runtime that is none, or OpenVINO on another device than the CPU.
        MissingExtra: OpenVINO was asked for and is not installed.
    """
    if runtime == "auto":
        return "openvino" if device == "cpu" and installed() else "torch"
    if runtime == "torch":
        return "torch"
    if runtime != "openvino":
        raise BadRecipe("runtime", f"unknown '{runtime}', expecting auto, torch or openvino")
    if device != "cpu":
        raise BadRecipe("runtime", f"openvino runs on device 'cpu', got device '{device}'; take runtime 'torch'")
    if not installed():
        raise MissingExtra("runtime openvino", "OpenVINO is not installed; get it with: pip install 'dprnet[cpu]'")
    return "openvino"


def installed() -> bool:
    """Whether OpenVINO can be imported."""
    return importlib.util.find_spec("openvino") is not None


def lanes() -> int:
    """How many inputs are worked on at once, each by one thread: the processor cores this process may use."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(limit)) if limit.isdigit() and int(limit) else cores)


class Graph:
    """A compiled graph: arrays in, arrays out, from any number of threads.

    Each call runs in the calling thread alone. The answers of a thread are overwritten by its next call.

    Args:
        path: of the graph's ``.xml``.
        lanes: threads that will call it at once.
    """

    def __init__(self, path: Path, lanes: int) -> None:
        import openvino

        core = _core(openvino)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # where bfloat16 is fast it would be taken, and answers would differ
            "INFERENCE_NUM_THREADS": lanes,
            "NUM_STREAMS": lanes,
            "ENABLE_CPU_PINNING": False,  # the decoder's process wants its share of every core
        }
        self._compiled = core.compile_model(path, "CPU", settings)
        self._own = threading.local()

    def __call__(self, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
        """Run it: one array an input, in the order of the inputs."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        answers = request.infer(dict(enumerate(arrays)), share_inputs=True, share_outputs=True)
        return list(answers.to_tuple())


def kept(
    identity: Mapping[str, object], names: Sequence[str], make: Callable[[], Mapping[str, Any]]
) -> dict[str, Path]:
    """Files of graphs by name: those of the cache, or made now and put there.

    Args:
        identity: all that the graphs follow from: weights, settings, code. JSON-like.
        names: of the graphs.
        make: gives OpenVINO models by name (see :func:`converted`).
    """
    version = importlib.metadata.version("openvino")
    digest = hashlib.sha256(repr([sorted(identity.items()), version]).encode()).hexdigest()[:24]
    home = cache_folder() / "graphs"
    folder = home / digest
    paths = {name: folder / f"{name}.xml" for name in names}
    if _whole(paths):
        _touch(folder)
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    try:
        home.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
    except OSError as error:
        log.info("%s: graphs cannot be kept (%s); they are made at every start", home, error)
        made = Path(tempfile.mkdtemp(prefix="dprnet-graphs-"))
        _forget_at_exit(made)
        return save(make(), made)
    try:
        save(make(), made)
        made.rename(folder)
    except OSError as error:
        if not _whole(paths):  # else another process was first
            log.info("%s: graphs cannot be kept (%s)", folder, error)
            _forget_at_exit(made)
            return {name: made / f"{name}.xml" for name in names}
        shutil.rmtree(made, ignore_errors=True)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    _tidy(home)
    return paths


def save(models: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Write OpenVINO models, with weights as they are."""
    import openvino

    paths = {name: folder / f"{name}.xml" for name in models}
    for name, model in models.items():
        openvino.save_model(model, paths[name], compress_to_fp16=False)
    return paths


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


def of_sources(*modules: str) -> str:
    """A digest of the code of packages or modules: graphs made by other code are not taken from the cache."""
    found = hashlib.sha256()
    for name in modules:
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"no module {name}"
        assert spec.origin is not None, f"no source of {name}"
        origin = Path(spec.origin)
        for path in sorted(origin.parent.glob("*.py")) if origin.name == "__init__.py" else [origin]:
            found.update(path.read_bytes())
    return found.hexdigest()


def cache_folder() -> Path:
    """Where things are kept that can be made again: ``$DPRNET_CACHE``, else the user's cache folder."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dprnet"


_CORE: list[Any] = []


def _core(openvino: Any) -> Any:
    if not _CORE:
        _CORE.append(openvino.Core())
    return _CORE[0]


def _quiet() -> Any:
    """Tracing warns of every shape that becomes a constant; the tests compare the answers."""
    import warnings

    return warnings.catch_warnings(action="ignore")


def _whole(paths: Mapping[str, Path]) -> bool:
    return all(path.is_file() and path.with_suffix(".bin").is_file() for path in paths.values())


def _touch(folder: Path) -> None:
    try:
        os.utime(folder)
    except OSError:
        log.debug("%s: its age cannot be set", folder)


def _tidy(home: Path) -> None:
    """Remove what was not used for longest, beyond the number that is kept."""
    folders = [path for path in home.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_at_exit(folder: Path) -> None:
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
