"""Reproduce figures and tables by name; what is there and still true is not made again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dprnet.core.errors import BadRecipe
from dprnet.evaluate.reproduce.artefact import Artefact, load, save
from dprnet.evaluate.reproduce.figure5 import figure5
from dprnet.evaluate.reproduce.figure6 import figure6
from dprnet.evaluate.reproduce.figure9 import figure9
from dprnet.evaluate.reproduce.figure10 import figure10
from dprnet.evaluate.reproduce.page import write_page
from dprnet.evaluate.reproduce.study import Study
from dprnet.evaluate.reproduce.tables import table1, table3

log = logging.getLogger(__name__)

Make = Callable[[Study, Path], Artefact]


@dataclass(frozen=True, slots=True)
class Kind:
    """How an artefact is made, and which settings it reads (none named: all)."""

    make: Make
    reads: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "figure5": Kind(figure5, ("finest", "every")),
    "figure6": Kind(figure6, ("finest", "intervals")),
    "figure9": Kind(figure9, ("finest", "every", "ks", "seeds", "epochs")),
    "figure10": Kind(figure10, ("finest", "every", "ks")),
    "table1": Kind(table1, ("finest",)),
    "table3": Kind(table3, ("timing",)),
}
ELSEWHERE: Mapping[str, str] = {
    "figure7": "shows answers of the embedder on photos; it belongs to the evaluation of the embedder.",
    "figure8": "shows where the embedder looks; it belongs to the evaluation of the embedder.",
    "table2": "compares losses and embedders on consumer-to-shop photos; it is read from their training runs.",
}
ALL = "all"


def wanted_names(names: Iterable[str]) -> list[str]:
    """The names in the order of the paper; ``all`` stands for all that are made here.

    Raises:
        BadRecipe: a name that is none, or one that is made elsewhere.

    >>> wanted_names(["table1", "figure5", "table1"])
    ['figure5', 'table1']
    """
    asked = set(names)
    for name in sorted(asked - {ALL} - KINDS.keys()):
        why = f"{name} {ELSEWHERE[name]}" if name in ELSEWHERE else f"known are {', '.join(KINDS)} and all"
        raise BadRecipe(name, f"cannot be reproduced here; {why}")
    return [name for name in KINDS if name in asked or ALL in asked]


def reproduce(study: Study, names: Iterable[str], out: Path) -> tuple[list[Artefact], Path]:
    """Make the artefacts and the page of all that lie in ``out``.

    Each is written as it is finished: an interrupted run goes on where it stopped.

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
        kind = KINDS[name]
        key = study.key(name, *kind.reads)
        kept = load(out / f"{name}.json")
        if kept is None or kept.key != key or not all((out / picture).is_file() for picture in kept.pictures):
            log.info("making %s", name)
            kept = kind.make(study, out).model_copy(update={"key": key})
            save(kept, out)
        made.append(kept)
        _page(study, out)
    return made, _page(study, out)


def _page(study: Study, out: Path) -> Path:
    found = [one for name in KINDS if (one := load(out / f"{name}.json")) is not None]
    about = (
        f"Set {study.folder.name} ({study.shopset.id}, {len(study.shopset.videos)} videos), bundle "
        f"{study.bundle.identity}. 95 % intervals by bootstrap over whole videos; differences are paired."
    )
    absent = {name: "has not been made." for name in KINDS if name not in {one.name for one in found}}
    return write_page(found, out, title="The paper's figures and tables, reproduced", about=about,
                      absent={**absent, **ELSEWHERE})  # fmt: skip
