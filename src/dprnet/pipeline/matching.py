"""The last stage but one: the items of each garment, and what is said of the first."""

from __future__ import annotations

from dprnet.core.errors import BadFilter
from dprnet.core.records import Embeddings, Match, Matches, Picks
from dprnet.gallery import Gallery, MatchingConfig, decide

AT_LEAST = 2  # a decision wants to know how far ahead of the next item the first one is


def matched(
    gallery: Gallery | None,
    embeddings: Embeddings | None,
    picks: Picks,
    *,
    items: int,
    where: str = "",
    matching: MatchingConfig | None = None,
) -> Matches:
    """The items of the garments that were embedded, best first; decisions where the matching was calibrated.

    Args:
        items: how many a garment gets at most.
        where: only items that pass this filter.
    """
    found: list[tuple[Match, ...]] = [()] * len(picks)
    if gallery is not None and embeddings is not None and len(embeddings.ids):
        answers = gallery.search(embeddings.vectors, max(items, AT_LEAST), where=where)
        for garment, answer in zip(embeddings.ids, answers, strict=True):
            found[int(garment)] = tuple(answer)
    nothing = (None,) * len(picks)
    said = decide(matching, picks.views.labels, found) if matching is not None else (nothing, nothing)
    return Matches(tuple(matches[:items] for matches in found), *said)


def check_filter(gallery: Gallery | None, where: str) -> None:
    """Refuse a filter that cannot be applied, before the work of a video is spent on it.

    Raises:
        BadFilter: it cannot be read, names a column that no item has, or there is no gallery.
    """
    if not where.strip():
        return
    if gallery is None:
        raise BadFilter(f"filter {where!r}", "there are no items to filter; name a gallery")
    gallery.count(where)
