"""Reproduce figures and tables by name; what is there and still true is not made again."""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.errors import BadRecipe
from dprnet.decode import processor_s
from dprnet.evaluate.bootstrap import ROUNDS, SEED
from dprnet.evaluate.reproduce.artefact import Artefact, load, save
from dprnet.evaluate.reproduce.figure5 import figure5
from dprnet.evaluate.reproduce.figure6 import figure6
from dprnet.evaluate.reproduce.figure9 import figure9
from dprnet.evaluate.reproduce.figure10 import figure10
from dprnet.evaluate.reproduce.markdown import Origin, write_markdown
from dprnet.evaluate.reproduce.page import write_page
from dprnet.evaluate.reproduce.photo_figures import NOT_RUN, figure7, figure8, read_table2, run_table2
from dprnet.evaluate.reproduce.study import Study
from dprnet.evaluate.reproduce.tables import table1, table3

log = logging.getLogger(__name__)

Make = Callable[[Study, Path], Artefact]


@dataclass(frozen=True, slots=True)
class Kind:
    """How an artefact is made, and which settings it reads; ``train`` stands for the sets that methods learn from."""

    make: Make
    reads: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "figure5": Kind(figure5, ("finest", "every")),
    "figure6": Kind(figure6, ("finest", "intervals")),
    "figure7": Kind(figure7, ("videos", "sheet_gallery")),
    "figure8": Kind(figure8, ("videos", "sheet_gallery")),
    "figure9": Kind(figure9, ("finest", "every", "ks", "seeds", "epochs", "train", "train_videos")),
    "figure10": Kind(figure10, ("finest", "every", "ks")),
    "table1": Kind(table1, ("finest",)),
    "table3": Kind(table3, ("timing",)),
}
TABLE2 = "table2"  # has a folder of its own: it is trained, and kept row by row
NAMES = (*(name for name in KINDS if name < TABLE2), TABLE2, "table3")
ALL = "all"
TITLE = "The paper's figures and tables, reproduced"


def wanted_names(names: Iterable[str]) -> list[str]:
    """The names in the order of the paper; ``all`` stands for every one but Table 2, which is trained on its own.

    Raises:
        BadRecipe: a name that is none.

    >>> wanted_names(["table1", "figure5", "table1"])
    ['figure5', 'table1']
    """
    asked = set(names)
    for name in sorted(asked - {ALL, *NAMES}):
        raise BadRecipe(name, f"is no figure or table of the paper; known are {', '.join(NAMES)} and all")
    return [name for name in NAMES if name in asked or (ALL in asked and name != TABLE2)]


def reproduce(study: Study, names: Iterable[str], out: Path) -> tuple[list[Artefact], Path]:
    """Make the artefacts and the page of all that lie in ``out``.

    Each is written as it is finished: an interrupted run goes on where it stopped. Table 2 is trained where it is
    named; otherwise the page shows what an earlier run of it left.

    Returns:
        The artefacts asked for, and the page.

    Raises:
        BadRecipe: a name that is none.
        BadDataset: a set without videos, or one to train on that is the one measured.
        MissingExtra: matplotlib is not installed.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for name in wanted_names(names):
        if name == TABLE2:
            made.append(run_table2(study))
            _page(study, out)
            continue
        kind = KINDS[name]
        key = study.key(name, *kind.reads)
        kept = load(out / f"{name}.json")
        if kept is None or kept.key != key or not all((out / picture).is_file() for picture in kept.pictures):
            log.info("making %s", name)
            kept = _timed(kind.make, study, out).model_copy(update={"key": key})
            save(kept, out)
        made.append(kept)
        _page(study, out)
    return made, _page(study, out)


def publish(study: Study, out: Path, folder: Path, *, bundle: str, machine: str = "", date: str = "") -> Path:
    """Write all that lies in ``out`` as Markdown with small pictures, each part with the command that makes it.

    Args:
        study: as it was reproduced.
        out: folder of the artefacts.
        folder: where to write ``reproduced.md`` and its pictures.
        bundle: the bundle as it was named.
        machine, date: where and when.

    Returns:
        The text's path.

    Raises:
        BadImage: a picture is missing or damaged; make it again.
    """
    kept = found_in(study, out)
    parts = ["--set", str(study.folder)]
    for option, paths in (("--train", study.train), ("--distractors", study.distractors)):
        parts += [part for path in paths for part in (option, str(path))]
    parts += ["--bundle", bundle, *(["--quick"] if study.quick else [])]
    absent = tuple((name, _why_absent(name)) for name, one in kept.items() if one is None)
    origin = Origin(about=about(study), command=shlex.join(parts), machine=machine, date=date, absent=absent)
    return write_markdown([one for one in kept.values() if one is not None], out, folder, title=TITLE, origin=origin)


def _why_absent(name: str) -> str:
    return NOT_RUN if name == TABLE2 else "has not been made."


def _timed(make: Make, study: Study, out: Path) -> Artefact:
    wall, before = time.perf_counter(), _processor_s()
    made = make(study, out)
    spent = _processor_s() - before
    return made.model_copy(update={"wall_s": time.perf_counter() - wall, "processor_s": spent})


def _processor_s() -> float:
    return sum(os.times()[:4]) + processor_s()  # ours and our children's, user and system, and the decoders'


def found_in(study: Study, out: Path) -> dict[str, Artefact | None]:
    """Every artefact by name, None where it has not been made; Table 2 as its own run left it."""
    return {name: read_table2(study) if name == TABLE2 else load(out / f"{name}.json") for name in NAMES}


def about(study: Study) -> str:
    """Of what the figures are, in two sentences."""
    return (
        f"Set {study.folder.name} ({study.shopset.id}, {len(study.shopset.videos)} videos), bundle "
        f"{study.bundle.identity}. 95 % intervals by bootstrap over whole videos ({ROUNDS:,} resamples, seed {SEED}); "
        "differences are paired."
    )


def _page(study: Study, out: Path) -> Path:
    kept = found_in(study, out)
    absent = {name: _why_absent(name) for name, one in kept.items() if one is None}
    found = [one for one in kept.values() if one is not None]
    return write_page(found, out, title=TITLE, about=about(study), absent=absent)
