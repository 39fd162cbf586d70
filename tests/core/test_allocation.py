"""Freed memory is kept: arrays of the same size cost no page faults again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from dprnet.core.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(8_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(8_000_000)  # 64 MB, freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told how")
def test_arrays_cost_no_page_faults_again() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "not")
    )
    assert kept < 1000
    assert given_back > 10 * max(kept, 1) or given_back == 0  # 0: huge pages, or an allocator that keeps by itself
