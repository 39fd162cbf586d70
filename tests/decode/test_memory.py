"""Whether a process has come near its limit of memory, asked in processes of their own: what one had once counts."""

from __future__ import annotations

import subprocess
import sys

import av
import pytest

from dprnet.decode.memory import is_of_memory, is_spent, picture_bytes

ASKED = """
import mmap, resource, sys
from pathlib import Path
from dprnet.decode.memory import is_spent

limit, taken, wanted = map(int, sys.argv[1:])
had = int(Path("/proc/self/status").read_text().split("VmPeak:")[1].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (had + limit, had + limit))
mmap.mmap(-1, taken).close()
print(is_spent(wanted))
"""


@pytest.mark.parametrize(
    ("taken_mib", "wanted_mib", "spent"),
    [(10, 20, False), (10, 120, True), (90, 20, True), (90, 2, False)],
)
def test_is_spent_where_what_was_wanted_no_longer_fits(taken_mib: int, wanted_mib: int, spent: bool) -> None:
    sizes = [str(mib << 20) for mib in (100, taken_mib, wanted_mib)]
    done = subprocess.run([sys.executable, "-c", ASKED, *sizes], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(spent), "what was given back counts too"


def test_without_a_limit_nothing_is_spent() -> None:
    assert not is_spent(1 << 60)


def test_a_picture_of_four_to_two_to_zero_takes_twelve_bits_a_pixel() -> None:
    codec = av.CodecContext.create("h264", "r")
    assert picture_bytes(codec) == 0
    codec.width, codec.height, codec.pix_fmt = 64, 48, "yuv420p"
    assert picture_bytes(codec) == 64 * 48 * 12 // 8


def test_an_error_that_says_so_is_of_memory_and_others_are_not_while_there_is_some() -> None:
    codec = av.CodecContext.create("h264", "r")
    assert is_of_memory(MemoryError(), codec)
    assert not is_of_memory(ValueError(), codec)
