"""What every benchmark shares: interleaved rounds, processor and wall seconds, rows with the machine they are from."""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("date", "machine", "benchmark", "row", "value", "unit", "against", "ratio", "processor_share")


@dataclass(frozen=True)
class Spent:
    """Medians over the rounds."""

    cpu_s: float
    """Processor seconds of this process and the children that ended."""
    wall_s: float
    share: float
    """Processor seconds over wall seconds: on a free machine about the number of cores in use."""


def options(text: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--out", type=Path, help="append the rows to this CSV")
    return parser


def once(work: Callable[[], object]) -> tuple[float, float]:
    before, start = _processor_s(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - start, _processor_s()
    return after - before, wall


def _processor_s() -> float:
    """Of this process and the children that ended; os.times counts in hundredths, too coarse for a floor."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def interleaved(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Spent]:
    """Each job once to warm up, then all of them in turn, ``rounds`` times: what disturbs one disturbs all."""
    for job in jobs.values():
        job()
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            seen[name].append(once(job))
    return {
        name: Spent(
            statistics.median(cpu for cpu, _ in times),
            statistics.median(wall for _, wall in times),
            statistics.median(cpu / wall for cpu, wall in times),
        )
        for name, times in seen.items()
    }


def machine() -> str:
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


class Table:
    """Rows of one benchmark, printed as they come and appended to a file."""

    def __init__(self, benchmark: str, out: Path | None) -> None:
        self._benchmark, self._out = benchmark, out
        self._date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        print(f"{self._date}  {machine()}\n| row | value | against | ratio | processor share |\n|---|---|---|---|---|")

    def row(
        self, name: str, value: float, unit: str, against: str = "", ratio: float = 0.0, share: float = 0.0
    ) -> None:
        shown = f"{ratio:.2f}" if against else ""
        print(f"| {name} | {value:.4g} {unit} | {against} | {shown} | {f'{share:.2f}' if share else ''} |", flush=True)
        if self._out:
            new = not self._out.is_file()
            with self._out.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(COLUMNS)
                head = (self._date, machine(), self._benchmark, name)
                writer.writerow((*head, f"{value:.5g}", unit, against, shown, f"{share:.2f}" if share else ""))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
