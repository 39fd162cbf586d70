from __future__ import annotations

import pickle

import pytest

from dprnet.core import errors
from dprnet.core.errors import BadVideo, DprnetError, NoSpace, printable

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DprnetError)]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_cross_process_borders_whole(kind: type[DprnetError]) -> None:
    error = kind("look.mp4", "no video stream", reason="limit:pixels")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (back.thing, back.sentence, back.reason) == ("look.mp4", "no video stream", "limit:pixels")
    assert str(back) == "look.mp4: no video stream"


def test_every_kind_has_its_own_code() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    assert BadVideo("a", "b").reason == BadVideo.code


def test_one_except_catches_them_all() -> None:
    with pytest.raises(DprnetError):
        raise NoSpace("/disk", "full")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Übergröße 長袖", "Übergröße 長袖"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_names_cannot_drive_a_terminal(text: str, wanted: str) -> None:
    assert printable(text) == wanted
    assert str(DprnetError(text, "is odd")) == f"{wanted}: is odd"


def test_long_names_are_cut() -> None:
    assert len(printable("x" * 10_000)) == 300
