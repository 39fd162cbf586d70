"""What a page says of a report, as plain values: the template places them and knows nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.records import Match, Report, Source
from dprnet.report.numbers import number_of, reason_of
from dprnet.report.pictures import LOST_SIDE, PHOTO_SIDE, PICK_SIDE, Pictures, data_uri
from dprnet.report.timeline import Span, spans

LOST_SHOWN = 12  # ours: enough to see why views lose; report.json has all
TICKS = 6  # ours: a phone still has room for them
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
WORDS = {"viewpoint": "Frontal", "occlusion": "Unobstructed", "crop": "In frame"}


@dataclass(frozen=True, slots=True)
class Score:
    """One of the three scores of a view, as a bar."""

    name: str
    word: str
    value: float
    limit: float
    failing: bool


@dataclass(frozen=True, slots=True)
class View:
    """One view of a garment as the page tells it."""

    time: str
    frame: int
    video: str
    overall: float
    scores: tuple[Score, ...]
    reason: str
    picture: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One matched item as the page tells it."""

    match: Match
    name: str
    link: str
    picture: str


@dataclass(frozen=True, slots=True)
class Card:
    """One garment as the page tells it."""

    number: int
    label: str
    picked: bool
    best: View
    lost: tuple[View, ...]
    more_lost: int
    views: int
    spans: tuple[tuple[str, str], ...]
    offers: tuple[Offer, ...]
    decision: str
    probability: float | None


@dataclass(frozen=True, slots=True)
class Lane:
    """One garment on the timeline of one video; positions in percent of its length."""

    card: Card
    bars: tuple[tuple[float, float], ...]
    mark: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Track:
    """The timeline of one video."""

    source: Source
    name: str
    duration: str
    ticks: tuple[tuple[float, str], ...]
    lanes: tuple[Lane, ...]
    cut: float | None


def clock(seconds: float) -> str:
    """Time as a player shows it.

    >>> clock(3.04), clock(83.5), clock(3723.0), clock(59.97)
    ('0:03.0', '1:23.5', '1:02:03.0', '1:00.0')
    """
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"


def safe_link(address: str) -> str:
    """The address if it is http or https with a host, otherwise an empty text.

    >>> safe_link("https://shop.example/a"), safe_link("javascript:alert(1)"), safe_link(" //x"), safe_link("http://[")
    ('https://shop.example/a', '', '', '')
    """
    if not address.isprintable() or address != address.strip():
        return ""
    try:
        parts = urlsplit(address)
        return address if parts.scheme in {"http", "https"} and parts.hostname else ""
    except ValueError:
        return ""


def card_of(report: Report, pictures: Pictures, garment: int) -> Card:
    """One garment: its best view, some of the views that lost (those with a picture, if any has one), its items."""
    picks, matches = report.picks, report.matches
    best = int(picks.best[garment])
    lost = [int(row) for row in picks.members(garment) if row != best]
    pictured = [row for row in lost if row in pictures.views] or lost
    overall = picks.detections.overall  # computed anew at every asking
    shown = sorted(pictured, key=lambda row: -overall[row])[:LOST_SHOWN]
    probabilities = matches.probabilities
    return Card(
        number=number_of(garment),
        label=COARSE_CLASSES[int(picks.detections.labels[best])],
        picked=bool(picks.picked[garment]),
        best=_view(report, pictures, best, PICK_SIDE, picks.crops[garment] if picks.crops else None),
        lost=tuple(
            _view(report, pictures, row, LOST_SIDE) for row in sorted(shown, key=lambda row: _when(report, row))
        ),
        more_lost=len(lost) - len(shown),
        views=len(lost) + 1,
        spans=tuple((clock(span.from_s), clock(span.to_s)) for span in spans(report, garment)),
        offers=tuple(_offer(match, pictures) for match in (matches.items[garment] if matches.items else ())),
        decision=(matches.decisions[garment] or "") if matches.decisions else "",
        probability=probabilities[garment] if probabilities else None,
    )


def _when(report: Report, row: int) -> tuple[int, float]:
    return int(report.picks.detections.source[row]), float(report.picks.detections.time_s[row])


def _view(report: Report, pictures: Pictures, row: int, side: int, crop: Any = None) -> View:
    picks = report.picks
    image = crop if crop is not None else pictures.views.get(row)
    source, time_s = _when(report, row)
    several = len(report.sources) > 1
    return View(
        time=clock(time_s),
        frame=int(picks.detections.frame_index[row]),
        video=PurePath(report.sources[source].path).name if several else "",
        overall=float(picks.detections.overall[row]),
        scores=tuple(
            Score(name, WORDS[name], float(value), float(limit), bool(failing))
            for name, value, limit, failing in zip(
                QUALITIES, picks.detections.quality[row], picks.limits, picks.failing[row], strict=True
            )
        ),
        reason=_reason(report, row),
        picture=data_uri(image, side) if image is not None else "",
    )


def _reason(report: Report, row: int) -> str:
    """The pick's own reason, in the page's words."""
    picks = report.picks
    if not picks.failing[row].any():
        return "passes, but another view is better"
    return reason_of(picks, row).removeprefix(f"best view of garment {number_of(int(picks.instance[row]))}, but ")


def _offer(match: Match, pictures: Pictures) -> Offer:
    photo = pictures.photos.get((match.item_id, match.photo))
    return Offer(
        match=match,
        name=match.title or match.item_id,
        link=safe_link(match.url),
        picture=data_uri(photo, PHOTO_SIDE) if photo is not None else "",
    )


def track_of(report: Report, cards: Mapping[int, Card], source: int) -> Track:
    """The timeline of one video, with a lane for each of the garments (by number) that is seen in it."""
    video = report.sources[source]
    length = max(video.duration_s, 1e-3)
    return Track(
        source=video,
        name=PurePath(video.path).name or video.path,
        duration=clock(video.duration_s),
        ticks=tuple((100 * second / length, clock(second).removesuffix(".0")) for second in _ticks(length)),
        lanes=tuple(_lanes(report, cards, source, length)),
        cut=min(100.0, 100 * video.decoded_until_s / length) if video.status == "partial" else None,
    )


def _lanes(report: Report, cards: Mapping[int, Card], source: int, length: float) -> Iterator[Lane]:
    picks = report.picks
    for garment, card in cards.items():
        seen = [span for span in spans(report, garment) if span.source == source]
        if not seen:
            continue
        best_source, best_s = _when(report, int(picks.best[garment]))
        yield Lane(
            card=card,
            bars=tuple(_bar(span, length) for span in seen),
            mark=min(100.0, 100 * best_s / length) if best_source == source else None,
            told="; ".join(f"{clock(span.from_s)} to {clock(span.to_s)}" for span in seen),
        )


def _bar(span: Span, length: float) -> tuple[float, float]:
    """Left edge and width in percent; a single view still gets a bar one can see."""
    width = max(0.6, 100 * (span.to_s - span.from_s) / length)
    return max(0.0, min(100.0 - width, 100 * span.from_s / length)), width


def _ticks(length: float) -> list[float]:
    step = next((step for step in TICK_STEPS_S if length / step <= TICKS), TICK_STEPS_S[-1])
    return [float(second) for second in range(0, int(length) + 1, step)]
