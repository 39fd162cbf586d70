"""Figures 7 and 8 of a study, and Table 2 as a run left it or is about to make it."""

from __future__ import annotations

from pathlib import Path

from dprnet.evaluate import photo_sheets
from dprnet.evaluate.reproduce.artefact import Artefact, load
from dprnet.evaluate.reproduce.study import Study

NOT_RUN = (
    "has not been run: `dprnet reproduce table2` trains ten methods (hours; with --quick minutes); every other name "
    "only reads what that left."
)


def figure7(study: Study, out: Path) -> Artefact:
    """The best true view of garments of the set and the five shop photos found first."""
    return photo_sheets.figure7(study.searched, out)


def figure8(study: Study, out: Path) -> Artefact:
    """The same views with where the embedder looks."""
    return photo_sheets.figure8(study.searched, out)


def read_table2(study: Study) -> Artefact | None:
    """Table 2 as the run in ``study.table2`` left it, or None where it has left none."""
    return load(study.table2 / "table2.json")


def run_table2(study: Study) -> Artefact:
    """Table 2, trained as far as it is not there yet; takes hours at full length.

    Raises:
        MissingFile, BadDataset: photos or start weights are not there.
        BadRecipe: the folder holds rows of another comparison.
    """
    from dprnet.evaluate.table2 import table2

    return table2(study.table2, recipe=study.recipe, quick=study.quick, progress=study.progress)
