"""Was it memory? Decoders call a failed allocation bad data: an H.264 decoder without room for a picture has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_MARGIN = 2  # ours: a plane with its padding is smaller than two whole pictures


def is_of_memory(error: Exception, codec_context: Any) -> bool:
    """Did decoding fail for want of memory, whatever the decoder says of it?"""
    return isinstance(error, MemoryError) or is_spent(_MARGIN * picture_bytes(codec_context))


def picture_bytes(codec_context: Any) -> int:
    """About what a decoded picture of this decoder takes; 0 where it knows of none yet."""
    bits = codec_context.format.padded_bits_per_pixel if codec_context.format else 0
    return int(codec_context.width * codec_context.height * bits) // 8


def is_spent(wanted_bytes: int) -> bool:
    """Has this process ever come so near its limit of address space that so much more would have been refused?

    What was refused is not known afterwards, but the highest that the process ever had is (on Linux; elsewhere False).
    """
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # a system without it
        return False
    peak = next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmPeak:")), 0)
    return peak + wanted_bytes > limit
