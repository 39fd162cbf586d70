"""Table 3's arithmetic by hand, and that both methods are really timed."""

from __future__ import annotations

import pytest

from dprnet.evaluate import timing
from dprnet.evaluate.timing import PUBLISHED_RATIO, Matching, TimingSettings, measure_timing, passing


def test_published_figures_are_the_papers() -> None:
    assert pytest.approx(1360) == PUBLISHED_RATIO
    assert timing.PUBLISHED["DPRNet"][1] / timing.PUBLISHED["AsymNet"][1] == pytest.approx(4.25)


def test_where_the_ratio_is_passed() -> None:
    # AsymNet 1 s + 1 ms an item, ours 1 ms + 0.5 microseconds an item: 1 + i/1000 = 1360 (1/1000 + i/2e6)
    at = [Matching(items, 1 + items / 1000, 0.001 + items / 2e6) for items in (200, 10_000)]
    found = passing(tuple(at))
    assert found == pytest.approx(0.36 / (0.001 - 1360 / 2e6))
    assert Matching(0, 1 + found / 1000, 0.001 + found / 2e6).ratio == pytest.approx(1360)
    assert passing((Matching(5, 2000.0, 1.0), Matching(9, 3000.0, 1.0))) == 5
    assert passing((Matching(5, 2.0, 1.0),)) is None


def test_both_methods_are_timed() -> None:
    settings = TimingSettings(
        seconds=0.01, items=(20, 700), image_size=32, size=16, hidden=8, asymnet_batches=(1,), ours_batches=(1, 2),
        asymnet_blocks=(16, 64), ours_matched=(1, 4),
    )  # fmt: skip
    found = measure_timing(settings)
    assert [one.items for one in found.matching] == [20, 700]
    assert found.asymnet_query.per_second > 0
    assert found.asymnet_query.batch == 1
    assert found.ours_query.batch in {1, 2}
    assert found.query_ratio == pytest.approx(found.ours_query.per_second / found.asymnet_query.per_second)
    assert all(one.asymnet_s > 1 / found.asymnet_query.per_second for one in found.matching)
    assert found.threads >= 1
    assert all(one.asymnet_block in {16, 64} and one.ours_batch in {1, 4} for one in found.matching)


def test_the_search_for_a_batch_ends_where_it_gets_slower() -> None:
    tried: list[int] = []
    rates = {1: 5.0, 2: 9.0, 4: 9.0, 8: 99.0}

    def rate(work: object, batch: int, seconds: float, device: str) -> float:
        tried.append(batch)
        return rates[batch]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(timing, "_rate", rate)
        assert timing._best(lambda n: None, (1, 2, 4, 8), 1.0, "cpu") == timing.Rate(9.0, 2)
    assert tried == [1, 2, 4]
