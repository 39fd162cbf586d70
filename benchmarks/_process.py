"""One way of decoding in a process of its own, called again and again."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from _decoders import Job, digests, taken

MISSING = "not installed; all peers come with: pip install --no-deps -r requirements-bench.txt"


class Process:
    """A process in which one way is run again and again.

    Raises:
        SystemExit: the package is not there, or cannot be loaded.
    """

    def __init__(self, way: str) -> None:
        self.way, self._warm = way, False
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def seconds(self, job: Job, frames: int) -> float:
        """Processor seconds of one run, which must give so many frames (the floor: none)."""
        if not self._warm:  # the first also loads the package
            self._call(taken, job)
            self._warm = True
        spent, count = self._call(taken, job)
        if count != frames and not self.way.startswith(("floor", "intra")):
            raise SystemExit(f"{self.way}: {count} frames of {Path(job.path).name}, {frames} were wanted")
        return float(spent)

    def digests(self, job: Job) -> Sequence[str]:
        """See :func:`digests`."""
        return list(self._call(digests, job))

    def close(self) -> None:
        self._pool.shutdown()

    def _call(self, work: Callable[[str, Job], Any], job: Job) -> Any:
        try:
            return self._pool.submit(work, self.way, job).result()
        except ImportError as error:
            raise SystemExit(f"{self.way}: {MISSING} ({str(error).splitlines()[0]})") from None
        except RuntimeError as error:
            told = str(error).splitlines()[0]
            raise SystemExit(
                f"{self.way}: {told}; torchcodec needs the system's FFmpeg (apt-get install ffmpeg)"
            ) from None
