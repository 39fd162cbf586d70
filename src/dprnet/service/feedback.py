"""What people said of matches: kept beyond the job, exported as training pairs."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from dprnet.core.errors import MissingFile
from dprnet.gallery import Item
from dprnet.service.config import ServiceConfig
from dprnet.service.jobs import Jobs
from dprnet.service.problems import Problem
from dprnet.service.results import PAGE, PICTURES

Verdict = Literal["right", "wrong"]


class Feedback:
    """Feedback of one service. A piece holds one picture, the garment's best view, so that it stays of use when the
    job has expired; deleting the job deletes it too."""

    def __init__(self, jobs: Jobs, config: ServiceConfig) -> None:
        self._jobs, self._config = jobs, config

    def keep(
        self, job_id: str, garment: int, item_id: str, verdict: Verdict, find: Callable[[str, str], Item] | None = None
    ) -> int:
        """Keep what somebody says of a match; its number. A later word on the same match replaces the earlier.

        Args:
            find: gives an item of a gallery; with it, an item that was not offered may be called the right one.

        Raises:
            MissingFile: no such job, or no such match in it, and no such item.
            Problem: the job has no result.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise MissingFile(f"job {job_id}", "there is no such job; it may have expired or been deleted")
        if job.result is None:
            raise Problem(409, "no_result", f"job {job_id}: has no result: it is {job.state}")
        folder = self._config.job_folder(job_id) / job.result
        card = next((card for card in page_of(folder)["cards"] if card["number"] == garment), None)
        offers = card["offers"] if card else []
        offer = next((offer for offer in offers if offer["match"]["item_id"] == item_id), None)
        gallery = job.request["gallery"] or ""
        corrects = find is not None and verdict == "right" and bool(gallery)
        if card is None or (offer is None and not corrects):
            raise MissingFile(f"item {item_id[:80]}", f"is no match of garment {garment} of this job")
        if offer is None and find is not None:
            find(gallery, item_id)
        name = card["best"]["picture"]
        picture = (folder / PICTURES / name).read_bytes() if name else None
        values = (time.time(), job_id, garment, card["label"], gallery, item_id, verdict)
        with self._jobs.writing() as db:
            row = db.execute(
                "INSERT INTO feedback (at_s, job, garment, label, gallery, item_id, verdict, similarity, picture)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, garment, item_id)"
                " DO UPDATE SET verdict = excluded.verdict, at_s = excluded.at_s RETURNING id",
                (*values, offer["match"]["similarity"] if offer else None, picture),
            ).fetchone()
        assert row is not None, "an insertion with RETURNING gives its row"
        return int(row["id"])

    def of(self, job_id: str) -> dict[tuple[int, str], str]:
        """The verdicts on a job's matches, by garment and item."""
        rows = self._jobs.rows("SELECT garment, item_id, verdict FROM feedback WHERE job = ?", job_id)
        return {(row["garment"], row["item_id"]): row["verdict"] for row in rows}

    def take_back(self, job_id: str, garment: int, item_id: str) -> None:
        """Forget what was said of a match, if anything was."""
        with self._jobs.writing() as db:
            db.execute("DELETE FROM feedback WHERE job = ? AND garment = ? AND item_id = ?", (job_id, garment, item_id))

    def count(self) -> int:
        """How many there are."""
        return int(self._jobs.rows("SELECT COUNT(*) AS n FROM feedback")[0]["n"])

    def pairs(self) -> Iterator[dict[str, Any]]:
        """All of it, a training pair each: the garment's picture, the item, and whether they are the same."""
        last = 0
        while rows := self._jobs.rows("SELECT * FROM feedback WHERE id > ? ORDER BY id LIMIT 50", last):
            for row in rows:
                last = row["id"]
                values = {key: value for key, value in row.items() if key != "picture"}
                picture = row["picture"]
                yield values | {"picture_jpeg": base64.b64encode(picture).decode() if picture else None}

    def delete(self, number: int) -> bool:
        """Delete one; True where there was one."""
        with self._jobs.writing() as db:
            return db.execute("DELETE FROM feedback WHERE id = ?", (number,)).rowcount == 1


def page_of(folder: Any) -> dict[str, Any]:
    """The values of a result's page."""
    values: dict[str, Any] = json.loads((folder / PAGE).read_text(encoding="ascii"))
    return values
