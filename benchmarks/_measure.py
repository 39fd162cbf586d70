"""What every benchmark shares: interleaved rounds, processor and wall seconds, rows with the machine they are from."""

from __future__ import annotations

import argparse
import csv
import datetime
import operator
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dprnet.decode import processor_s as decoders_s

COLUMNS = ("date", "machine", "benchmark", "row", "value", "unit", "against", "ratio", "processor_share", "aim", "met")


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
    before, start = processor_s(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - start, processor_s()
    return after - before, wall


def processor_s() -> float:
    """Of this process, the children that ended and the decoders that were forked for it; os.times counts in
    hundredths, too coarse for a floor."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) + decoders_s()


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
        head = "| row | value | against | ratio | processor share | aim |\n|---|---|---|---|---|---|"
        print(f"{self._date}  {machine()}\n{head}")

    def row(
        self,
        name: str,
        value: float,
        unit: str,
        against: str = "",
        ratio: float = 0.0,
        share: float = 0.0,
        aim: str = "",
    ) -> None:
        """One figure.

        Args:
            against: what ``ratio`` is of; nothing where there is no ratio.
            share: processor seconds over wall seconds.
            aim: such as ``>= 0.9``: of the ratio where there is one, else of the value.
        """
        shown, part = (f"{ratio:.3g}" if against else ""), (f"{share:.2f}" if share else "")
        met = "" if not aim else "met" if reached(ratio if against else value, aim) else "missed"
        print(f"| {name} | {value:.4g} {unit} | {against} | {shown} | {part} | {aim} {met} |", flush=True)
        if self._out:
            new = not self._out.is_file()
            with self._out.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(COLUMNS)
                head = (self._date, machine(), self._benchmark, name)
                writer.writerow((*head, f"{value:.5g}", unit, against, shown, part, aim, met))


def reached(value: float, aim: str) -> bool:
    """Whether a figure is on the right side of an aim.

    >>> reached(0.93, ">= 0.9"), reached(0.6, "< 0.5")
    (True, False)
    """
    side, limit = aim.split()
    found: bool = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt}[side](value, float(limit))
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
