"""Far more clients than it can serve: each is served or sent away until later, and it still says that it lives."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .conftest import Running, process
from .test_api import photo
from .test_guard import make_short
from .test_killing import address_of, until
from .test_stopping import quietly

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
CLIENTS, REQUESTS = 50, 15
HEALTHY_S = 0.1  # row S10 of the promises
AT_LEAST = 50  # health is asked so often, however slow the machine
# In a process of its own: here fifty clients share one interpreter, and would be what is measured. The second figure is
# how long the thread that answers was ready meanwhile, and the machine gave it no processor.
ASKER = """
import json, select, sys, time, urllib.request
from pathlib import Path

address, process = sys.argv[1:]
scheduled = Path(f"/proc/{process}/task/{process}/schedstat")
asked = []
while not select.select([sys.stdin], [], [], 0.005)[0]:
    begun, kept = time.perf_counter(), int(scheduled.read_text().split()[1])
    with urllib.request.urlopen(address, timeout=600) as answer:
        assert answer.status == 200
        answer.read()
    asked.append((time.perf_counter() - begun, (int(scheduled.read_text().split()[1]) - kept) / 1e9))
print(json.dumps(asked))
"""


@contextlib.contextmanager
def running(script: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A small Python program, ended with the block."""
    command = [sys.executable, "-c", script, *more]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def nearly_all(spent: list[float]) -> float:
    """What all but one in fifty are within: a machine that does other work has moments of its own."""
    return sorted(spent)[-1 - len(spent) // 50]


def test_fifty_clients_at_once(tmp_path: Path, random_bundle: Path, indexed: Path) -> None:
    short = tmp_path / "short.mp4"
    make_short(short)
    video, picture, answers = short.read_bytes(), photo(), []
    options = ["--gallery", f"shop={indexed}", "--threads", "1", "--limit", "max_queue=5", "--limit", "max_uploads=2"]
    with process(tmp_path / "data", random_bundle, *options) as child:
        service = Running(address_of(child), tmp_path / "data")
        service.ask("POST", "/v1/search?whole=true", picture)

        def client(number: int) -> None:
            for turn in range(REQUESTS):
                if (number + turn) % 2:
                    answers.append(service.ask("POST", f"/v1/jobs?name=n{number}", video))
                else:
                    answers.append(service.ask("POST", "/v1/search?whole=true", picture))

        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        with running(ASKER, f"{service.base}/v1/health", str(child.pid)) as asker:
            for one in clients:
                one.start()
            for one in clients:
                one.join()
            told, _ = asker.communicate("enough\n")
        spent = [seconds for seconds, _ in json.loads(told)]
        own = [seconds - kept for seconds, kept in json.loads(told)]
        assert len(answers) == CLIENTS * REQUESTS
        counted = Counter(answer.status for answer in answers)
        assert set(counted) <= {200, 202, 429}, counted
        assert counted[429] > 0, "the queue has an end"
        assert counted[200] > 0
        assert counted[202] > 0
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status == 429)
        # The clients are on this machine too, and what else it does is not the service's: of each answer the seconds
        # are forgiven for which its thread had no processor, of the median in proportion to what waits for one.
        assert len(own) >= AT_LEAST
        assert nearly_all(own) < HEALTHY_S, sorted(own)[-5:]
        patience = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert statistics.median(spent) < HEALTHY_S * patience, sorted(spent)[-5:]
        taken = [answer.json["id"] for answer in answers if answer.status == 202]
        assert {service.wait(job)["state"] for job in taken} == {"done"}, "what was accepted is done"


def test_more_requests_than_may_be_answered_are_sent_away(tmp_path: Path, random_bundle: Path) -> None:
    options = ["--workers", "0", "--limit", "max_requests=3"]
    with process(tmp_path / "data", random_bundle, *options) as child:
        service = Running(address_of(child), tmp_path / "data")
        short = tmp_path / "short.mp4"
        make_short(short)
        job = service.send(short)  # nobody works on it, so whoever follows it stays

        def follow() -> None:
            while service.ask("GET", job["links"]["events"]).status == 503:  # who asks below may be first
                time.sleep(0.05)

        followers = [threading.Thread(target=quietly, args=(follow,)) for _ in range(3)]
        for one in followers:
            one.start()
        until(lambda: service.ask("GET", "/v1/jobs").status == 503, "three are being answered")
        refused = service.ask("GET", "/v1/jobs")
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "busy", "1")
        assert service.ask("GET", "/v1/health").status == 200, "it lives all the same"
        psutil.Process(child.pid).terminate()
        for one in followers:
            one.join()
