import itertools

from hypothesis import given
from hypothesis import strategies as st

from dprnet.report.timeline import gap_s, merge_times, spans


def test_a_garment_that_comes_back_has_two_spans(make_report):
    # 24 looks in 12 s: one every 0.5 s; gone after 2.5 looks without it, 1.25 s
    report = make_report()
    assert gap_s(report, 0) == 1.25
    assert [(span.from_s, span.to_s, span.views) for span in spans(report, 0)] == [(0.5, 1.0, 2), (10.0, 10.0, 1)]


def test_spans_of_two_videos_never_join(make_report):
    report = make_report()
    assert [span.source for span in spans(report, 2)] == [1]


@given(st.lists(st.floats(0, 1e4), max_size=40), st.floats(0.01, 100))
def test_every_time_lies_in_exactly_one_span(times, gap):
    found = merge_times(times, gap)
    assert sum(count for _, _, count in found) == len(times)
    for time in times:
        assert sum(first <= time <= last for first, last, _ in found) == 1
    assert all(later[0] - earlier[1] > gap for earlier, later in itertools.pairwise(found))
