"""How freed memory is kept for what is wanted next."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
MOST = 2**31 - 1  # bytes; an int in C
PAD = 2**28  # ours: bytes taken from the system at once


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, so that its next large arrays cost no page faults.

    glibc gives large blocks back to the system at once. A training step frees and takes the same ones as the step
    before: on a CPU that was a quarter of a step of the embedder's (docs/embed.md). For processes whose whole work is
    like this, not for libraries: memory once taken stays taken.

    Returns:
        Whether the C library knows how; elsewhere than with glibc nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return all(
        mallopt(what, value) == 1 for what, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, MOST), (M_TOP_PAD, PAD))
    )
