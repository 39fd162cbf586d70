from __future__ import annotations

from types import SimpleNamespace

import pytest

from dprnet.core.errors import BadRecipe
from dprnet.decode import Every
from dprnet.decode.clock import Clock
from dprnet.decode.sampling import Wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.5s", Every(seconds=0.5)),
        ("500ms", Every(seconds=0.5)),
        (" 2 s ", Every(seconds=2)),
        ("15f", Every(frames=15)),
    ],
)
def test_intervals(text: str, wanted: Every) -> None:
    assert Every.parse(text) == wanted
    assert Every.parse(str(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "0s", "0f", "-1s", "1.5f", "5", "1e3s", "nan s", "s", "1m", "٣s", "0.0001s"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(BadRecipe, match="every"):
        Every.parse(text)


def test_rounded_times_do_not_shift_the_choice() -> None:
    # 30 frames a second, rounded down to milliseconds as Matroska does: 0.999 s stands for 1 s.
    times = [int(n * 1000 / 30) / 1000 for n in range(91)]
    targets = Wanted(Every(seconds=0.1)).targets()
    assert [n for n, t in enumerate(times) if targets.take(n, t)] == list(range(0, 91, 3))


def test_a_gap_is_one_frame_not_many() -> None:
    targets = Wanted(Every(seconds=1)).targets()
    assert [t for t in (0, 0.9, 7.3, 7.9, 8.1, 9.0) if targets.take(0, t)] == [0, 7.3, 8.1, 9.0]


def test_wanted_crosses_to_the_child() -> None:
    for wanted in (Wanted(Every(seconds=0.3)), Wanted(indices=(1, 5)), Wanted(Every(frames=2), intra_only=True)):
        assert Wanted.from_json(wanted.to_json()) == wanted


def clock_times(pts: list[int | None], rate: float | None = 10) -> list[float]:
    clock = Clock(SimpleNamespace(average_rate=rate, guessed_rate=None, time_base=0.1))
    return [round(clock.read(SimpleNamespace(pts=p, duration=0))[0], 6) for p in pts]


@pytest.mark.parametrize(
    ("pts", "wanted"),
    [
        ([5, 6, 7, 9], [0, 0.1, 0.2, 0.4]),  # late start, a gap
        ([-30, -29, 0], [0, 0.1, 3.0]),  # negative
        ([None, None, None], [0, 0.1, 0.2]),  # missing: by count
        ([None, 80, 81], [0, 0.1, 0.2]),  # missing at the start only
        ([0, 1, None, 3], [0, 0.1, 0.2, 0.3]),  # missing in between
        ([0, 10, 9, 11], [0, 1.0, 1.1, 1.2]),  # misplaced
        ([100, 101, 0, 1, 2], [0, 0.1, 0.2, 0.3, 0.4]),  # the clock starts again
        ([0, 0, 0], [0, 0.1, 0.2]),  # standing still
    ],
)
def test_times_increase_from_zero_whatever_the_file_says(pts: list[int | None], wanted: list[float]) -> None:
    assert clock_times(pts) == pytest.approx(wanted)


def test_without_any_rate_25_a_second() -> None:
    assert clock_times([None, None], rate=None) == [0, 0.04]
