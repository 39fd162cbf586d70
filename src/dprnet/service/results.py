"""A finished job on disk: the report in its forms, and the page's values with every picture as a file beside them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.core.records import Match, Report
from dprnet.report import Pictures, write_folder
from dprnet.report.json_report import write_whole
from dprnet.report.page import card_of, track_of
from dprnet.report.timeline import spans

PAGE, PICTURES = "page.json", "pictures"
PAGE_SCHEMA = 1
_JPEG = "data:image/jpeg;base64,"


def write_result(report: Report, pictures: Pictures, folder: Path, name: str, address: str) -> dict[str, Any]:
    """Write everything of a result and say it in a few numbers.

    Args:
        name: what the sender calls the video; stands in the result where our path would.
        address: under which the pictures of the result are asked for; stands where paths of photos would.
    """
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    sources = (replace(one, path=name, note=one.note.replace(one.path, name)) for one in report.sources)
    report, pictures = _without_paths(replace(report, sources=tuple(sources)), pictures, address)
    write_folder(report, pictures, folder, title=name)
    page = _page(report, pictures)
    write_whole(folder / PAGE, json.dumps(_filed(page, folder / PICTURES), ensure_ascii=True).encode("ascii"))
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # the table will name this folder: what it names must be there
    return {
        "garments": len(page["cards"]),
        "picked": int(report.picks.picked.sum()),
        "matches": sum(len(items) for items in report.matches.items),
        "status": report.status,
        "note": "; ".join(source.note for source in report.sources if source.note),
        "duration_s": round(sum(source.duration_s for source in report.sources), 3),
    }


def _without_paths(report: Report, pictures: Pictures, address: str) -> tuple[Report, Pictures]:
    """The photos of matches by addresses that a client can ask for: where catalogues lie is nobody's business."""
    photos: dict[tuple[str, str], bytes] = {}

    def shown(match: Match) -> Match:
        jpeg = pictures.photos.get((match.item_id, match.photo))
        if jpeg is not None:
            photo = f"{address}/{_picture_name(jpeg)}"
            photos[match.item_id, photo] = jpeg
        else:
            photo = match.photo if match.photo.startswith(("http://", "https://")) else ""
        return replace(match, photo=photo)

    items = tuple(tuple(shown(match) for match in found) for found in report.matches.items)
    return replace(report, matches=replace(report.matches, items=items)), replace(pictures, photos=photos)


def _page(report: Report, pictures: Pictures) -> dict[str, Any]:
    shown = np.flatnonzero(~report.picks.doubtful).tolist()
    cards = {garment: card_of(report, pictures, garment) for garment in shown}
    lanes = track_of(report, cards, 0)
    track = asdict(lanes)
    for values, lane in zip(track["lanes"], lanes.lanes, strict=True):
        values["card"] = lane.card.number  # the cards stand beside the track, once
    times = report.picks.detections.time_s
    found = []
    for garment, card in cards.items():
        values = asdict(card)
        values["best_s"] = round(float(times[report.picks.best[garment]]), 3)
        values["seen_s"] = [[round(span.from_s, 3), round(span.to_s, 3)] for span in spans(report, garment)]
        found.append(values)
    return {
        "schema": PAGE_SCHEMA,
        "cards": found,
        "track": track,
        "duration_s": report.sources[0].duration_s,
        "status": report.status,
        "note": report.sources[0].note,
        "doubtful": len(report.picks) - len(cards),
        "seconds": {stage: round(spent, 2) for stage, spent in report.seconds.items()},
        "bundle": report.bundle,
        "gallery": report.gallery,
        "limits": [float(limit) for limit in report.picks.limits],
    }


def _filed(value: Any, folder: Path) -> Any:
    """The same values, with every picture written to the folder and named instead of contained."""
    if isinstance(value, dict):
        return {key: _filed(inner, folder) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filed(inner, folder) for inner in value]
    if isinstance(value, str) and value.startswith(_JPEG):
        jpeg = base64.b64decode(value.removeprefix(_JPEG))
        name = _picture_name(jpeg)
        if not (folder / name).is_file():
            (folder / name).write_bytes(jpeg)
        return name
    return value


def _picture_name(jpeg: bytes) -> str:
    """By its content, so that the same picture is kept once."""
    return hashlib.sha256(jpeg).hexdigest()[:32] + ".jpg"
