"""Values and code of others: a user's model, recipe, data set, attack or executor, and the libraries behind them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seepage.errors import InputError, SeepageError
from seepage.options import check, kinds_of

MOST_CHARACTERS = 1000


@contextmanager
def from_outside(what: str, kind: type[SeepageError] = InputError) -> Iterator[None]:
    """Whatever is raised comes back as one error that says what was asked, with the original as its cause.

    Errors of this package pass as they are, and so do Ctrl-C and a lack of memory. `sys.exit()` does not: code that was
    asked something may not end the program that asked, let alone say that all went well.

    Args:
        what: what was asked and could not be done, as the beginning of a sentence.
        kind: the error to raise.

    >>> with from_outside("the model could not answer"):
    ...     {}["a"]
    Traceback (most recent call last):
    ...
    seepage.errors.InputError: the model could not answer: KeyError: 'a'
    """
    try:
        yield
    except (SeepageError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        try:
            text = str(error)
        except Exception:  # an error that cannot even say what it is
            text = "(without a text)"
        raise kind(f"{what}: {type(error).__name__}: {text[:MOST_CHARACTERS]}") from error


def check_kinds(where: str, **values: tuple[Any, Any]) -> None:
    """Check that each value is of the kind that stands beside it.

    True and false are no numbers, a whole number is a `float` too, NumPy's numbers are as Python's, and a path is
    neither empty, which would be the working folder, nor bytes.

    Args:
        where: the function that they were given to, for the message.

    Raises:
        InputError: one is not.
    """
    for name, (value, kind) in values.items():
        check(f"{where}: {name}", value, kinds_of(kind))
        if isinstance(value, str | os.PathLike) and os.PathLike in getattr(kind, "__args__", ()):
            path = os.fspath(value)
            if not isinstance(path, str) or not path or "\0" in path:
                raise InputError(f"{where}: {name} must be a path, not empty and without NUL, got {path!r}")
