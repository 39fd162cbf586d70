"""A pipe is copied once, within its limits, and the copy goes; files stay where they are."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dprnet.core.errors import LimitExceeded
from dprnet.decode import DecodeLimits
from dprnet.decode.spool import Spool


def pipe(path: Path, content: bytes) -> threading.Thread:
    os.mkfifo(path)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):  # the reader had enough
            path.write_bytes(content)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_a_pipe_becomes_a_file_for_as_long_as_it_is_needed(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    writer = pipe(tmp_path / "look.mp4", content)
    with Spool(DecodeLimits()) as spool:
        copy = spool(tmp_path / "look.mp4")
        assert copy.read_bytes() == content
        assert copy.suffix == ".mp4"
        writer.join(60)
    assert not copy.exists()
    assert not copy.parent.exists()


def test_a_file_and_what_is_not_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "look.mp4").write_bytes(b"look")
    with Spool(DecodeLimits()) as spool:
        for name in ("look.mp4", "none.mp4", "."):
            assert spool(tmp_path / name) == tmp_path / name


def test_our_own_standard_input_from_a_file_is_that_file(tmp_path: Path) -> None:
    with (tmp_path / "look.mp4").open("wb") as file, Spool(DecodeLimits()) as spool:
        assert spool(Path(f"/proc/self/fd/{file.fileno()}")) == tmp_path / "look.mp4"


def test_an_endless_pipe_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    writer = pipe(tmp_path / "endless", bytes(8_000_000))
    with Spool(DecodeLimits(max_bytes=2_000_000)) as spool:
        with pytest.raises(LimitExceeded, match="2000000 bytes"):
            spool(tmp_path / "endless")
        writer.join(60)
        assert spool._folder is not None
        folder = spool._folder
    assert not folder.exists()


def test_the_disk_keeps_what_it_is_to_keep(tmp_path: Path) -> None:
    writer = pipe(tmp_path / "look.mp4", bytes(3_000_000))
    limits = DecodeLimits(spare_disk_bytes=2 * shutil.disk_usage(tmp_path).total)
    with Spool(limits) as spool:
        with pytest.raises(LimitExceeded, match="no room for a copy of the pipe") as caught:
            spool(tmp_path / "look.mp4")
        assert caught.value.reason == "limit:disk"
        writer.join(60)
        assert spool._folder is not None
        assert list(spool._folder.iterdir()) == []


FULL = """
import os, sys, threading
from pathlib import Path
from dprnet.core.errors import LimitExceeded
from dprnet.decode import DecodeLimits
from dprnet.decode.spool import Spool

small = Path(sys.argv[1])

def pipe(name, size):
    def write():
        try:
            (small.parent / name).write_bytes(bytes(size))
        except BrokenPipeError:
            pass
    os.mkfifo(small.parent / name)
    threading.Thread(target=write, daemon=True).start()
    return small.parent / name

with Spool(DecodeLimits(spare_disk_bytes=0)) as spool:
    try:
        spool(pipe("large", 8_000_000))
    except LimitExceeded as error:
        assert error.reason == "limit:disk", error
        assert str(small) in str(error), error
    else:
        raise AssertionError("it fitted")
    assert spool(pipe("little", 3_000_000)).stat().st_size == 3_000_000  # there is room again
assert list(small.iterdir()) == []
print("held")
"""


def test_a_disk_that_is_really_full(on_a_full_disk: Callable[[str], None]) -> None:
    on_a_full_disk(FULL)
