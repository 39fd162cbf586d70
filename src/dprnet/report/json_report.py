"""A report as JSON: one versioned schema for files, for JSON Lines on stdout, and for every page built on it.

The first key is ``schema``. Numbers are written so that reading them gives the same float32 again; instance
embeddings are left out (read back, ``detections.embeddings`` has zero columns), pixels too unless asked for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.classes import COARSE_CLASSES, CROPS, OCCLUSIONS, QUALITIES, VIEWPOINTS
from dprnet.core.errors import BadReport, MissingFile, NoSpace
from dprnet.core.records import Detections, Match, Matches, Picks, Report, Source
from dprnet.report.numbers import number_of, reason_of
from dprnet.report.timeline import spans

SCHEMA = 1
MAX_REPORT_BYTES = 1 << 30  # ours: hours of video give some tens of megabytes


def report_json(report: Report, *, pixels: bool = False, vectors: bool = False) -> dict[str, Any]:
    """Everything a page needs, as plain JSON values.

    Args:
        pixels: also each garment's best view, as a JPEG ``data:`` URI under ``picture``.
        vectors: also the embedding of each best view that was embedded, under ``embedding``.
    """
    picks = report.picks
    embedded = _vectors(report) if vectors else {}
    return {
        "schema": SCHEMA,
        "status": report.status,
        "bundle": report.bundle,
        "gallery": report.gallery,
        "settings": dict(report.settings),
        "seconds": {stage: round(float(spent), 4) for stage, spent in report.seconds.items()},
        "limits": dict(zip(QUALITIES, (float(limit) for limit in picks.limits), strict=True)),
        "min_score": picks.min_score,
        "min_views": picks.min_views,
        "min_span_s": picks.min_span_s,
        "folded": picks.folded,
        "sources": [asdict(source) for source in report.sources],
        "garments": [
            garment_json(report, garment)
            | {"views": [_view(picks, int(row)) for row in picks.members(garment)]}
            | (_picture(picks, garment) if pixels else {})
            | embedded.get(garment, {})
            for garment in range(len(picks))
        ],
    }


def _vectors(report: Report) -> dict[int, dict[str, list[float]]]:
    if report.embeddings is None:
        return {}
    pairs = zip(report.embeddings.ids, report.embeddings.vectors, strict=True)
    return {int(garment): {"embedding": _floats(vector)} for garment, vector in pairs}


def garment_json(report: Report, garment: int) -> dict[str, Any]:
    """One garment as in :func:`report_json`, with its best view alone: all its views are nearly all of a report."""
    picks, matches = report.picks, report.matches
    best = int(picks.best[garment])
    first, last = picks.seen_s(garment)
    return {
        "garment": number_of(garment),
        "label": COARSE_CLASSES[int(picks.detections.labels[best])],
        "status": "picked" if picks.picked[garment] else "doubtful" if picks.doubtful[garment] else "seen",
        "first_seen_s": _exact(first),
        "last_seen_s": _exact(last),
        "spans": [
            asdict(span) | {"from_s": _exact(span.from_s), "to_s": _exact(span.to_s)} for span in spans(report, garment)
        ],
        "best_view": _view(picks, best),
        "matches": [_match(match) for match in (matches.items[garment] if matches.items else ())],
        "decision": matches.decisions[garment] if matches.decisions else None,
        "probability": matches.probabilities[garment] if matches.probabilities else None,
    }


def _picture(picks: Picks, garment: int) -> dict[str, str]:
    crop = picks.crops[garment] if picks.crops else None
    return {} if crop is None else {"picture": _data_uri(crop)}


def _view(picks: Picks, row: int) -> dict[str, Any]:
    one = picks.detections[[row]]  # a record of one: its quality is computed of it alone
    return {
        "detection": row,
        "source": int(one.source[0]),
        "frame": int(one.frame_index[0]),
        "time_s": _exact(one.time_s[0]),
        "box_xyxy": _floats(one.boxes_xyxy[0]),
        "label": COARSE_CLASSES[int(one.labels[0])],
        "score": _exact(one.scores[0]),
        "viewpoint": dict(zip(VIEWPOINTS, _floats(one.viewpoint[0]), strict=True)),
        "occlusion": dict(zip(OCCLUSIONS, _floats(one.occlusion[0]), strict=True)),
        "crop": dict(zip(CROPS, _floats(one.crop[0]), strict=True)),
        "quality": dict(zip(QUALITIES, _floats(one.quality[0]), strict=True)),
        "overall": _exact(one.overall[0]),
        "failing": [name for name, bad in zip(QUALITIES, picks.failing[row], strict=True) if bad],
        "reason": reason_of(picks, row),
    }


def _match(match: Match) -> dict[str, Any]:
    values = {field.name: getattr(match, field.name) for field in fields(match)}
    return values | {"similarity": _exact(match.similarity), "metadata": dict(match.metadata)}


def _exact(number: Any) -> float:
    """The shortest decimal that reads back as the same float32."""
    return float(str(np.float32(number)))


def _floats(row: NDArray[Any]) -> list[float]:
    return [_exact(number) for number in row]


def _data_uri(image: NDArray[np.uint8]) -> str:
    from dprnet.core.images import jpeg_bytes

    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(image, 85)).decode("ascii")


def jsonl_line(report: Report, *, pixels: bool = False, vectors: bool = False) -> str:
    """The report as one line of JSON, without the line's end; plain ASCII, so safe on any terminal."""
    return json.dumps(report_json(report, pixels=pixels, vectors=vectors), allow_nan=False, default=str)


