"""The exceptions a user can meet. Each message says what was expected, what came, and what to do."""

import difflib
from collections.abc import Iterable


class SeepageError(Exception):
    """Every error that Seepage raises on purpose."""


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
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return InputError(f"unknown {kind} '{name}': {hint}there are: {', '.join(known)}")
