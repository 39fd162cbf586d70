"""The parts of a page on which people say what is right: a match, or the item that should have been one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query
from fastapi.responses import HTMLResponse

from dprnet.core.errors import DprnetError
from dprnet.gallery import Item
from dprnet.service.api_galleries import matching
from dprnet.service.api_jobs import JobId, job_of
from dprnet.service.feedback import Feedback
from dprnet.service.jobs import Job
from dprnet.service.problems import Problem
from dprnet.service.rendering import render
from dprnet.service.state import Service, Serving

FOUND = 8  # ours: items that are offered for a correction at once; two rows on a phone
Garment = Annotated[int, Path(ge=1, le=1_000_000)]

router = APIRouter(default_response_class=HTMLResponse)


@router.post("/jobs/{job_id}/say")
def say(
    service: Serving,
    job_id: JobId,
    garment: Annotated[int, Form(ge=1)],
    item_id: Annotated[str, Form(max_length=500)],
    verdict: Annotated[str, Form(pattern="^(right|wrong|)$")] = "",
) -> HTMLResponse:
    """Keep feedback, or take it back (an empty verdict), and show its buttons again."""
    feedback = Feedback(service.jobs, service.config)
    if verdict:
        feedback.keep(job_id, garment, item_id, "right" if verdict == "right" else "wrong", service.shelves.find)
    else:
        feedback.take_back(job_id, garment, item_id)
    values = {"garment": garment, "item_id": item_id, "verdict": verdict, "job_id": job_id}
    return render("said.html.j2", service, "search", **values)


@router.get("/jobs/{job_id}/garments/{garment}/items")
def items(
    service: Serving, job_id: JobId, garment: Garment, q: Annotated[str, Query(max_length=100)] = ""
) -> HTMLResponse:
    """Items of the job's catalogue that hold these words, to say which of them the garment is."""
    job = job_of(service, job_id)
    gallery = job.request["gallery"]
    if not gallery:
        raise Problem(409, "no_gallery", f"job {job_id}: was searched in no catalogue")
    found, total = matching(service.shelves.items(gallery), q, None, FOUND) if q.strip() else ([], 0)
    service.shelves.expect(gallery, found[:FOUND])
    said = Feedback(service.jobs, service.config).of(job_id)
    values = {"job_id": job_id, "garment": garment, "gallery": gallery, "q": q.strip()}
    return render("fix.html.j2", service, "search", items=found[:FOUND], total=total, said=said, **values)


def corrections(
    service: Service, job: Job, page: Mapping[str, Any], said: Mapping[tuple[int, str], str]
) -> dict[int, list[Item]]:
    """Of each garment the items that somebody called right although they were not among its matches."""
    offered = {(card["number"], offer["match"]["item_id"]) for card in page["cards"] for offer in card["offers"]}
    found: dict[int, list[Item]] = {}
    for (garment, item_id), verdict in said.items():
        if verdict == "right" and (garment, item_id) not in offered:
            try:
                item = service.shelves.find(job.request["gallery"], item_id)
            except DprnetError:  # the catalogue or the item has gone since
                item = Item(item_id, ())
            found.setdefault(garment, []).append(item)
    return found
