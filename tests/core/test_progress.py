import time

import pytest

from dprnet.core.progress import Bar, Counted, Plain, Silent, Stopwatch, steps_on_stderr


@pytest.mark.parametrize("kind", [Silent, Plain, Bar])
def test_items_come_through_unchanged(kind, capsys):
    assert list(kind().track(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""  # stdout is for results


def test_plain_says_begin_and_end(capsys):
    list(Plain().track(range(3), "reading"))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "reading ..."
    assert last.startswith("reading: 3 done in ")


def test_counted_work_ends_when_all_is_done(capsys):
    tell = Counted(Plain(), "drawing")
    for done in (1, 3, 4):
        tell(done, 4)
    assert capsys.readouterr().err.splitlines()[-1].startswith("drawing: 4 done in ")


def test_steps_are_told_now_and_then_and_at_the_end(capsys):
    tell = steps_on_stderr("training")
    for step in range(1, 101):
        tell(step, 100, {"loss": 1 / step})
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "training: step 100 of 100, loss 0.01"
    assert len(lines) <= 2


def test_waiting_counts_for_the_stage_that_is_waited_for():
    watch = Stopwatch()
    with watch("detect"):
        time.sleep(0.05)
    whole = watch.seconds["detect"]
    watch.of_these(0.02, "decode", within="detect")
    assert watch.seconds["decode"] == 0.02
    assert sum(watch.seconds.values()) == pytest.approx(whole)
