"""Picks that no picking made: of detections alone, of several videos side by side, in the order of a report; and the
errors of several videos as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dprnet.core.errors import DprnetError
from dprnet.core.records import Detections, Picks


def none_read(errors: Sequence[DprnetError]) -> DprnetError:
    """The one error of videos none of which could be read."""
    if len(errors) == 1:
        return errors[0]
    sentence = f"none could be read; {'; '.join(str(error) for error in errors[:3])}"
    return type(errors[0])(f"{len(errors)} videos", sentence)


def unpicked(found: Detections) -> Picks:
    """Every detection for itself, none picked."""
    n = len(found)
    return Picks(found, np.arange(n), np.zeros((n, 3), bool), np.arange(n), np.zeros(n, bool))


def side_by_side(parts: list[Picks]) -> Picks:
    """The garments of several videos in one record, none of them shared."""
    if len(parts) == 1:
        return parts[0]
    rows = np.cumsum([0, *(len(part.detections) for part in parts)])
    garments = np.cumsum([0, *(len(part) for part in parts)])
    full = [part for part in parts if len(part.detections)] or parts[:1]
    return Picks(
        detections=Detections.concatenate([part.detections for part in parts]),
        instance=np.concatenate([part.instance + start for part, start in zip(parts, garments, strict=False)]),
        failing=np.concatenate([part.failing for part in parts]),
        best=np.concatenate([part.best + start for part, start in zip(parts, rows, strict=False)]),
        picked=np.concatenate([part.picked for part in parts]),
        limits=full[0].limits,
        folded=sum(part.folded for part in parts),
        min_score=full[0].min_score,
        min_views=full[0].min_views,
        min_span_s=full[0].min_span_s,
    )


def in_order_of_a_report(picks: Picks) -> Picks:
    """The same garments: those that are picked first, then those seen, then the doubtful ones, which a page leaves off.

    Each kind stays in the order in which it was first seen. So the numbers on a page run on without a gap.
    """
    order = np.argsort(np.where(picks.picked, 0, np.where(picks.doubtful, 2, 1)), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return replace(picks, instance=place[picks.instance], best=picks.best[order], picked=picks.picked[order])
