"""Arrays on their way to a device: on CUDA through pinned memory, on a stream of each thread's own.

So the transfer of one batch, and what the processor does for it, run beside the computing of another. Elsewhere all
this is a plain copy.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

LANES = 2  # ours: threads that feed one CUDA device; one prepares and sends while the other computes

_OWN = threading.local()


def lanes_of(device: torch.device | str) -> int:
    """Calls of a network in torch that may run at once on a device: its kernels share a processor's cores already."""
    import torch

    return LANES if torch.device(device).type == "cuda" else 1


def sent(array: NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """An array as a tensor on a device; on CUDA the call does not wait for it to get there."""
    import torch

    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@contextlib.contextmanager
def own_stream(device: torch.device | str) -> Iterator[None]:
    """On CUDA, the calling thread's work in the block goes to a stream of its own."""
    import torch

    if torch.device(device).type != "cuda":
        yield
        return
    streams: dict[str, torch.cuda.Stream] = _OWN.__dict__.setdefault("streams", {})
    stream = streams.get(str(device))
    if stream is None:
        stream = streams[str(device)] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.default_stream(device))  # which put the weights there
    with torch.cuda.stream(stream):
        yield
