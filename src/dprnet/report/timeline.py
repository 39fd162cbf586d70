"""When each garment is seen: the times of its views, merged into spans.

Key frames are samples; a garment seen at 3.0, 3.5 and 4.0 s was there all the time between, one seen at 3 s and
again at 20 s was not. Two views of one video belong to one span while no more than two looks lie between them.
"""

from __future__ import annotations

from dataclasses import dataclass

from dprnet.core.records import Report

MIN_GAP_S = 1.0  # ours: below a second nobody would call it gone
LOOKS_MISSED = 2.5  # ours: the detector may miss a garment in two looks running


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of time in which a garment is seen."""

    source: int
    """Which of the searched videos."""
    from_s: float
    to_s: float
    """Time of the last view in it; equal to ``from_s`` for a single view."""
    views: int


def merge_times(times: list[float], gap_s: float) -> list[tuple[float, float, int]]:
    """Times as spans ``(from, to, count)``: a new one starts where more than ``gap_s`` passes without a view.

    >>> merge_times([3.0, 3.5, 4.0, 20.0], gap_s=1.0)
    [(3.0, 4.0, 3), (20.0, 20.0, 1)]
    >>> merge_times([], gap_s=1.0)
    []
    """
    spans: list[tuple[float, float, int]] = []
    for time in sorted(times):
        if spans and time - spans[-1][1] <= gap_s:
            spans[-1] = (spans[-1][0], time, spans[-1][2] + 1)
        else:
            spans.append((time, time, 1))
    return spans


def gap_s(report: Report, source: int) -> float:
    """Seconds without a view after which a garment counts as gone, from how often the video was looked at."""
    video = report.sources[source]
    return max(MIN_GAP_S, LOOKS_MISSED * video.duration_s / max(video.frames, 1))


def spans(report: Report, garment: int) -> list[Span]:
    """The spans in which a garment is seen, by video and time."""
    rows = report.picks.members(garment)
    found = report.picks.detections
    by_source: dict[int, list[float]] = {}
    for row in rows:
        by_source.setdefault(int(found.source[row]), []).append(float(found.time_s[row]))
    return [
        Span(source, first, last, count)
        for source, times in sorted(by_source.items())
        for first, last, count in merge_times(times, gap_s(report, source))
    ]
