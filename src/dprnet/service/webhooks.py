"""Telling others of a job's end: signed, tried again for a day, and never twice under another number.

The form is that of Standard Webhooks (standardwebhooks.com): the headers ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature``, the last of them ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``. A receiver may
hear of an end more than once (it answered, and we died before we noted it); the id is then the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import socket
import ssl
import threading
import time

from dprnet import __version__
from dprnet.core.errors import BadRecipe, DprnetError
from dprnet.service.addresses import Place, look_up
from dprnet.service.config import ServiceConfig
from dprnet.service.database import DatabaseGone
from dprnet.service.jobs import Job, Jobs, job_of_row
from dprnet.service.shapes import job_out
from dprnet.service.signing import signature

LOOK_S = 1.0  # ours: how soon an end is told; a look costs a tenth of a millisecond
WHOLE_S = 15.0  # ours: what a receiver may take for all of its answer
MAX_ANSWER = 64 << 10  # ours: we only want the status
FIRST_PAUSE_S = 5.0  # ours: doubled at each try
LONGEST_PAUSE_S = 4 * 3600.0  # ours
SENDERS = 4  # ours
ATTEMPTS = 16  # ours: a day and a half, with the pauses above

NEXT = """SELECT id FROM jobs
    WHERE hook_state = 'due' AND state IN ('done', 'failed', 'cancelled') AND hook_next_s <= ?
    ORDER BY hook_next_s, id LIMIT 1 {skip}"""

_log = logging.getLogger(__name__)


def pause_s(attempts: int) -> float:
    """Seconds to the next try after so many.

    >>> [pause_s(n) for n in (1, 2, 3, 15)]
    [5.0, 10.0, 20.0, 14400.0]
    """
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempts - 1)))


class Webhooks:
    """Tells of the ends of jobs, one after another; of several services on one table each end is told by one."""

    def __init__(self, config: ServiceConfig, jobs: Jobs) -> None:
        self._config, self._jobs = config, jobs

    async def run(self) -> None:
        """Tell, for ever; several at once, so that one slow receiver does not keep the others waiting."""
        await asyncio.gather(*(self._run() for _ in range(SENDERS)))

    async def _run(self) -> None:
        while True:
            try:
                told = await asyncio.to_thread(self.tell_one)
            except DatabaseGone:
                told = False
            except Exception:
                _log.exception("telling of a job's end failed by a fault of ours")
                told = False
            if not told:
                await asyncio.sleep(LOOK_S)

    def tell_one(self) -> bool:
        """Try the next that is due; False where none is."""
        due = self._take()
        if due is None:
            return False
        job, address = due
        try:
            note = self._send(job, address)
        except DprnetError as error:
            note = error.sentence
        state = "delivered" if not note else "failed" if job.hook_attempts >= ATTEMPTS else "due"
        with self._jobs.writing() as db:
            db.execute(
                "UPDATE jobs SET hook_state = ?, hook_note = ?, hook_next_s = ? WHERE id = ?",
                (state, note or None, db.now() + pause_s(job.hook_attempts), job.id),
            )
        if state == "failed":
            _log.warning("the end of a job could not be told in %d tries; given up", ATTEMPTS)
        return True

    def _take(self) -> tuple[Job, str] | None:
        """The next job whose end is to be told, and to whom; nobody else takes it while it is being told."""
        with self._jobs.writing() as db:
            now = db.now()
            one = NEXT.format(skip=self._jobs.database.skip)
            row = db.execute(
                f"UPDATE jobs SET hook_attempts = hook_attempts + 1, hook_next_s = ? WHERE id = ({one}) RETURNING *",  # noqa: S608 - ours
                (now + 2 * WHOLE_S, now),
            ).fetchone()
        return None if row is None else (job_of_row(row), str(row["webhook"]))

    def _send(self, job: Job, address: str) -> str:
        """What went wrong; empty where the receiver took it."""
        place = look_up(address, self._config.webhook_to)
        secret = self._config.webhook_secret
        assert secret is not None, "without a secret no address is taken"
        data = job_out(job).model_dump(mode="json", exclude={"garments", "webhook"})
        body = json.dumps({"type": f"job.{job.state}", "data": data}, separators=(",", ":")).encode()
        message_id, now = f"job_{job.id}", int(time.time())
        headers = {
            "host": place.host_header,
            "content-type": "application/json",
            "user-agent": f"dprnet/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(secret.get_secret_value(), message_id, now, body),
        }
        try:
            status = post(place, body, headers)
        except (OSError, http.client.HTTPException) as error:
            return f"not reached ({type(error).__name__})"
        if 300 <= status < 400:
            return f"answered {status}; addresses that send us elsewhere are not followed"
        return "" if 200 <= status < 300 else f"answered {status}"


def post(place: Place, body: bytes, headers: dict[str, str], whole_s: float = WHOLE_S) -> int:
    """Send a body to a place that was judged; the status of the answer. Nothing is followed, no proxy is asked.

    Raises:
        OSError, http.client.HTTPException: it was not reached, its certificate is not its name's, or it took longer
            than ``whole_s`` seconds.
    """
    connection = http.client.HTTPConnection(place.host, place.port, timeout=whole_s)
    line = socket.create_connection((place.ip, place.port), timeout=whole_s)
    # A receiver that sends a byte now and then never runs into the socket's own timeout.
    ending = threading.Timer(whole_s, lambda: _hang_up(line))
    ending.daemon = True
    ending.start()
    try:
        if place.scheme == "https":
            safe = ssl.create_default_context()
            line = safe.wrap_socket(line, server_hostname=place.host, do_handshake_on_connect=False)
            line.do_handshake()
        connection.sock = line
        connection.request("POST", place.target, body, headers)
        answer = connection.getresponse()
        answer.read(MAX_ANSWER)
        return answer.status
    finally:
        ending.cancel()
        connection.close()
        line.close()


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def check_address(config: ServiceConfig, address: str) -> None:
    """Refuse an address that a sender gave, before anything of theirs is taken in.

    Raises:
        BadRecipe: it may not be told, or nobody is here (``webhooks_off``).
    """
    if config.webhook_secret is None:
        sentence = "this service tells nobody; its operator may set DPRNET_WEBHOOK_SECRET"
        raise BadRecipe("webhook", sentence, reason="webhooks_off")
    look_up(address, config.webhook_to)
