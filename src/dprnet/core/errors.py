"""What a user can mend, each as one sentence: the thing, the value, the way out.

The command line prints the sentence and exits 2, a service answers 4xx with the same sentence.
Anything that is not a :class:`DprnetError` is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class DprnetError(Exception):
    """Base of every error that a user can mend.

    ``reason`` is a short machine-readable word (``no_video_stream``, ``limit:pixels``), ``thing`` names what is at
    fault (a path, a key, an id), and ``str(error)`` is the whole sentence.
    """

    code: ClassVar[str] = "error"

    def __init__(self, thing: object, sentence: str, *, reason: str | None = None) -> None:
        self.thing = str(thing)
        self.sentence = sentence
        self.reason = reason or self.code
        super().__init__(self.thing, sentence, self.reason)

    def __str__(self) -> str:
        return f"{printable(self.thing)}: {self.sentence}"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (the decoder's child); keyword-only arguments need a hand.
        return (_rebuild, (type(self), self.thing, self.sentence, self.reason))


def _rebuild(kind: type[DprnetError], thing: str, sentence: str, reason: str) -> DprnetError:
    return kind(thing, sentence, reason=reason)


class BadVideo(DprnetError):
    """A file that is no video we can read. ``decoded`` frames, if any, were already handed out."""

    code = "bad_video"


class BadImage(DprnetError):
    """A file that is no image we accept."""

    code = "bad_image"


class BadCatalogue(DprnetError):
    """A catalogue (folder, CSV, Parquet, JSON Lines) that cannot be read."""

    code = "bad_catalogue"


class BadRecipe(DprnetError):
    """A recipe or a setting with an unknown key or a value out of range."""

    code = "bad_recipe"


class BadDataset(DprnetError):
    """A data set that is not in the form its reader expects."""

    code = "bad_dataset"


class BadBundle(DprnetError):
    """A model bundle that is damaged, from a newer version, or hostile."""

    code = "bad_bundle"


class BadGallery(DprnetError):
    """A gallery that is missing, damaged, or was built by another embedder."""

    code = "bad_gallery"


class BadFilter(DprnetError):
    """A filter of a search that cannot be read, or names a column that no item has."""

    code = "bad_filter"


class BadReport(DprnetError):
    """A stored report that cannot be read (damaged, or from a newer version)."""

    code = "bad_report"


class BadVector(DprnetError):
    """An embedding that is NaN, infinite, zero, or of the wrong size."""

    code = "bad_vector"


class LimitExceeded(DprnetError):
    """An input beyond a stated limit; ``reason`` is ``limit:<name>``."""

    code = "limit"


class MissingExtra(DprnetError):
    """An optional dependency is not installed; the sentence says which extra brings it."""

    code = "missing_extra"


class MissingFile(DprnetError):
    """A path that does not exist or cannot be opened."""

    code = "missing_file"


class NoSpace(DprnetError):
    """The disk is full; earlier data is intact."""

    code = "no_space"


def printable(text: str, limit: int = 300) -> str:
    r"""Text that is safe on a terminal: control characters escaped, length bounded.

    >>> printable("look\x1b[31m.mp4")
    'look\\x1b[31m.mp4'
    """
    kept = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in kept)
