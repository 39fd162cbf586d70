"""A run on TensorBoard: what is logged can be read back, and a run that goes on hides what it does again."""

from __future__ import annotations

import builtins
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorboard", reason="needs the extra 'train'")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dprnet.core.config import Settings
from dprnet.train.boards import BOARDS
from dprnet.train.runs import LOG, PICTURES_EVERY, Run


class Recipe(Settings):
    steps: int = 1


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / BOARDS), size_guidance={"scalars": 0, "images": 0}).Reload()


def test_rows_come_back_by_name_and_step(tmp_path):
    run = Run(tmp_path, Recipe())
    for step in (20, 40):
        run.log({"step": step, "lr": 0.1, "total": 2.0 / step})
    read = events(tmp_path)
    assert sorted(read.Tags()["scalars"]) == ["lr", "total"]
    assert [(event.step, round(event.value, 4)) for event in read.Scalars("total")] == [(20, 0.1), (40, 0.05)]


def test_a_run_that_goes_on_hides_what_it_does_again(tmp_path):
    run = Run(tmp_path, Recipe())
    for step in range(1, 6):
        run.log({"step": step, "total": float(step)})
    run.step = 3  # as after a kill, from the checkpoint of step 3
    run._boards.close()
    run._boards = None
    time.sleep(1.1)  # files of events are read in the order of the second in their names
    for step in (4, 5):
        run.log({"step": step, "total": 10.0 * step})
    values = {event.step: event.value for event in events(tmp_path).Scalars("total")}
    assert values == {1: 1, 2: 2, 3: 3, 4: 40, 5: 50}


def test_a_run_that_starts_anew_forgets_the_old(tmp_path):
    Run(tmp_path, Recipe()).log({"step": 9, "total": 1.0})
    Run(tmp_path, Recipe(steps=2), resume=False).log({"step": 1, "total": 1.0})
    assert [event.step for event in events(tmp_path).Scalars("total")] == [1]


def test_pictures_now_and_then(tmp_path):
    run, asked = Run(tmp_path, Recipe()), []

    def watch():
        asked.append(1)
        return {"look": np.full((4, 6, 3), 200, np.uint8)}

    run.watch = watch
    for step in range(1, PICTURES_EVERY + 2):
        run.log({"step": step, "total": 1.0})
    assert len(asked) == 2
    found = events(tmp_path).Images("look")
    assert [(event.step, event.width, event.height) for event in found] == [(1, 6, 4), (PICTURES_EVERY + 1, 6, 4)]


def test_without_tensorboard_the_csv_is_written_and_it_is_said(tmp_path, monkeypatch, caplog):
    plain = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    run = Run(tmp_path, Recipe())
    run.watch = dict
    for step in (1, 2):
        run.log({"step": step, "total": 1.0})
    assert caplog.text.count("no TensorBoard") == 1
    assert (tmp_path / LOG).read_text().count("\n") == 3
    assert not (tmp_path / BOARDS).exists()
