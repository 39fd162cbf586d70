"""Several threads, one order: nothing lost, nothing ahead of the bound, errors in their place."""

from __future__ import annotations

import threading
import time

import pytest

from dprnet.core.lanes import Idle, in_order


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_answers_come_in_the_order_of_the_items(lanes):
    def slow_first(number):
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(in_order(slow_first, range(12), lanes)) == [number * number for number in range(12)]
    assert list(in_order(slow_first, [], lanes)) == []


def test_lanes_work_at_the_same_time():
    together = threading.Barrier(3, timeout=60)  # breaks unless three calls are inside at once
    assert list(in_order(lambda _: together.wait() is not None, range(3), lanes=3)) == [True] * 3


def test_no_more_items_are_taken_than_may_wait():
    taken = []

    def source():
        for number in range(100):
            taken.append(number)
            yield number

    answers = in_order(lambda number: number, source(), lanes=2, waiting=1)
    for count in range(5):
        assert next(answers) == count
        time.sleep(0.05)
        # the answer in hand, two lanes, one waiting
        assert len(taken) <= count + 1 + 3
    answers.close()


def test_a_single_lane_takes_an_item_only_when_asked():
    taken = []

    def source():
        for number in range(3):
            taken.append(number)
            yield number

    answers = in_order(lambda number: number, source(), lanes=1)
    next(answers)
    assert taken == [0]


@pytest.mark.parametrize("lanes", [1, 3])
def test_an_error_of_the_work_comes_in_its_place(lanes):
    answers = in_order(lambda number: 6 // (3 - number), range(6), lanes)
    assert [next(answers) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(answers)
    assert list(answers) == []


@pytest.mark.parametrize("lanes", [1, 3])
def test_an_error_of_the_items_comes_after_the_answers_before_it(lanes):
    def source():
        yield 1
        yield 2
        raise OSError("the source broke")

    answers = in_order(str, source(), lanes)
    assert [next(answers), next(answers)] == ["1", "2"]
    with pytest.raises(OSError, match="the source broke"):
        next(answers)


def test_no_thread_stays_behind():
    before = threading.active_count()
    answers = in_order(str, range(1000), lanes=3)
    next(answers)
    answers.close()
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_giving_up_does_not_wait_for_an_item_that_never_comes():
    never = threading.Event()

    def source():
        yield 1
        never.wait(300)

    answers = in_order(str, source(), lanes=2)
    assert next(answers) == "1"
    started = time.monotonic()
    answers.close()
    assert time.monotonic() - started < 60
    never.set()


@pytest.mark.parametrize("lanes", [1, 2])
def test_waiting_for_items_is_counted_and_working_is_not(lanes):
    def source():
        for number in range(3):
            time.sleep(0.1)
            yield number

    idle = Idle()
    started = time.perf_counter()
    list(in_order(lambda number: time.sleep(0.2), source(), lanes, idle=idle))
    whole = time.perf_counter() - started
    if lanes == 1:
        assert idle.seconds >= 0.3
    assert 0.1 <= idle.seconds <= whole - 0.2
