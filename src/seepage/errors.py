"""The exceptions a user can meet. Each message says what was expected, what came, and what to do."""

import difflib
import unicodedata
from collections.abc import Iterable
from itertools import islice

MOST_CHARACTERS = 2000  # of a message: whatever a file holds, its complaint is read by a person
_END = 600  # of these the last ones, where the advice stands
_LONGEST_NAME, _MOST_NAMES = 100, 1000  # that are compared with a wrong one, which takes time


class SeepageError(Exception):
    """Every error that Seepage raises on purpose.

    Messages quote file names and what files hold, and both are other people's text: whatever is said here is printable
    and of bounded length, so that no place that shows it has to see to that.
    """

    def __init__(self, *args: object):
        super().__init__(*(shortened(printable(arg)) if isinstance(arg, str) else arg for arg in args))


class InputError(SeepageError, ValueError):
    """An argument, array or name that cannot be used as given."""


class DataFileError(SeepageError):
    """A file that is missing, corrupt, or not what its checksum says."""


class UnsafeFileError(SeepageError):
    """A model file that could run code when it is opened."""


class StorageError(SeepageError):
    """The run folder cannot be written or belongs to another run."""


class TrainingError(SeepageError):
    """A training that failed or produced a model that cannot be used."""


class MissingExtraError(SeepageError, ImportError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs the package '{package}': pip install 'seepage[{extra}]'")
        self._arguments = (package, extra, purpose)

    def __reduce__(self):
        return type(self), self._arguments


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a table, naming the closest one that is."""
    known = sorted(known)
    name = shortened(name, _LONGEST_NAME)
    close = close_name(name, known)
    hint = f"did you mean '{close}'? " if close else ""
    return InputError(f"unknown {kind} '{name}': {hint}there are: {', '.join(known)}")


def close_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one; None where none is."""
    likely = islice((one for one in known if len(one) <= _LONGEST_NAME), _MOST_NAMES)
    close = difflib.get_close_matches(shortened(name, _LONGEST_NAME), likely, n=1, cutoff=0.5)
    return close[0] if close else None


def printable(text: str) -> str:
    r"""Escape what could steer a terminal or reorder a line; ids, labels and file names are other people's text.

    >>> printable("cat\x1b[2J")
    'cat\\x1b[2J'
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def one_line(text: str) -> str:
    r"""`printable`, and line breaks and tabs too, where a second line would pass for one of ours.

    >>> one_line("a\nb")
    'a\\nb'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """The beginning and the end of a text that has more than `most` characters."""
    if len(text) <= most:
        return text
    end = min(_END, most // 3)
    left_out = " [...] "
    return text[: most - end - len(left_out)] + left_out + text[-end:]


def _visible(character: str) -> str:
    # Cc and Cf hold the terminal's control codes and the bidirectional overrides; a lone surrogate is no UTF-8.
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    return character.encode("unicode_escape").decode()
