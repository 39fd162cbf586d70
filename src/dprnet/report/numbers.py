"""The numbers of garments as people read them: from 1, the same on the page, in the JSON, in the CSV, on a terminal."""

from __future__ import annotations

from dprnet.core.records import Picks


def number_of(garment: int) -> int:
    """The number of a garment (an index into the picks) in every form of a report."""
    return garment + 1


def reason_of(picks: Picks, row: int) -> str:
    """Why a detection was kept or dropped, with the number of its garment as a report gives it."""
    garment = int(picks.instance[row])
    return picks.reason(row).replace(f"of garment {garment}", f"of garment {number_of(garment)}", 1)
