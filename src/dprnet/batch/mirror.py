"""Results in an object store: every block of the folder of work is put there as it is made, and taken from there where
that folder is new, so that another machine can go on.

A block that is there is never written over: a second run with the same address is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dprnet.batch.ledger import QUARANTINE, RESULTS, RUN
from dprnet.core.errors import BadReport, MissingFile, printable
from dprnet.core.fetching import object_store

ATTEMPTS = 4  # ours: stores fail for a moment ...
FIRST_PAUSE_S = 1.0  # ours: ... or for some seconds; doubled before every further attempt

T = TypeVar("T")


class Mirror:
    """A folder of work and its address."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address.rstrip("/")
        self._store = object_store(address)
        self._there: set[str] = set()

    def pull(self) -> None:
        """Take what the address holds and the folder does not, before a run begins.

        Raises:
            BadReport: both hold a block of one name, and they differ.
            MissingFile: the store cannot be reached.
        """
        (self.folder / RESULTS).mkdir(parents=True, exist_ok=True)
        held = self._again(lambda: self._store.find(self._key(RESULTS), detail=True))
        for key, info in sorted(held.items()):
            name = key.rpartition("/")[2]
            if not name.startswith("part-"):
                continue
            path = self.folder / RESULTS / name
            if not path.exists():
                self._get(key, path)
            elif path.stat().st_size != info["size"]:
                raise BadReport(
                    f"{self.address}/{RESULTS}/{name}", "not the block of this folder of work; choose another --out"
                )
            self._there.add(name)
        if not (self.folder / RUN).exists() and self._again(lambda: self._store.exists(self._key(RUN))):
            self._get(self._key(RUN), self.folder / RUN)

    def push(self) -> None:
        """Put every block that the address does not hold.

        Raises:
            BadReport: another run has put one of that name there.
            MissingFile: the store does not take it.
        """
        for path in sorted((self.folder / RESULTS).glob("part-*.parquet")):
            if path.name not in self._there:
                self._put_new(path, self._key(f"{RESULTS}/{path.name}"))
                self._there.add(path.name)

    def finish(self) -> None:
        """Put the blocks, the list of bad videos, and last what the results depend on."""
        self.push()
        for name in (QUARANTINE, RUN):
            path = self.folder / name
            if path.exists():
                self._again(lambda path=path, name=name: self._store.put_file(str(path), self._key(name)))  # type: ignore[misc]
            elif self._again(lambda name=name: self._store.exists(self._key(name))):  # type: ignore[misc]
                self._again(lambda name=name: self._store.rm_file(self._key(name)))  # type: ignore[misc]

    def begin(self) -> None:
        """Put what the results depend on."""
        self._again(lambda: self._store.put_file(str(self.folder / RUN), self._key(RUN)))

    def _key(self, name: str) -> str:
        return f"{self.address.partition('://')[2]}/{name}"

    def _get(self, key: str, path: Path) -> None:
        partial = path.with_name(path.name + ".partial")
        self._again(lambda: self._store.get_file(key, str(partial)))
        partial.replace(path)

    def _put_new(self, path: Path, key: str) -> None:
        try:
            self._again(lambda: self._store.put_file(str(path), key, mode="create"), passes=(FileExistsError,))
        except FileExistsError:
            if self._again(lambda: self._store.info(key, refresh=True))["size"] != path.stat().st_size:
                raise BadReport(
                    f"s3://{key}", "another run has put a block of that name there; choose another --out"
                ) from None

    def _again(self, act: Callable[[], T], passes: tuple[type[OSError], ...] = ()) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return act()
            except passes:
                raise
            except FileNotFoundError as error:
                raise MissingFile(self.address, f"no such bucket ({printable(str(error), 80)})") from None
            except PermissionError:
                raise MissingFile(self.address, "may not be written with the credentials at hand") from None
            except OSError as error:
                if attempt == ATTEMPTS:
                    sentence = (
                        f"does not answer ({printable(str(error), 100)}); what was found is kept in {self.folder}"
                    )
                    raise MissingFile(self.address, sentence) from None
                time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("every attempt returns or raises")
