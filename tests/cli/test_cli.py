"""The command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dprnet import __version__
from dprnet.cli import run
from dprnet.report import read_json

VERBS = ["demo", "index", "search", "check", "train", "evaluate", "calibrate", "world"]


@pytest.fixture(scope="module")
def gallery(random_bundle, small_catalogue, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "gallery"
    assert run(["index", str(small_catalogue), "--gallery", str(folder), "--bundle", str(random_bundle)]) == 0
    return folder


def test_help_is_light():
    code = "import sys; from dprnet.cli import run; run(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "pyarrow", "lancedb", "scipy", "av", "PIL", "pydantic"}
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    assert run([verb, "--help"]) == 0
    assert "Usage: dprnet " + verb in capsys.readouterr().out


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"dprnet {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["serach"], ["search"], ["search", "--evry", "1s", "x.mp4"], ["search", "x", "--until", "never"]]
)
def test_a_wrong_command_line_is_2(arguments, capsys):
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_search(gallery, random_bundle, moving_square, tmp_path, capsys):
    out = tmp_path / "out"
    common = ["--gallery", str(gallery), "--bundle", str(random_bundle)]
    assert run(["search", str(moving_square), *common, "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    line = json.loads(printed.out)  # stdout holds the result alone, even beside files
    assert line["schema"] == 1
    assert line["garments"][0]["matches"]
    assert str(out / "report.html") in printed.err
    assert read_json(out / "report.json").sources[0].path == str(moving_square)
    assert sorted(path.name for path in out.iterdir()) == ["report.csv", "report.html", "report.json"]


def test_search_prints_a_summary(gallery, random_bundle, moving_square, capsys):
    common = ["--gallery", str(gallery), "--bundle", str(random_bundle)]
    assert run(["search", str(moving_square), *common, "--every", "1s"]) == 0
    assert "garments, " in capsys.readouterr().out


def test_some_failed_is_3(gallery, random_bundle, moving_square, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"x")
    common = ["--gallery", str(gallery), "--bundle", str(random_bundle)]
    assert run(["search", str(bad), str(moving_square), *common]) == 3
    assert "bad.mp4: failed" in capsys.readouterr().out


@pytest.mark.parametrize("more", [[], ["--every", "soon"], ["--bundle", "no-such"], ["--gallery", "no-such"]])
def test_what_a_user_can_mend_is_2_and_one_sentence(more, random_bundle, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"x")
    bundle = [] if "--bundle" in more else ["--bundle", str(random_bundle)]
    assert run(["search", str(bad), *bundle, *more]) == 2
    printed = capsys.readouterr()
    sentences = [line for line in printed.err.splitlines() if line.startswith("dprnet: ")]
    assert len(sentences) == 1
    assert printed.out == ""


def test_index_with_problems_is_3(random_bundle, small_catalogue, tmp_path, capsys):
    import shutil

    folder = tmp_path / "catalogue"
    shutil.copytree(small_catalogue.parent, folder)
    (folder / "ink.png").write_bytes(b"x")
    out = tmp_path / "gallery"
    assert run(["index", str(folder), "--gallery", str(out), "--bundle", str(random_bundle)]) == 3
    assert "problems.csv" in capsys.readouterr().err


def test_check(gallery, random_bundle, small_catalogue, moving_square, tmp_path, capsys):
    paths = [str(path) for path in (random_bundle, gallery, small_catalogue, small_catalogue.parent, moving_square)]
    assert run(["check", *paths]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2].split(",")[0] for line in told] == [
        "bundle", "gallery", "catalogue", "catalogue", "video",
    ]  # fmt: skip
    assert "160x120 pixels, 3.0 s" in told[-1]
    assert run(["check", str(tmp_path / "absent")]) == 2
    assert run(["check", str(tmp_path / "absent"), paths[2]]) == 3


def test_check_of_a_recipe(tmp_path, capsys):
    recipe = tmp_path / "wrong.toml"
    recipe.write_text("stepps = 3\n", encoding="utf-8")
    assert run(["check", str(recipe)]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_is_130_and_leaves_no_process(random_bundle, moving_square, tmp_path):
    many = [str(moving_square)] * 400
    command = [sys.executable, "-m", "dprnet", "search", *many, "--bundle", str(random_bundle), "--every", "1f"]
    # A shell that started the tests in the background has them ignore Ctrl-C, and children inherit that.
    listening = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listening}; runpy.run_module('dprnet', None, '__main__')"
    command[1:3] = ["-c", code]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Looking at"):
                break
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 130
        assert time.monotonic() - started < 10
    assert "interrupted" in rest
    assert "Traceback" not in rest
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
