"""The files with which it is run for others: the unit is one that systemd takes, and what both start exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from dprnet.cli.app import app

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT, CONTAINER = DEPLOY / "dprnet.service", DEPLOY / "Containerfile"


def options_of(words: list[str]) -> dict[str, str]:
    """The options of ``dprnet serve WORDS``, as the command line takes them."""
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return dict(command.make_context("serve", list(words)).params)


def test_what_the_unit_starts_is_a_command_of_ours() -> None:
    line = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert line is not None
    program, verb, *words = shlex.split(line[1])
    assert (Path(program).name, verb) == ("dprnet", "serve")
    options = options_of(words)
    assert options["host"] == "127.0.0.1", "a proxy stands before it"
    assert str(options["api_key_file"]) == "%d/key", "the key is a credential, not an argument"


def test_what_the_container_starts_is_a_command_of_ours_for_a_user_without_rights() -> None:
    text = CONTAINER.read_text()
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert command is not None
    program, verb, *words = [word.strip().strip('"') for word in command[1].strip("[]").split(",")]
    assert (program, verb) == ("dprnet", "serve")
    assert options_of(words)["host"] == "0.0.0.0"
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users
    assert all(user.isdigit() and int(user) > 0 for user in users), "by number, so that an engine can tell"
    assert text.index("\nUSER ") < text.index("\nCMD ")
    root = DEPLOY.parent
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (root / name).exists(), name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/dprnet/bin/dprnet", sys.executable))
    for words in (["verify"], ["security", "--offline=true", "--threshold=30"]):
        done = subprocess.run(["systemd-analyze", *words, str(unit)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert UNIT.name not in done.stderr, done.stderr