def write_json(report: Report, path: Path, *, pixels: bool = False, vectors: bool = False) -> None:
    """Write the report as one JSON file; whole or not at all.

    Raises:
        NoSpace: the disk is full.
    """
    text = json.dumps(report_json(report, pixels=pixels, vectors=vectors), allow_nan=False, default=str, indent=1)
    write_whole(path, (text + "\n").encode("ascii"))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        kind = NoSpace if error.errno == 28 else MissingFile
        raise kind(path, f"cannot be written ({error.strerror})") from None


def read_json(path: Path) -> Report:
    """A report as :func:`write_json` wrote it; instance embeddings come back with zero columns, crops empty.

    Raises:
        MissingFile: no such file.
        BadReport: not a report, or written by a newer version.
    """
    try:
        if path.stat().st_size > MAX_REPORT_BYTES:
            raise BadReport(path, f"larger than {MAX_REPORT_BYTES} bytes; no report is")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFile(path, "no such report; `dprnet search VIDEO --out DIR` writes one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadReport(path, f"not a JSON file ({type(error).__name__})") from None
    schema = values.get("schema") if isinstance(values, dict) else None
    if not isinstance(schema, int):
        raise BadReport(path, "not a report: it has no number 'schema'; `dprnet search VIDEO --out DIR` writes one")
    if schema > SCHEMA:
        raise BadReport(path, f"written in schema {schema}, this version reads up to {SCHEMA}; upgrade dprnet")
    try:
        return _report(values)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise BadReport(path, f"damaged: {type(error).__name__} at {error}; search the video again") from None


def _report(values: Mapping[str, Any]) -> Report:
    garments = values["garments"]
    placed = sorted(
        ((view["detection"], number, view) for number, garment in enumerate(garments) for view in garment["views"]),
        key=lambda entry: (int(entry[0]), entry[1]),
    )
    row_of = {detection: row for row, (detection, _, _) in enumerate(placed)}
    views = [view for _, _, view in placed]
    limits = values["limits"]
    picks = Picks(
        detections=_detections(views),
        instance=np.array([number for _, number, _ in placed], np.int64),
        failing=np.array([[name in view["failing"] for name in QUALITIES] for view in views], bool).reshape(-1, 3),
        best=np.array([row_of[garment["best_view"]["detection"]] for garment in garments], np.int64),
        picked=np.array([garment["status"] == "picked" for garment in garments], bool),
        limits=(float(limits["viewpoint"]), float(limits["occlusion"]), float(limits["crop"])),
        folded=int(values["folded"]),
        min_score=float(values["min_score"]),
        min_views=int(values["min_views"]),
        min_span_s=values.get("min_span_s"),
    )
    matches = Matches(
        items=tuple(tuple(Match(**match) for match in garment["matches"]) for garment in garments),
        decisions=tuple(garment["decision"] for garment in garments),
        probabilities=tuple(garment["probability"] for garment in garments),
    )
    return Report(
        sources=tuple(Source(**source) for source in values["sources"]),
        picks=picks,
        matches=matches,
        seconds=dict(values["seconds"]),
        bundle=str(values["bundle"]),
        gallery=str(values["gallery"]),
        settings=dict(values["settings"]),
    )


def _detections(views: list[Any]) -> Detections:
    def column(key: str, names: tuple[str, ...]) -> NDArray[np.float32]:
        rows = [[view[key][name] for name in names] for view in views]
        return np.array(rows, np.float32).reshape(-1, len(names))

    return Detections(
        boxes_xyxy=np.array([view["box_xyxy"] for view in views], np.float32).reshape(-1, 4),
        labels=np.array([COARSE_CLASSES.index(view["label"]) for view in views], np.int64),
        scores=np.array([view["score"] for view in views], np.float32),
        viewpoint=column("viewpoint", VIEWPOINTS),
        occlusion=column("occlusion", OCCLUSIONS),
        crop=column("crop", CROPS),
        embeddings=np.zeros((len(views), 0), np.float32),
        frame_index=np.array([view["frame"] for view in views], np.int64),
        time_s=np.array([view["time_s"] for view in views], np.float32),
        source=np.array([view["source"] for view in views], np.int64),
    )
