"""Between the start of a run and its trained weights; a checkpoint is the old or the new one whatever fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from dprnet.core.config import Settings
from dprnet.core.errors import BadBundle, BadRecipe, MissingFile, NoSpace
from dprnet.train.runs import LOG, RECIPE, START, Run, blend, read_checkpoint

TRAINED = {"weight": torch.tensor([4.0, 8.0])}


class Recipe(Settings):
    steps: int = 1


@pytest.fixture
def folder(tmp_path):
    Run(tmp_path, Recipe()).keep_start({"weight": torch.tensor([0.0, 4.0])})
    return tmp_path


@pytest.mark.parametrize(("share", "wanted"), [(0.0, [4.0, 8.0]), (0.25, [3.0, 7.0]), (0.5, [2.0, 6.0])])
def test_the_blend_lies_between_start_and_end(folder, share, wanted):
    assert blend(folder, TRAINED, share)["weight"].tolist() == wanted


def test_without_a_share_no_start_is_needed(tmp_path):
    assert blend(tmp_path, TRAINED, 0.0) == TRAINED


def test_a_missing_start_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"start\.safetensors: the run kept no start"):
        blend(tmp_path, TRAINED, 0.5)


@pytest.mark.parametrize("other", [{"bias": torch.zeros(2)}, {"weight": torch.zeros(3)}])
def test_the_start_of_another_network_is_refused(tmp_path, other):
    Run(tmp_path, Recipe()).keep_start(other)
    with pytest.raises(BadBundle, match="not the start of this run"):
        blend(tmp_path, TRAINED, 0.5)


def test_a_damaged_start_is_refused(folder):
    (folder / START).write_bytes(b"\xff" * 40)
    with pytest.raises(BadBundle, match="not the start of this run"):
        blend(folder, TRAINED, 0.5)


def test_a_run_goes_on_though_the_recipe_has_a_new_setting_since(tmp_path):
    class Newer(Recipe):
        heads: int = 3

    Run(tmp_path, Recipe()).save(1, TRAINED)
    assert Run(tmp_path, Newer()).step == 1
    with pytest.raises(BadRecipe, match="another 'heads'"):
        Run(tmp_path, Newer(heads=4))
    (tmp_path / RECIPE).write_text('{"steps": "many"}')
    with pytest.raises(BadRecipe, match="cannot be read"):
        Run(tmp_path, Recipe())


class Faults:
    """Lets the k-th call that reaches the file system fail: opening, writing, flushing, syncing, putting in place."""

    def __init__(self, monkeypatch, number):
        self.calls, self.number, self.kth = 0, number, None
        opened = Path.open

        def open_(path, *arguments, **options):
            self.count()
            file = opened(path, *arguments, **options)
            if "w" in (arguments[0] if arguments else options.get("mode", "r")):
                return _Counted(file, self)
            return file

        monkeypatch.setattr(Path, "open", open_)
        for owner, name in ((os, "fsync"), (Path, "replace")):
            monkeypatch.setattr(owner, name, self.counted(getattr(owner, name)))

    def counted(self, call):
        def counting(*arguments):
            self.count()
            return call(*arguments)

        return counting

    def count(self):
        self.calls += 1
        if self.calls == self.kth:
            raise OSError(self.number, os.strerror(self.number))


class _Counted:
    def __init__(self, file, faults):
        self.file, self.faults = file, faults
        self.write, self.flush = faults.counted(file.write), faults.counted(file.flush)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def fileno(self):
        return self.file.fileno()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_whatever_call_fails_the_checkpoint_is_the_old_or_the_new_one(tmp_path, monkeypatch, number):
    """RELIABILITY, R3: the k-th call fails, for every k until none does."""
    run = Run(tmp_path, Recipe())
    run.save(1, {"weight": torch.tensor([1.0])})
    faults = Faults(monkeypatch, number)
    for step in range(2, 20):
        before = read_checkpoint(run.checkpoint)[1]
        faults.calls, faults.kth = 0, step - 1
        try:
            run.save(step, {"weight": torch.tensor([float(step)])})
        except OSError as error:
            failed = error
        except NoSpace as error:
            failed = error
        else:
            failed = None
        faults.kth = None
        state, now = read_checkpoint(run.checkpoint)
        assert now == (step if failed is None else before)
        assert state["weight"].item() == now
        assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []
        assert failed is None or isinstance(failed, NoSpace) == (number == errno.ENOSPC)
        if failed is None:
            break
    assert faults.calls == step - 2 == 5  # opened, written, flushed, synced, put in place
    assert Run(tmp_path, Recipe()).step == step


def test_rows_that_will_be_done_again_are_forgotten(tmp_path):
    run = Run(tmp_path, Recipe())
    for step in (1, 2, 3):
        run.log({"step": step, "total": step / 2})
    run.save(2, TRAINED)
    with (tmp_path / LOG).open("a") as file:
        file.write("4")  # a row that a kill cut short
    Run(tmp_path, Recipe())
    assert (tmp_path / LOG).read_text().splitlines() == ["step,total", "1,0.5", "2,1"]
